"""Which nameservers are real, and which of them are used."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnsguard.core import upstreams
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Answer, Ask, Outcome
from dnsguard.core.border import Border
from dnsguard.core.model import Candidate, Source, UpstreamState
from dnsguard.core.upstreams import (
    FORGOTTEN_AFTER,
    LOST_AFTER,
    MOST_REMEMBERED,
    REFRESH,
    Pool,
    Verdict,
)

A, B, C, D = (ip_address(f"10.0.0.{number}") for number in (1, 2, 3, 4))
STUB = ip_address("127.0.0.53")
CLUSTER = ip_address("10.233.0.3")
BORDER = Border(cluster=frozenset({CLUSTER, ip_address("169.254.25.10")}))
CONFIG, FILE = Source.CONFIG, Source.RESOLV_CONF
REMEMBERED, LEASE, BACKUP = Source.REMEMBERED, Source.LEASE, Source.BACKUP


def _candidate(address: IPAddress, source: Source, seen: float = 0.0) -> Candidate:
    return Candidate(address=address, source=source, origin=f"a {source}", seen=seen)


def _answer(address: IPAddress, outcome: Outcome = Outcome.ANSWERED, rtt: float = 0.01) -> Answer:
    return Answer(address=address, outcome=outcome, rtt=rtt, detail=f"is {outcome}", at=1.0)


def _cleared(address: IPAddress, *, has_records: bool = False) -> Answer:
    return replace(_answer(address), ask=Ask.CLUSTER, has_records=has_records)


def _pool(*named: tuple[IPAddress, Source], rtts: dict[IPAddress, float] | None = None) -> Pool:
    """Return a pool; those with an answer time have answered."""
    answers = [_answer(address, rtt=rtt) for address, rtt in (rtts or {}).items()]
    answers += [_cleared(address) for address in rtts or {}]
    return _ranked([_candidate(address, source) for address, source in named], *answers)


def _ranked(candidates: list[Candidate], *answers: Answer) -> Pool:
    known = upstreams.known(candidates, upstreams.heard({}, answers), BORDER)
    return upstreams.pool(known)


@pytest.mark.parametrize(
    "text",
    [
        "169.254.25.10",
        "10.233.0.3",
        "::ffff:10.233.0.3",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "224.0.0.251",
        "ff02::fb",
    ],
)
def test_what_is_never_an_upstream(text: str) -> None:
    """A cluster address in any form, and what is no server at all."""
    assert not BORDER.admits(ip_address(text))


@pytest.mark.parametrize("text", ["10.0.0.1", "127.0.0.53", "169.254.169.254", "fe80::1%eth0"])
def test_what_may_be_one(text: str) -> None:
    """A cloud's link-local resolver and a local stub are real enough to be asked."""
    assert BORDER.admits(ip_address(text))


def test_each_address_stands_once_under_its_best_source() -> None:
    """Rank is the source's; the order within a source is the source's own."""
    pool = _pool((A, BACKUP), (B, LEASE), (A, CONFIG), (C, LEASE), (B, BACKUP), (CLUSTER, CONFIG))
    assert [(u.address, u.candidate.source) for u in pool] == [(A, CONFIG), (B, LEASE), (C, LEASE)]


@pytest.mark.parametrize(
    ("source", "counts"),
    [(CONFIG, True), (FILE, True), (REMEMBERED, False), (LEASE, False), (BACKUP, False)],
)
def test_a_stub_counts_only_where_it_is_named_today(source: Source, *, counts: bool) -> None:
    """127.0.0.53 in an old backup tells of a program that may be gone."""
    assert bool(_pool((STUB, source))) is counts


SELECTIONS = [
    pytest.param([(A, FILE), (B, FILE)], {}, [], [A, B], id="none answers: the best source"),
    pytest.param([(A, CONFIG), (B, LEASE)], {}, [], [A], id="none answers: one source only"),
    pytest.param([(A, CONFIG), (B, LEASE)], {B: 0.1}, [], [B], id="an answer beats the rank"),
    pytest.param([(A, CONFIG), (B, LEASE)], {A: 0.9, B: 0.1}, [], [A], id="rank beats speed"),
    pytest.param([(A, LEASE), (B, LEASE)], {A: 0.9, B: 0.1}, [], [B, A], id="the fastest first"),
    pytest.param([(A, LEASE), (B, LEASE)], {A: 0.9, B: 0.1}, [A], [A, B], id="but not by moving"),
    pytest.param([(A, FILE), (B, FILE)], {A: 0.9, B: 0.1}, [B], [A, B], id="a file's own order"),
    pytest.param([(A, FILE), (B, FILE)], {B: 0.1}, [A], [B], id="who is silent goes"),
    pytest.param([(A, FILE), (B, BACKUP)], {A: 1, B: 0.1}, [B], [A], id="a backup is no peer"),
    pytest.param(
        [(address, LEASE) for address in (A, B, C, D)],
        {A: 0.4, B: 0.3, C: 0.2, D: 0.1},
        [],
        [D, C, B],
        id="three at most",
    ),
    pytest.param([], {}, [A], [], id="nobody known"),
]


