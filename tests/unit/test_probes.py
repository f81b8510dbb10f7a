"""Whom to ask, and when."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from dnsguard.core import probe_record, upstreams
from dnsguard.core.answers import Answer, Outcome, Probe, ProbeKind, ProbeTarget
from dnsguard.core.evidence import Services
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.health import EXTERNAL, HEARTBEAT, ONE_TIME, Health, ProbeStreak, list_targets
from dnsguard.core.memory import Memory
from dnsguard.core.model import Candidate, NodeLocal, Source
from dnsguard.core.policy import Policy
from dnsguard.core.probe_record import ProbeRecord
from dnsguard.core.probes import CLEARANCE, LOST, MOST_ASKED, SPARE, due_probes, wording
from dnsguard.formats.address import IPAddress

NODELOCAL = ip_address("169.254.25.10")
A, B = ip_address("10.0.0.1"), ip_address("10.0.0.2")
EXCLUSIONS = Exclusions(cluster=frozenset({NODELOCAL}))
NOW = 100.0
POLICY = Policy(nodelocal=(NODELOCAL,), cluster=frozenset({NODELOCAL}), fast=0.2, slow=5.0)
WELL = ProbeStreak(successes=9, asked_at=NOW)
HEALTHY = Health(
    address=NODELOCAL, state=NodeLocal.HEALTHY, streaks=dict.fromkeys(list_targets(POLICY), WELL)
)


def _memory(**known: Any) -> Memory:  # noqa: ANN401 -- dataclasses.replace
    return replace(Memory(written=b"nameserver 10.0.0.1\n"), **known)


def _next(
    memory: Memory, *texts: str, now: float = NOW, source: Source = Source.LEASE
) -> tuple[Memory, list[str], float]:
    """Return the memory, who is asked now, and when it comes to the next one."""
    candidates = [
        Candidate(address=ip_address(text), source=source, origin="here", seen=0.0)
        for text in texts
    ]
    known = upstreams.rank_all(candidates, memory.probe_records, EXCLUSIONS)
    memory, asked = due_probes(memory, now, POLICY, known, Services())
    return memory, [f"{address} {leg}" for address, leg in asked.now], asked.next_at


def _answer(
    text: str, outcome: Outcome = Outcome.ANSWERED, ask: ProbeKind = ProbeKind.UPSTREAM
) -> Answer:
    return Answer(
        address=ip_address(text), outcome=outcome, rtt=0.1, detail="told", at=NOW + 0.1, kind=ask
    )


def _both(text: str) -> list[str]:
    return [f"{text} cluster", f"{text} upstream"]


def test_who_was_never_asked_is_asked_now() -> None:
    """NodeLocalDNS for a name of the cluster; upstreams for that, too, and for the root."""
    _, asked, _ = _next(_memory(health=Health(address=NODELOCAL)), "10.0.0.1", "10.0.0.2")
    assert asked == [f"{NODELOCAL} cluster", *_both("10.0.0.1"), *_both("10.0.0.2")]


def test_nobody_is_asked_twice_at_once() -> None:
    """A question under way is waited for, and then given up for lost."""
    memory, _, _ = _next(_memory(health=Health(address=NODELOCAL)), "10.0.0.1")
    memory, asked, next_at = _next(memory, "10.0.0.1", now=NOW + 1)
    assert (asked, next_at) == ([], NOW + LOST)
    _, asked, _ = _next(memory, "10.0.0.1", now=NOW + LOST)
    assert asked == [f"{NODELOCAL} cluster", *_both("10.0.0.1")]


def test_an_unbound_nodelocal_address_is_not_asked() -> None:
    """Nobody is there to answer."""
    assert _next(_memory())[1:] == ([], float("inf"))


@pytest.mark.parametrize(
    ("leg", "streak", "interval"),
    [
        (HEARTBEAT, ProbeStreak(successes=9), POLICY.slow),
        (EXTERNAL[0], ProbeStreak(successes=9), POLICY.slow),
        (HEARTBEAT, ProbeStreak(failures=1), POLICY.fast),
        (EXTERNAL[1], ProbeStreak(successes=1), POLICY.fast),
        (HEARTBEAT, ProbeStreak(failures=5), 2 * POLICY.fast),
        (EXTERNAL[0], ProbeStreak(failures=1000), 5 * POLICY.fast),
    ],
)
def test_how_often_a_leg_is_asked(leg: ProbeTarget, streak: ProbeStreak, interval: float) -> None:
    """Often while it changes, seldom while it is well, once a second while it is silent."""
    later = replace(WELL, asked_at=NOW + 1000)
    streaks = {**dict.fromkeys(list_targets(POLICY), later), leg: replace(streak, asked_at=NOW)}
    memory = _memory(health=replace(HEALTHY, streaks=streaks))
    _, asked, next_at = _next(memory)
    assert asked == []
    assert next_at == pytest.approx(NOW + interval)


def test_all_legs_are_asked_side_by_side_once_somebody_is_there() -> None:
    """A server that has answered nothing yet is asked one thing."""
    health = Health(address=NODELOCAL, state=NodeLocal.WARMING, streaks={HEARTBEAT: WELL})
    _, asked, _ = _next(_memory(health=health), now=NOW + 60)
    assert asked == [f"{NODELOCAL} {leg}" for leg in list_targets(POLICY)]


def test_what_is_due_in_a_moment_is_asked_along() -> None:
    """Each time that the loop is woken costs more than a question: one time for all."""
    later = replace(WELL, asked_at=NOW + 0.4)
    memory = _memory(health=replace(HEALTHY, streaks={**HEALTHY.streaks, EXTERNAL[0]: later}))
    memory, asked, _ = _next(memory, "10.0.0.1", now=NOW + POLICY.slow)
    assert asked == [f"{NODELOCAL} {leg}" for leg in list_targets(POLICY)] + _both("10.0.0.1")
    assert memory.health.streak(EXTERNAL[0]).asked_at == NOW + POLICY.slow


def test_a_healthy_server_that_is_slow_to_answer_is_asked_once_more() -> None:
    """So that a hang is known one interval after the first question ran out, not two."""
    memory = _memory(health=replace(HEALTHY, streaks={HEARTBEAT: replace(WELL, waiting=1)}))
    is_first = [f"{NODELOCAL} {leg}" for leg in list_targets(POLICY)[1:]]
    memory, asked, next_at = _next(memory)
    assert (asked, next_at) == (is_first, NOW + POLICY.fast)
    memory, asked, next_at = _next(memory, now=NOW + POLICY.fast)
    assert asked[0] == f"{NODELOCAL} cluster"
    # As many questions are under way as there have to be failures.
    memory, asked, _ = _next(memory, now=NOW + 4 * POLICY.fast)
    assert f"{NODELOCAL} cluster" not in asked


def test_a_one_time_name_is_asked_only_when_nothing_else_is_missing() -> None:
    """It goes all the way to the upstream, every time."""
    memory = _memory(health=HEALTHY)
    _, due = due_probes(memory, NOW, POLICY, (), Services())
    assert due.now == ()
    memory, due = due_probes(memory, NOW, POLICY, (), Services(), needs_proof=True)
    assert due.now == (Probe(NODELOCAL, ONE_TIME),)
    assert due_probes(memory, NOW + 0.1, POLICY, (), Services(), needs_proof=True)[1].now == ()


def test_no_two_one_time_names_are_the_same() -> None:
    """The label is all that differs, whatever the zone."""
    query = Probe(NODELOCAL, ONE_TIME)
    assert wording(query, POLICY, "abc").name == "abc."
    policy = replace(POLICY, upstream_question="corp.example.")
    assert wording(query, policy, "abc").name == "abc.corp.example"


def test_an_upstream_is_asked_at_once_when_names_outside_fail() -> None:
    """It tells whether NodeLocalDNS is at fault, and need be asked but once."""
    failing = replace(WELL, successes=0, failures=1, failing_since=NOW)
    health = replace(HEALTHY, streaks={**HEALTHY.streaks, EXTERNAL[0]: failing})
    record = ProbeRecord(answered_at=NOW - 1, asked_at=NOW - 1, cleared_at=NOW)
    memory = _memory(health=health, probe_records={A: record})
    memory, asked, _ = _next(memory, "10.0.0.1", now=NOW + 0.01)
    assert asked == ["10.0.0.1 upstream"]
    assert _next(memory, "10.0.0.1", now=NOW + 0.02)[1] == []


@pytest.mark.parametrize(
    ("address", "record", "interval"),
    [
        ("10.0.0.1", ProbeRecord(answered_at=1.0, cleared_at=1.0), POLICY.slow),
        ("10.0.0.2", ProbeRecord(answered_at=1.0, cleared_at=1.0), SPARE * POLICY.slow),
        ("10.0.0.1", ProbeRecord(answered_at=1.0, cleared_at=1.0, failures=1), 2 * POLICY.fast),
        ("10.0.0.1", ProbeRecord(failures=1), 2 * POLICY.fast),
        ("10.0.0.1", ProbeRecord(failures=3), 8 * POLICY.fast),
        ("10.0.0.1", ProbeRecord(failures=10_000), POLICY.slow),
    ],
)
def test_how_often_an_upstream_is_asked(address: str, record: ProbeRecord, interval: float) -> None:
    """Those in use more often than spares, those that fail ever more seldom, but for ever."""
    memory = _memory(probe_records={ip_address(address): replace(record, asked_at=NOW)})
    _, asked, next_at = _next(memory, address)
    assert asked == []
    assert next_at == pytest.approx(NOW + interval)


def test_a_thousand_lines_are_no_reason_to_ask_a_thousand() -> None:
    """Eight at once, the best ranked; the others when these have answered or not."""
    many = [f"10.1.{number >> 8}.{number & 255}" for number in range(1000)]
    memory, asked, _ = _next(_memory(), *many)
    assert asked == [one for text in many[:MOST_ASKED] for one in _both(text)]
    assert _next(memory, *many)[1] == []
    answers = [
        _answer(text, Outcome.TIMED_OUT, ask)
        for text in many[:MOST_ASKED]
        for ask in (ProbeKind.CLUSTER, ProbeKind.UPSTREAM)
    ]
    memory = replace(
        memory, probe_records=probe_record.apply_answers(memory.probe_records, answers, Services())
    )
    _, asked, _ = _next(memory, *many, now=NOW + 1)
    assert asked == [one for text in many[MOST_ASKED : 2 * MOST_ASKED] for one in _both(text)]


@pytest.mark.parametrize("source", [Source.GUESS, Source.FALLBACK])
def test_a_guess_is_asked_when_nothing_better_answers(source: Source) -> None:
    """No router and no public resolver is bothered without need."""
    better = Candidate(address=A, source=Source.LEASE, origin="here", seen=0.0)
    guess = Candidate(address=B, source=source, origin="here", seen=0.0)

    def asked(*answers: Answer) -> set[IPAddress]:
        known = upstreams.rank_all(
            [guess, better], probe_record.apply_answers({}, answers, Services()), EXCLUSIONS
        )
        _, due = due_probes(_memory(), NOW, POLICY, known, Services())
        return {query.address for query in due.now}

    assert asked() == {A}
    assert asked(_answer("10.0.0.1"), _answer("10.0.0.1", ask=ProbeKind.CLUSTER)) == {A}
    assert asked(_answer("10.0.0.1", Outcome.TIMED_OUT)) == {A, B}
    _, both, _ = _next(_memory(), "10.0.0.2", source=source)
    assert both == _both("10.0.0.2")


def test_who_was_cleared_is_tried_again_once_a_minute() -> None:
    """Cluster DNS may move to an address that was somebody else's."""
    record = ProbeRecord(answered_at=1.0, cleared_at=NOW - CLEARANCE)
    assert _next(_memory(probe_records={A: record}), "10.0.0.1")[1] == _both("10.0.0.1")
    record = replace(record, cleared_at=NOW - CLEARANCE + 1)
    assert _next(_memory(probe_records={A: record}), "10.0.0.1")[1] == ["10.0.0.1 upstream"]


