"""A NodeLocalDNS that hangs, in all the ways: told apart from one that is slow."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest
from lab import needs
from lab.container import NO_CONTAINER, Container, container
from lab.guard import NODELOCAL, UPSTREAM, Node
from lab.nameserver import Nameserver, nameserver
from lab.wait import until

from dnsguard.core.policy import Policy
from dnsguard.heartbeat import ANSWER

pytestmark = pytest.mark.integration

HUNG = f"silent: {NODELOCAL} hangs: "
TCP = "for names of the cluster over TCP"
CONFIG = '[handover]\nmode = "always"\n[health]\nheartbeat = {}\nslow = {}\n'
_WAITS = re.compile("gives no answer in 1 s: .* wait (unread in its queue|to be accepted)")
"""What is said when it is asked again, over UDP or TCP: whichever was met first."""
Daemon = subprocess.Popen[bytes]
LONG = 30.0
SLOW = 60.0
"""Seconds between questions of which none comes within a test."""


@pytest.fixture
def box() -> Iterator[Container]:
    needs.require("cgroups")
    with container() as made:
        yield made


@contextmanager
def _served(
    guard: Node, box: Container = NO_CONTAINER, *, heartbeat: float = 0.3, slow: float = 5.0
) -> Iterator[tuple[Nameserver, Daemon]]:
    """Have a node that is handed over, its NodeLocalDNS in a container.

    :param slow: seconds between the other questions; with :data:`SLOW` it is the heartbeat alone
        that can find a hang.
    """
    (guard.root / "etc/dnsguard/dnsguard.toml").write_text(CONFIG.format(heartbeat, slow))
    guard.where.bridge("nodelocal", NODELOCAL)
    with nameserver(guard.where, NODELOCAL, box=box) as server, guard.guarded() as daemon:
        guard.wait_for(NODELOCAL, UPSTREAM, within=LONG)
        # The questions that led to the handover have ended: none of them finds the hang.
        until(lambda: _has_settled(guard))
        yield server, daemon


def _has_settled(guard: Node) -> bool:
    legs = guard.status()["nodelocal"]["legs"]
    return all(leg["in_a_row"] >= Policy().successes for leg in legs)


@pytest.mark.parametrize("heartbeat", [0.3, 1.5])
def test_it_reads_nothing(guard: Node, box: Container, heartbeat: float) -> None:
    """The journal, the status and the metrics say that it hangs, and what waits for it.

    So they do where an operator waits longer for a heartbeat than for any other answer.
    """
    with _served(guard, box, heartbeat=heartbeat, slow=SLOW) as (server, _):
        server.process.send_signal(SIGSTOP)
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("mode=guarding", HUNG)
        until(lambda: _WAITS.search(guard.done("status")) is not None)
        assert 'outcome="hung"' in guard.done("metrics")
        server.process.send_signal(SIGCONT)
        guard.wait_for(NODELOCAL, UPSTREAM, within=LONG)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("tcp-unaccepted", f"{HUNG}67 bytes wait unread in its queue {TCP}"),
        ("tcp-unread", f"{HUNG}67 bytes wait unread in its queue {TCP}"),
        ("tcp-mute", f"silent: {NODELOCAL} gives no answer in 1 s {TCP}"),
    ],
)
def test_it_hangs_over_tcp_alone(guard: Node, box: Container, script: str, says: str) -> None:
    """Connections that it does not accept, or not read, are the kernel's to tell of.

    One that it reads and does not answer is not: that takes the questions' time.
    """
    with _served(guard, box, slow=SLOW) as (server, _):
        server.play(script)
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("mode=guarding", says)


def test_without_a_heartbeat_it_is_asked_seldom(guard: Node, box: Container) -> None:
    """The control: the same hang is known when its questions have timed out."""
    with _served(guard, box, heartbeat=SLOW) as (server, _):
        time.sleep(10 * ANSWER)  # the first heartbeat goes out with the handover
        server.process.send_signal(SIGSTOP)
        guard.wait_for(UPSTREAM, within=LONG)
        guard.wait_for_line("mode=guarding", f"{NODELOCAL} gives no answer in 1 s: ")
        assert HUNG not in guard.log.read_text()


def test_whose_owner_is_not_known_is_never_said_to_hang(guard: Node) -> None:
    """In no container of its own, among threads that run: it is found by time alone."""
    with _served(guard) as (server, _):
        server.process.send_signal(SIGSTOP)
        guard.wait_for(UPSTREAM, within=LONG)
        guard.wait_for_line("mode=guarding", f"{NODELOCAL} gives no answer in 1 s: ")
        assert HUNG not in guard.log.read_text()


def test_who_reads_and_does_not_answer_has_its_time(guard: Node, box: Container) -> None:
    """An empty queue is the sign of one that is slow."""
    with _served(guard, box) as (server, _):
        server.play("mute")
        guard.wait_for(UPSTREAM, within=LONG)
        guard.wait_for_line("mode=guarding", f"{NODELOCAL} gives no answer in 1 s")
        assert "unread" not in guard.log.read_text()


def test_who_is_slow_all_the_time_stays(guard: Node, box: Container) -> None:
    """Twice as slow as the heartbeat waits, and asked once a second for it, no more often."""
    with _served(guard, box) as (server, _):
        server.play("late answer")
        _wait_for_questions(server, 60)
        assert guard.servers() == [NODELOCAL, UPSTREAM]
        assert guard.status()["mode"] == "handed-over"
        server.play("answer")


def test_a_stopped_daemon_finds_its_answers_when_it_goes_on(guard: Node, box: Container) -> None:
    """However long it was stopped, and its server too: it is not that one that hung."""
    with _served(guard, box) as (server, daemon):
        both = server.process.pid, daemon.pid
        for _ in range(3):
            for pid in both:
                os.kill(pid, SIGSTOP)
            until(lambda: all(map(_is_stopped, both)))
            for pid in both:
                os.kill(pid, SIGCONT)
            _wait_for_questions(server, 10)
            assert guard.servers() == [NODELOCAL, UPSTREAM]


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


def _wait_for_questions(server: Nameserver, number: int) -> None:
    enough = len(server.asked()) + number
    until(lambda: len(server.asked()) >= enough, within=LONG)
