"""Whom ``dnsguard doctor`` believes: no tenant, and no process of a user's."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from lab.wait import until

from dnsguard.commands import doctor
from dnsguard.host import pods, trust
from integration.doctor.world import COREDNS, NODELOCAL, UID, UPSTREAM, Lab

pytestmark = pytest.mark.integration


def test_a_tenants_coredns_convicts_nobody(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """It is root's and called ``coredns``, in a pod of that name, and points at a dead end."""
    pid = lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-abc", namespace="tenant")
    status, told = lab.doctor(capsys)
    assert status == 0
    assert (
        f"note: pid {pid}: a process of pod tenant/coredns-abc that calls itself coredns"
        ": not looked at" in told
    )
    assert "To do" not in told


def test_a_pod_of_kube_system_need_not_be_roots(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control: CoreDNS's own image runs as a user, and the pod's cgroup tells."""
    lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-abc", user=65534)
    status, told = lab.doctor(capsys, as_json=True)
    data = json.loads(told)
    assert status == doctor.FOUND
    assert data["delete"] == ["kubectl -n kube-system delete pod coredns-abc"]
    assert data["strangers"] == []


def test_a_users_coredns_convicts_nobody(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Anybody may call a process so; a hundred of them fill no screen."""
    (lab.root / "etc/passwd").write_text("nobody:x:65534:65534::/:/bin/false\n")
    with ExitStack() as stack:
        for number in range(20):
            mine = stack.enter_context(_sleeper(f"{('', '/x/')[number % 2]}coredns", user=65534))
            lab.enter(Path(f"/proc/{mine}"), None)
        status, told = lab.doctor(capsys)
        assert status == 0
        assert told.count("a process of user nobody that calls itself coredns: not looked at") == 8
        assert "and 12 more like these" in told
        mine = stack.enter_context(_sleeper("coredns"))
        lab.enter(Path(f"/proc/{mine}"), None)
        status, told = lab.doctor(capsys)
        # The control: root's own is looked at, and that it has no Corefile is told.
        assert (status, f"NOT LOOKED AT: pid {mine}: " in told) == (doctor.CANT_TELL, True)


@contextmanager
def _sleeper(name: str, user: int | None = None) -> Iterator[int]:
    process = subprocess.Popen(
        [name, "-c", "read x"], executable="/bin/sh", stdin=subprocess.PIPE, user=user
    )
    until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(name.encode()))
    yield process.pid
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("namespace", "log", "is_found"),
    [
        ("kube-system", "2026-01-01T00:00:00Z stdout F [FATAL] plugin/loop: Loop (127.0.0.1:4 ", True),
        ("kube-system", '{"log":"[FATAL] plugin/loop: Loop (127.0.0.1:4 -> :53) ', True),
        ("tenant", "2026-01-01T00:00:00Z stdout F [FATAL] plugin/loop: Loop (127.0.0.1:4 ", False),
        # A name that somebody asked for, as CoreDNS's log plugin writes it.
        ("kube-system", '2026-01-01T00:00:00Z stdout F [INFO] 10.0.0.9:1 - 2 "A IN [FATAL] plugin/loop: Loop (x', False),
    ],
)  # fmt: skip
def test_last_words_are_kube_systems(
    tmp_path: Path, namespace: str, log: str, *, is_found: bool
) -> None:
    """A tenant's container may be called ``coredns`` and say what it likes."""
    logs = tmp_path / f"var/log/pods/{namespace}_coredns-abc_{UID.format(1)}/coredns"
    logs.mkdir(parents=True)
    (logs / "0.log").write_text(f"...\n{log}\n")
    assert [pod.name for pod in pods.find_looped(tmp_path, ["coredns"], [])] == [
        "coredns-abc"
    ] * is_found


def test_what_cannot_be_read_is_named(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is called clean that wasn't looked at."""
    pid = lab.start("coredns", COREDNS, UPSTREAM)
    (lab.root / "1/Corefile").unlink()
    status, told = lab.doctor(capsys)
    assert status == doctor.CANT_TELL
    assert f"NOT LOOKED AT: pid {pid}: " in told


def test_a_link_in_a_container_ends_in_the_container(tmp_path: Path) -> None:
    """A process's files are opened as it would open them."""
    root = tmp_path / "container"
    (root / "etc").mkdir(parents=True)
    (root / "etc/resolv.conf").symlink_to("/run/inside")
    (root / "run").mkdir()
    (root / "run/inside").write_text("inside")
    (tmp_path / "root").symlink_to(root)
    (tmp_path / "cwd").symlink_to("/etc")
    assert pods.read(tmp_path, "/etc/resolv.conf")[0] == b"inside"
    assert pods.read(tmp_path, "../../../run/inside")[0] == b"inside"
    (root / "etc/passwd").symlink_to("/etc/resolv.conf")
    (root / "run/inside").unlink()
    with pytest.raises(FileNotFoundError):
        pods.read(tmp_path, "/etc/passwd")


def test_a_table_of_many_connections_is_read_in_whole_lines(tmp_path: Path) -> None:
    """8 MiB of it are read, which 56,000 connections fill: the cut is in the middle of one."""
    (tmp_path / "fd").mkdir()
    (tmp_path / "fd/3").symlink_to("socket:[777]")
    (tmp_path / "net").mkdir()
    line = "   1: 0100007F:0035 00000000:0000 0A 0:0 00:0 0     0        0 777 1 0 100 0 0 10 0\n"
    head = "x" * ((pods.MOST_TABLE - 10) % len(line) - 1) + "\n"
    (tmp_path / "net/tcp").write_text(head + line * (pods.MOST_TABLE // len(line) + 1))
    assert pods.find_listening(tmp_path) == {(ip_address("127.0.0.1"), 53)}


@pytest.mark.parametrize(
    ("group", "uid"),
    [
        ("0::/kubepods.slice/kubepods-podUID_.slice/cri-1.scope", UID.format(1)),
        ("12:cpu:/kubepods/burstable/podUID/0123\n0::/x", UID.format(1)),
        ("0::/kubepods/pod" + "0f" * 16 + "/1", "0f" * 16),
        (
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUID_.slice/x",
            UID.format(1),
        ),
        ("0::/system.slice/coredns.service", None),
        # What a user's own systemd, a service and a container may be given to make groups in.
        ("0::/user.slice/user-1000.slice/user@1000.service/kubepods/podUID/x", None),
        ("0::/system.slice/x.service/kubepods.slice/kubepods-podUID_.slice/x", None),
        ("0::/kubepods/burstable/pod" + "0f" * 16 + "/0123/kubepods/podUID/x", "0f" * 16),
    ],
)
def test_a_pod_is_known_by_its_cgroup(tmp_path: Path, group: str, uid: str | None) -> None:
    """With either of kubelet's cgroup drivers, and as a static pod; not by a group in a group."""
    text = group.replace("UID_", UID.format(1).replace("-", "_")).replace("UID", UID.format(1))
    (tmp_path / "cgroup").write_text(text)
    assert trust.find_pod(tmp_path) == uid