def test_who_was_found_out_is_asked_seldom() -> None:
    """Once a minute: it may be no longer what it was. Its address is no upstream meanwhile."""
    record = ProbeRecord(asked_at=NOW, answered_at=NOW, cleared_at=NOW, answers_cluster_names=True)
    exclusions = replace(EXCLUSIONS, cluster_resolvers=frozenset({A}))
    memory = _memory(cluster_resolvers={A: 1.0})
    candidate = Candidate(address=A, source=Source.LEASE, origin="here", seen=0.0)

    def asked(now: float) -> int:
        known = upstreams.rank_all([candidate], {A: record}, exclusions)
        return len(due_probes(memory, now, POLICY, known, Services())[1].now)

    assert [asked(NOW + CLEARANCE - 1), asked(NOW + CLEARANCE)] == [0, 2]


def test_who_is_no_longer_known_is_forgotten() -> None:
    """Verdicts don't pile up over years of leases."""
    memory, _, _ = _next(_memory(probe_records={A: ProbeRecord(answered_at=1.0)}), "10.0.0.2")
    assert set(memory.probe_records) == {B}


def test_an_answer_ends_the_waiting() -> None:
    """What was asked and answered is asked again after its interval, not after LOST."""
    memory, _, _ = _next(_memory(), "10.0.0.1")
    answers = [_answer("10.0.0.1", ask=ask) for ask in ProbeKind]
    memory = replace(
        memory, probe_records=probe_record.apply_answers(memory.probe_records, answers, Services())
    )
    assert _next(memory, "10.0.0.1", now=NOW + 0.1)[1:] == ([], NOW + POLICY.slow)