@pytest.mark.parametrize(("named", "rtts", "current", "expected"), SELECTIONS)
def test_the_selection(
    named: Sequence[tuple[IPAddress, Source]],
    rtts: dict[IPAddress, float],
    current: Sequence[IPAddress],
    expected: Sequence[IPAddress],
) -> None:
    """Who answers, of the best source, the fastest first, with nothing moved without need."""
    assert upstreams.select(_pool(*named, rtts=rtts), current, 3) == tuple(expected)


STAYS = [
    pytest.param([], [(A, FILE)], {}, False, id="an empty file is not as good"),
    pytest.param([A], [(A, FILE), (B, CONFIG)], {}, True, id="an outage is no reason to rewrite"),
    pytest.param([A, B], [(A, FILE), (B, FILE)], {A: 0.9, B: 0.1}, True, id="nor a faster one"),
    pytest.param([A], [(A, FILE), (B, FILE)], {A: 0.1, B: 0.1}, False, id="but a missing peer"),
    pytest.param([A], [(A, FILE), (B, CONFIG)], {A: 0.1, B: 0.1}, False, id="a better source is"),
    pytest.param([A], [(A, FILE), (B, BACKUP)], {B: 0.1}, False, id="its silence is"),
    pytest.param([A, B], [(A, FILE), (B, FILE)], {A: 0.1}, True, id="a second just named no"),
    pytest.param([A, D], [(A, FILE)], {A: 0.1}, False, id="a stranger is"),
]


@pytest.mark.parametrize(("servers", "named", "rtts", "expected"), STAYS)
def test_what_can_stay(
    servers: Sequence[IPAddress],
    named: Sequence[tuple[IPAddress, Source]],
    rtts: dict[IPAddress, float],
    *,
    expected: bool,
) -> None:
    """A file is rewritten when another would be better, not when it would be different."""
    assert upstreams.can_stay(servers, _pool(*named, rtts=rtts), 3) is expected


def test_a_second_that_was_asked_in_vain_can_not_stay() -> None:
    """A server that an admin adds is kept until it was asked, and held back if silent."""
    answers = _answer(A), _cleared(A), _answer(B, Outcome.TIMED_OUT)
    among = _ranked([_candidate(A, FILE), _candidate(B, FILE)], *answers)
    assert not upstreams.can_stay([A, B], among, 3)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != "answered"])
def test_one_failure_is_no_verdict(outcome: Outcome) -> None:
    """A lost datagram loses no upstream; two in a row do, and one answer restores it."""
    verdicts = upstreams.heard({}, [_answer(A), _cleared(A)])
    for failures in range(1, LOST_AFTER + 1):
        verdicts = upstreams.heard(verdicts, [_answer(A, outcome)])
        assert verdicts[A].is_usable is (failures < LOST_AFTER)
    assert upstreams.heard(verdicts, [_answer(A)])[A].is_usable


def test_who_never_answered_is_not_usable() -> None:
    """A candidate that was not asked yet is no upstream to prefer."""
    assert not Verdict().is_usable
    assert not upstreams.heard({}, [_answer(A, Outcome.TIMED_OUT)])[A].is_usable


@pytest.mark.parametrize(
    ("pool", "state"),
    [
        (_pool(), UpstreamState.NONE),
        (_pool((A, FILE)), UpstreamState.UNVERIFIED),
        (_pool((A, FILE), (B, LEASE), rtts={B: 0.1}), UpstreamState.VERIFIED),
    ],
)
def test_how_far_they_can_be_trusted(pool: Pool, state: UpstreamState) -> None:
    """One that answers is enough."""
    found, reason = upstreams.state(pool)
    assert found is state
    assert reason.startswith(state)


def test_who_answers_is_not_usable_until_tried_for_the_clusters_own_name() -> None:
    """Cluster DNS answers for the outside, too; whatever comes of the trial but the name clears."""
    verdicts = upstreams.heard({}, [_answer(A)])
    assert not verdicts[A].is_usable
    lost = replace(_cleared(A), outcome=Outcome.TIMED_OUT)
    assert upstreams.heard(verdicts, [lost])[A].is_usable
    exposed = upstreams.heard(verdicts, [_cleared(A, has_records=True)])
    assert exposed[A].is_exposed
    assert upstreams.heard(exposed, [lost])[A].is_exposed
    assert not upstreams.heard(exposed, [_cleared(A)])[A].is_exposed


def _remember(
    before: tuple[Candidate, ...], *named: Candidate, answers: bool = False, wall: float = 0.0
) -> tuple[Candidate, ...]:
    proven = frozenset(one.address for one in named) if answers else frozenset[IPAddress]()
    return upstreams.remember(before, named, proven, BORDER, wall)


def test_what_is_remembered() -> None:
    """Candidates with where they came from; not what is configured or guessed, and no stub."""
    passing = [_candidate(B, source) for source in (CONFIG, Source.GUESS, Source.FALLBACK)]
    kept = _remember((), _candidate(A, LEASE, 5.0), *passing, _candidate(STUB, FILE, 5.0))
    assert kept == (_candidate(A, LEASE, 5.0),)


