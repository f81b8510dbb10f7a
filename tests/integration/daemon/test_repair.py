"""The real daemon against real writers."""

from threading import Event, Thread

import pytest
from lab.guard import NODELOCAL, OTHER, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.netns import Namespace
from lab.wait import until

from dnsguard.formats.guarded_resolvconf import unguard

pytestmark = pytest.mark.integration


PEACE = 0.055
"""Seconds between two foreign writes that are no fight yet (dnsguard.core.backoff)."""


def test_the_control_stays_poisoned(guard: Node) -> None:
    """Without the daemon nothing heals the file: what follows is its doing."""
    assert guard.servers() == [NODELOCAL]
    assert guard.run("status").returncode == 1


@pytest.mark.parametrize("how", ["renamed over", "written in place", "deleted"])
def test_a_foreign_write_is_repaired_and_nothing_is_lost(guard: Node, how: str) -> None:
    """However it is written; the foreign lines stay, byte for byte."""
    text = POISON + b"options ndots:2\n# mine\n"
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        if how == "renamed over":
            (guard.root / "etc/new").write_bytes(text)
            (guard.root / "etc/new").rename(guard.file)
        elif how == "written in place":
            guard.file.write_bytes(text)
        else:
            text = POISON
            guard.file.unlink()
        guard.wait_for(UPSTREAM)
        until(lambda: bool(unguard(guard.file.read_bytes()) == text))


def test_a_reader_never_sees_half_a_file_nor_an_empty_one(guard: Node) -> None:
    """While the file is poisoned 100 times, every read is a whole text of one or the other.

    With a pause between them: what comes faster is a fight, and repaired later.
    """
    ended, seen = Event(), set()

    def read() -> None:
        while not ended.is_set():
            seen.add(guard.file.read_bytes())

    with guard.guarded():
        guard.wait_for(UPSTREAM)
        repaired = guard.file.read_bytes()
        reader = Thread(target=read)
        reader.start()
        try:
            for _ in range(100):
                (guard.root / "etc/new").write_bytes(POISON)
                (guard.root / "etc/new").rename(guard.file)
                guard.wait_for(UPSTREAM)
                ended.wait(PEACE)
        finally:
            ended.set()
            reader.join()
    assert seen <= {POISON, repaired}


def test_a_writer_that_is_not_done_is_waited_for(guard: Node) -> None:
    """Renaming over its file would send the rest of its text to a dead inode."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        with guard.file.open("wb", buffering=0) as file:
            file.write(POISON)
            file.write(b"options rotate\n")
        until(lambda: guard.file.read_bytes().count(b"options rotate") == 1)
        guard.wait_for(UPSTREAM)


def test_a_new_server_of_the_dhcp_server_is_learned_not_overwritten(
    guard: Node, outside: Namespace
) -> None:
    """A real nameserver that somebody writes is used, and the one before is remembered."""
    other = OTHER
    with nameserver(outside, other), guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.file.write_text(f"nameserver {NODELOCAL}\nnameserver {other}\n")
        guard.wait_for(other)
        servers = guard.status()["upstream"]["servers"]
        assert [s["address"] for s in servers] == [other, UPSTREAM]


def test_a_fight_is_slowed_down_said_once_and_won(guard: Node) -> None:
    """A rival that rewrites at once wakes nobody 1,000 times a second; quiet, all is well."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        for _ in range(400):
            if guard.servers() != [NODELOCAL]:
                guard.file.write_bytes(POISON)
            Event().wait(0.002)
        guard.wait_for_line("resolv_conf_fought_over")
        guard.wait_for(UPSTREAM, within=15)
        # With nobody who tramples again, it is over all the same.
        until(lambda: bool(guard.status()["degraded"] == []), within=30)
    lines = guard.log.read_text().count("resolv_conf")
    assert lines < 50
