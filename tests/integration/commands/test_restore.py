"""``dnsguard restore``, typed against the real daemon."""

import os
import termios

import pytest
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node
from lab.terminal import Terminal

from dnsguard.formats.guarded_resolvconf import unguard

pytestmark = pytest.mark.integration


def test_restore_gives_back_what_somebody_else_wrote(guard: Node) -> None:
    """With the difference first; not while the daemon would repair it at once."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        done = guard.run("restore", "--yes")
        assert done.returncode == 1
        assert "+nameserver 169.254.25.10" in done.stdout
        assert "systemctl stop dnsguard" in done.stderr
        assert guard.servers() == [UPSTREAM]
    guarded = guard.file.read_bytes()
    assert guard.run("restore").returncode == os.EX_USAGE
    assert guard.file.read_bytes() == guarded
    done = guard.run("restore", "--yes")
    assert done.returncode == 0
    assert "cluster addresses only" in done.stderr
    assert guard.file.read_bytes() == unguard(guarded) == POISON
    assert "is as the last foreign writer left it" in guard.done("restore")


def test_restore_asks_on_a_terminal(guard: Node) -> None:
    """And takes nothing but yes for it."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
    for answer, expected in (
        (b"\n", [UPSTREAM]),
        (b"\xff\n", [UPSTREAM]),  # no UTF-8
        (b"y\n", [NODELOCAL]),
    ):
        # As Python has it in any locale but C and C.UTF-8.
        strict = {"PYTHONIOENCODING": "utf-8:strict"}
        terminal = Terminal(guard, 80, "restore", environ=strict)
        terminal.wait_for("[y/N]")
        _stop_echo(terminal)
        terminal.type(answer)
        assert "Traceback" not in terminal.read()
        assert guard.servers() == expected


def _stop_echo(terminal: Terminal) -> None:
    settings = termios.tcgetattr(terminal.master)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(terminal.master, termios.TCSANOW, settings)
