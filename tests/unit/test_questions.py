"""Whom to ask, and when."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from dnsguard.core import upstreams
from dnsguard.core.answers import Answer, Outcome
from dnsguard.core.health import Health
from dnsguard.core.memory import Memory
from dnsguard.core.model import Ask, Candidate, NodeLocal, Policy, Source
from dnsguard.core.questions import LOST, SPARE, questions
from dnsguard.core.upstreams import MOST_ASKED, Verdict

NODELOCAL = ip_address("169.254.25.10")
A, B = ip_address("10.0.0.1"), ip_address("10.0.0.2")
POLICY = Policy(nodelocal=(NODELOCAL,), fast=0.2, slow=5.0)
NOW = 100.0


def _memory(**known: Any) -> Memory:  # noqa: ANN401 -- dataclasses.replace
    return replace(Memory(written=b"nameserver 10.0.0.1\n"), **known)


def _next(memory: Memory, *sources: str, now: float = NOW) -> tuple[Memory, list[str], float]:
    """Return the memory, who is asked now, and when it comes to the next one."""
    candidates = [
        Candidate(address=ip_address(text), source=Source.LEASE, origin="here", seen=0.0)
        for text in sources
    ]
    pool = upstreams.pool(candidates, memory.verdicts, POLICY)
    memory, asked = questions(memory, now, POLICY, pool)
    return memory, [f"{address} {kind}" for address, kind in asked.now], asked.next_at


def test_who_was_never_asked_is_asked_now() -> None:
    """NodeLocalDNS for a name of the cluster, upstreams for the root."""
    _, asked, _ = _next(_memory(health=Health(address=NODELOCAL)), "10.0.0.1", "10.0.0.2")
    assert asked == [f"{NODELOCAL} {Ask.CLUSTER}", f"{A} {Ask.UPSTREAM}", f"{B} {Ask.UPSTREAM}"]


def test_nobody_is_asked_twice_at_once() -> None:
    """A question under way is waited for, and then given up for lost."""
    memory, _, _ = _next(_memory(health=Health(address=NODELOCAL)), "10.0.0.1")
    memory, asked, next_at = _next(memory, "10.0.0.1", now=NOW + 1)
    assert (asked, next_at) == ([], NOW + LOST)
    _, asked, _ = _next(memory, "10.0.0.1", now=NOW + LOST)
    assert len(asked) == 2


def test_an_unbound_nodelocal_address_is_not_asked() -> None:
    """Nobody is there to answer."""
    assert _next(_memory())[1:] == ([], float("inf"))


@pytest.mark.parametrize(
    ("health", "interval"),
    [
        (Health(state=NodeLocal.HEALTHY, successes=9), POLICY.slow),
        (Health(state=NodeLocal.HEALTHY, failures=1), POLICY.fast),
        (Health(state=NodeLocal.WARMING, successes=1), POLICY.fast),
        (Health(state=NodeLocal.SILENT, failures=1), POLICY.fast),
        (Health(state=NodeLocal.SILENT, failures=5), 2 * POLICY.fast),
        (Health(state=NodeLocal.SILENT, failures=1000), 5 * POLICY.fast),
    ],
)
def test_how_often_nodelocal_is_asked(health: Health, interval: float) -> None:
    """Often while it changes, seldom while it is healthy, once a second while it is silent."""
    memory = _memory(health=replace(health, address=NODELOCAL, asked_at=NOW))
    assert _next(memory)[1:] == ([], NOW + interval)


@pytest.mark.parametrize(
    ("address", "verdict", "interval"),
    [
        ("10.0.0.1", Verdict(answered_at=1.0), POLICY.slow),
        ("10.0.0.2", Verdict(answered_at=1.0), SPARE * POLICY.slow),
        ("10.0.0.1", Verdict(answered_at=1.0, failures=1), 2 * POLICY.fast),
        ("10.0.0.1", Verdict(failures=1), 2 * POLICY.fast),
        ("10.0.0.1", Verdict(failures=3), 8 * POLICY.fast),
        ("10.0.0.1", Verdict(failures=10_000), POLICY.slow),
    ],
)
def test_how_often_an_upstream_is_asked(address: str, verdict: Verdict, interval: float) -> None:
    """Those in use more often than spares, those that fail ever more seldom, but for ever."""
    memory = _memory(verdicts={ip_address(address): replace(verdict, asked_at=NOW)})
    _, asked, next_at = _next(memory, address)
    assert asked == []
    assert next_at == pytest.approx(NOW + interval)


def test_a_thousand_lines_are_no_reason_to_ask_a_thousand() -> None:
    """Eight are asked, the best ranked."""
    many = [f"10.1.{number >> 8}.{number & 255}" for number in range(1000)]
    _, asked, _ = _next(_memory(), *many)
    assert asked == [f"{text} {Ask.UPSTREAM}" for text in many[:MOST_ASKED]]


def test_who_is_no_longer_known_is_forgotten() -> None:
    """Verdicts don't pile up over years of leases."""
    memory, _, _ = _next(_memory(verdicts={A: Verdict(answered_at=1.0)}), "10.0.0.2")
    assert set(memory.verdicts) == {B}


def test_an_answer_ends_the_waiting() -> None:
    """What was asked and answered is asked again after its interval, not after LOST."""
    memory, _, _ = _next(_memory(), "10.0.0.1")
    answer = Answer(address=A, outcome=Outcome.ANSWERED, rtt=0.1, detail="answers", at=NOW + 0.1)
    memory = replace(memory, verdicts=upstreams.heard(memory.verdicts, [answer]))
    assert _next(memory, "10.0.0.1", now=NOW + 0.1)[1:] == ([], NOW + POLICY.slow)
