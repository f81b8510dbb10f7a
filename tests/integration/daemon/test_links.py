"""The real daemon where resolv.conf is a link, an admin's or a manager's."""

from pathlib import Path

import pytest
from lab.guard import NODELOCAL, OTHER, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.wait import until

pytestmark = pytest.mark.integration


def test_a_link_within_etc_is_kept_and_its_target_repaired(guard: Node) -> None:
    """An admin's own; a new link is noticed as well."""
    target = guard.root / "etc/resolvconf/resolv.conf"
    target.parent.mkdir(parents=True)
    target.write_bytes(POISON)
    guard.file.unlink()
    guard.file.symlink_to("resolvconf/resolv.conf")
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        target.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
        assert guard.file.is_symlink()
        other = target.with_name("other")
        other.write_bytes(POISON)
        (guard.root / "etc/link").symlink_to("resolvconf/other")
        (guard.root / "etc/link").rename(guard.file)
        guard.wait_for(UPSTREAM)
        assert guard.file.is_symlink()


MANAGED = "../run/NetworkManager/resolv.conf"


@pytest.fixture
def managed(guard: Node) -> Path:
    """Make resolv.conf a manager's link; return the file that it leads to, not there yet."""
    file = guard.root / "run/NetworkManager/resolv.conf"
    file.parent.mkdir(parents=True)
    guard.file.unlink()
    guard.file.symlink_to(MANAGED)
    return file


def test_a_managers_link_is_left_alone_on_a_healthy_node(guard: Node, managed: Path) -> None:
    """Dangling at first, then empty, then clean: through boot, renewal, NodeLocalDNS and the end."""
    guard.where.bridge("nodelocal", NODELOCAL)
    texts = (b"", f"search a.test\nnameserver {UPSTREAM}\n".encode(), b"nameserver 192.0.2.77\n")
    with nameserver(guard.where, NODELOCAL), guard.guarded():
        until(lambda: bool(guard.status()["nodelocal"]["state"] == "healthy"))
        assert str(guard.file.readlink()) == MANAGED
        verdict = guard.run("status").stdout.splitlines()[0]
        assert verdict.startswith("OK guarding: resolv.conf names nobody yet; ")
        assert "whoever keeps it is waited for" in verdict
        assert guard.run("check").stdout.endswith("nobody is named yet\n")
        for text in texts:
            managed.write_bytes(text)
            until(lambda: bool(guard.status()["nodelocal"]["state"] == "healthy"))
            assert (str(guard.file.readlink()), managed.read_bytes()) == (MANAGED, text)
        assert guard.status()["mode"] == "guarding"
        assert any("which another program keeps" in one for one in guard.status()["next"])
    assert (str(guard.file.readlink()), managed.read_bytes()) == (MANAGED, texts[-1])


def test_a_poisoned_managers_link_is_given_back_clean(guard: Node, managed: Path) -> None:
    """It dangles first. Its text is read on behind our file, and never written; status says so."""
    with guard.guarded():
        until(lambda: bool(guard.status()["upstream"]["state"] == "verified"))
        assert str(guard.file.readlink()) == MANAGED
        managed.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("resolv_conf_written", "result=link-replaced")
        assert managed.read_bytes() == POISON
        assert f"in the place of a link to {MANAGED}" in guard.run("status").stdout
        clean = f"search b.test\nnameserver {UPSTREAM}\n".encode()
        managed.write_bytes(clean)
        until(lambda: b"search b.test" in guard.file.read_bytes())
        assert f"will soon be a link to {MANAGED}" in guard.run("status").stdout
        until(guard.file.is_symlink, within=20)
        guard.wait_for_line("resolv_conf_written", "result=link-restored")
        assert "in the place of" not in guard.run("status").stdout
    assert (str(guard.file.readlink()), managed.read_bytes()) == (MANAGED, clean)


def test_a_poisoned_managers_link_is_given_back_at_the_removal(guard: Node, managed: Path) -> None:
    """And resolves, which is told. Neither a stop nor a restart gives it back."""
    managed.write_bytes(POISON)
    for _ in range(2):
        with guard.guarded():
            guard.wait_for(UPSTREAM)
            assert guard.status()["resolv_conf"]["in_place_of"] == MANAGED
        assert guard.run("secure").returncode == 0
        assert guard.servers() == [UPSTREAM]
    done = guard.run("secure", "--give-link-back")
    assert str(guard.file.readlink()) == MANAGED
    assert guard.servers() == [UPSTREAM]
    assert managed.read_bytes().startswith(POISON.partition(b"nameserver")[0])
    assert f"is a link to {MANAGED} again. That named no real server, and does now" in done.stderr
    assert not list(guard.file.parent.glob("resolv.conf.dnsguard*"))


def test_a_managers_link_to_the_dead_is_left_and_told(guard: Node, managed: Path) -> None:
    """Programs have nobody, though another server answers: that is not called fine."""
    managed.write_text(f"nameserver {UPSTREAM}\nnameserver {OTHER}\n")
    with guard.guarded():
        half = f"OK guarding: {UPSTREAM} answers, {OTHER} does not; "
        until(lambda: guard.run("status").stdout.startswith(half), within=20)
        managed.write_text(f"nameserver {OTHER}\n")
        until(lambda: guard.run("check").returncode == 1, within=20)
        said = guard.run("status").stdout.splitlines()[0]
        assert said.startswith(f"DEGRADED guarding: nobody in resolv.conf answers ({OTHER} ")
        assert str(guard.file.readlink()) == MANAGED
        managed.write_text(f"nameserver {UPSTREAM}\n")
        until(lambda: guard.run("check").returncode == 0, within=20)
