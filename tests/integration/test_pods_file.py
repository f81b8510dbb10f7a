"""The file that pods get, with the real daemon: whatever its path, it is read at every look."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.wait import until

pytestmark = pytest.mark.integration

RESOLVED = "/run/systemd/resolve/resolv.conf"
"""kubeadm's default beside systemd-resolved."""
REAL = f"nameserver {UPSTREAM}\n"


@pytest.fixture
def pods(guard: Node) -> Path:
    """Have kubelet give pods another file than the node's; return that."""
    kubelet = guard.root / "var/lib/kubelet/config.yaml"
    kubelet.parent.mkdir(parents=True)
    kubelet.write_text(f"resolvConf: {RESOLVED}\n")
    file = guard.root / RESOLVED.lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_text(REAL)
    return file


@contextmanager
def _nodelocaldns(guard: Node) -> Iterator[None]:
    guard.where.bridge("nodelocal", NODELOCAL)
    with nameserver(guard.where, NODELOCAL):
        yield


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (f"{REAL}nameserver {NODELOCAL}\n", f"which names {NODELOCAL}: cluster DNS"),
        ("nameserver 127.0.0.53\n", "which names 127.0.0.53: the pod itself"),
        ("search lab.test\n", "which names no nameserver"),
        (None, "which can't be read"),
    ],
)
def test_a_dead_end_ends_a_handover_and_is_told(
    guard: Node, pods: Path, text: str | None, wrong: str
) -> None:
    """In status, check and metrics, with the remedy; once it is real again, all is well."""
    guard.file.write_text(REAL)
    with guard.guarded(), _nodelocaldns(guard):
        # A file of resolved's is made of ours, in its foreign mode: nothing is handed over.
        until(lambda: "which is made of /etc/resolv.conf" in str(guard.status()["next"]))
        assert guard.servers() == [UPSTREAM]
        _give_pods(guard, pods, "etc/pods.conf")
        guard.wait_for(NODELOCAL, UPSTREAM)
        other = guard.root / "etc/pods.conf"
        if text is None:
            other.unlink()
        else:
            other.write_text(text)
        guard.wait_for(UPSTREAM, within=20)
        until(lambda: bool(guard.status()["degraded"]))
        status, check = guard.run("status"), guard.run("check")
        assert (status.returncode, check.returncode) == (2, 1)
        assert f"kubelet gives pods /etc/pods.conf, {wrong}" in status.stdout
        assert check.stdout.startswith("DEGRADED: dnsguard kubelet adopt --restart (")
        assert "dnsguard_degraded_reasons 1.0" in guard.run("metrics").stdout
        other.write_text(REAL)
        until(lambda: not guard.status()["degraded"], within=20)
        if NODELOCAL not in (text or ""):  # else it counts as a copy of ours, which would follow
            guard.wait_for(NODELOCAL, UPSTREAM, within=20)


def _give_pods(guard: Node, pods: Path, name: str) -> None:
    (guard.root / name).write_text(pods.read_text())
    (guard.root / "var/lib/kubelet/config.yaml").write_text(f"resolvConf: /{name}\n")


@pytest.mark.parametrize("kind", ["link", "second name", "copy"])
def test_a_file_made_of_ours_stands_against_a_handover(guard: Node, pods: Path, kind: str) -> None:
    """At once where that is seen; a copy that somebody makes by what it says then."""
    guard.file.write_text(REAL)
    _give_pods(guard, pods, "etc/pods.conf")
    other = guard.root / "etc/pods.conf"
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        if kind != "copy":
            other.unlink()
        if kind == "link":
            other.symlink_to("resolv.conf")
        elif kind == "second name":
            other.hardlink_to(guard.file)
        with _nodelocaldns(guard):
            if kind == "copy":
                guard.wait_for(NODELOCAL, UPSTREAM)
                other.write_bytes(guard.file.read_bytes())
                guard.wait_for(UPSTREAM, within=20)
                other.write_bytes(guard.file.read_bytes())
            until(lambda: bool(guard.status()["nodelocal"]["state"] == "healthy"))
            until(lambda: "handover: kubelet gives " in str(guard.status()["next"]))
            assert guard.status()["mode"] == "guarding"
            assert (guard.servers(), NODELOCAL in other.read_text()) == ([UPSTREAM], False)


def test_the_control_another_file_that_is_real_lets_the_node_be_handed_over(
    guard: Node, pods: Path
) -> None:
    """Nothing is made of nothing: an admin's file with real servers."""
    guard.file.write_bytes(POISON)
    _give_pods(guard, pods, "etc/pods.conf")
    with guard.guarded(), _nodelocaldns(guard):
        guard.wait_for(NODELOCAL, UPSTREAM)
        assert not guard.status()["degraded"]