def test_memory_is_worth_what_it_has_shown() -> None:
    """Who answered ranks above the leases; who never did is no better than a backup."""
    (named,) = _remember((), _candidate(A, FILE))
    (proven,) = _remember((named,), _candidate(A, FILE), answers=True, wall=7.0)
    assert proven == replace(named, answered=7.0)
    (low,), (high,) = upstreams.recall([named]), upstreams.recall([proven])
    assert (low.source, high.source) == (BACKUP, REMEMBERED)
    assert high.origin == "resolv.conf: a resolv.conf"


@pytest.mark.parametrize(
    ("source", "is_ahead"),
    [
        (FILE, True),
        (Source.DHCP, True),
        (LEASE, True),
        (Source.INFORM, True),
        (BACKUP, False),
        (Source.COREFILE, False),
        (Source.RESOLVED, False),
    ],
)
def test_memory_keeps_its_sources_rank(source: Source, *, is_ahead: bool) -> None:
    """An answer makes nobody worth more than a lease whose source ranks behind leases."""
    (kept,) = upstreams.recall([replace(_candidate(A, source), answered=7.0)])
    assert (kept.rank < _candidate(B, LEASE).rank) is is_ahead
    assert kept.rank < _candidate(B, source).rank or source in (FILE, Source.DHCP)
    answers = (_answer(A), _cleared(A), _answer(B), _cleared(B))
    pool = _ranked([kept, _candidate(B, LEASE)], *answers)
    assert upstreams.select(pool, (), 3) == ((A,) if is_ahead else (B,))


def test_memory_takes_a_better_source() -> None:
    """What a backup named first and DHCP names now is what DHCP names; never the other way."""
    old = _remember((), _candidate(A, BACKUP), answers=True, wall=1.0)
    (better,) = _remember(old, _candidate(A, Source.DHCP), answers=True, wall=2.0)
    assert better == replace(_candidate(A, Source.DHCP), answered=2.0)
    assert _remember((better,), _candidate(A, Source.COREFILE), answers=True, wall=3.0) == (better,)
    assert _remember((better,), *upstreams.recall([better]), answers=True, wall=3.0) == (better,)
    assert _remember(old, *upstreams.recall(old), answers=True, wall=3.0) == old
    assert _remember(old, _candidate(A, Source.DHCP)) == old  # it has not answered as that


def test_memory_is_not_written_at_every_answer() -> None:
    """The time of a remembered candidate is brought up to date once an hour."""
    old = _remember((), _candidate(A, LEASE), answers=True, wall=100.0)
    soon = _remember(old, _candidate(A, LEASE), answers=True, wall=100.0 + REFRESH - 1)
    later = _remember(old, _candidate(A, LEASE), answers=True, wall=100.0 + REFRESH)
    assert soon == old
    assert [candidate.answered for candidate in later] == [100.0 + REFRESH]


def test_memory_is_bounded() -> None:
    """Beyond sixteen the oldest are forgotten, those that never answered first."""
    many = [_candidate(ip_address(f"10.1.0.{n}"), LEASE, float(n)) for n in range(50)]
    kept = _remember(_remember((), _candidate(A, LEASE, -1.0), answers=True), *many)
    assert [candidate.seen for candidate in kept] == [
        float(n) for n in range(49, 49 - MOST_REMEMBERED, -1)
    ]
    kept = _remember(_remember((), _candidate(A, LEASE), answers=True, wall=1.0), *many)
    assert kept[0].address == A


def test_what_became_a_cluster_address_is_forgotten() -> None:
    """The operator names the cluster DNS anew: what was remembered of it goes."""
    old = (_candidate(CLUSTER, LEASE), _candidate(A, LEASE))
    assert [candidate.address for candidate in _remember(old)] == [A]


def test_who_is_outlived_is_told_from_who_shares_an_outage() -> None:
    """A moved node forgets the old network's servers, a node without network forgets none."""
    silent = [_answer(B, Outcome.TIMED_OUT)] * FORGOTTEN_AFTER
    candidates = [_candidate(A, LEASE), _candidate(B, LEASE)]
    assert upstreams.outlived(_ranked(candidates, *silent)) == frozenset()
    assert upstreams.outlived(_ranked(candidates, *silent, _answer(A), _cleared(A))) == {B}
    assert not upstreams.outlived(_ranked(candidates, *silent[1:], _answer(A), _cleared(A)))


def test_a_text_names_each_server_once() -> None:
    """Doubles and what is no address are passed over; what is no upstream is refused later."""
    text = b"nameserver 10.233.0.3\nnameserver 10.0.0.1\n nameserver 10.0.0.1\nnameserver x\n"
    found = upstreams.from_text(text, source=FILE, origin="here", seen=1.0)
    assert [candidate.address for candidate in found] == [CLUSTER, A]
    assert found[1] == Candidate(address=A, source=FILE, origin="here", seen=1.0)
