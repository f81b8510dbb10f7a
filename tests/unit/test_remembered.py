"""Which upstreams are remembered, for how long, and what memory is worth."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnsguard.core import remembered, upstreams
from dnsguard.core.answers import Outcome
from dnsguard.core.model import Candidate, Source
from dnsguard.core.remembered import FORGOTTEN_AFTER, MOST_REMEMBERED, REFRESH
from dnsguard.formats.address import IPAddress
from unit.upstream_answers import (
    BACKUP,
    CLUSTER,
    CONFIG,
    EXCLUSIONS,
    FILE,
    LEASE,
    REMEMBERED,
    STUB,
    A,
    B,
    make_answer,
    make_candidate,
    make_clearance,
    make_one_time,
    rank,
)


def _remember(
    before: tuple[Candidate, ...], *named: Candidate, answers: bool = False, wall: float = 99.0
) -> tuple[Candidate, ...]:
    proven = frozenset(one.address for one in named) if answers else frozenset[IPAddress]()
    return remembered.remember(before, named, proven, EXCLUSIONS, wall)


def test_what_is_remembered() -> None:
    """Candidates with where they came from; not what is configured or guessed, and no silent stub."""
    passing = [make_candidate(B, source) for source in (CONFIG, Source.GUESS, Source.FALLBACK)]
    kept = _remember((), make_candidate(A, LEASE, 5.0), *passing, make_candidate(STUB, FILE, 5.0))
    assert kept == (make_candidate(A, LEASE, 5.0),)


def test_memory_is_worth_what_it_has_shown() -> None:
    """Who answered ranks above the leases; who never did is no better than a backup."""
    (named,) = _remember((), make_candidate(A, FILE))
    (proven,) = _remember((named,), make_candidate(A, FILE), answers=True, wall=7.0)
    assert proven == replace(named, answered=7.0)
    (low,), (high,) = remembered.load_remembered([named]), remembered.load_remembered([proven])
    assert (low.source, high.source) == (BACKUP, REMEMBERED)
    assert high.origin == "resolv.conf: a resolv.conf"


def test_a_stub_that_has_answered_counts_once_it_answers_again() -> None:
    """The node's own resolver, on loopback: silent it is nobody, and it is no peer of a lease."""
    (stub,) = remembered.load_remembered(_remember((), make_candidate(STUB, FILE), answers=True))
    assert not upstreams.choose(rank([stub]), (), 3)
    answers = (make_answer(STUB), make_one_time(STUB), make_clearance(STUB))
    assert upstreams.choose(rank([stub], *answers), (), 3) == (STUB,)
    others = (make_answer(A), make_clearance(A))
    pool = rank([stub, make_candidate(A, LEASE)], *answers, *others)
    assert upstreams.choose(pool, (), 3) == (A,)


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
    (kept,) = remembered.load_remembered([replace(make_candidate(A, source), answered=7.0)])
    assert (kept.rank < make_candidate(B, LEASE).rank) is is_ahead
    assert kept.rank < make_candidate(B, source).rank or source in (
        FILE,
        Source.DHCP,
        Source.INFORM,
    )
    answers = (make_answer(A), make_clearance(A), make_answer(B), make_clearance(B))
    pool = rank([kept, make_candidate(B, LEASE)], *answers)
    assert upstreams.choose(pool, (), 3) == ((A,) if is_ahead else (B,))


def test_memory_takes_a_better_source() -> None:
    """What a backup named first and DHCP names now is what DHCP names; never the other way."""
    old = _remember((), make_candidate(A, BACKUP), answers=True, wall=1.0)
    (better,) = _remember(old, make_candidate(A, Source.DHCP), answers=True, wall=2.0)
    assert better == replace(make_candidate(A, Source.DHCP), answered=2.0)
    assert _remember((better,), make_candidate(A, Source.COREFILE), answers=True, wall=3.0) == (
        better,
    )
    assert _remember((better,), *remembered.load_remembered([better]), answers=True, wall=3.0) == (
        better,
    )
    assert _remember(old, *remembered.load_remembered(old), answers=True, wall=3.0) == old
    assert _remember(old, make_candidate(A, Source.DHCP)) == old  # it has not answered as that


def test_memory_is_not_written_at_every_answer() -> None:
    """The time of a remembered candidate is brought up to date once an hour."""
    old = _remember((), make_candidate(A, LEASE), answers=True, wall=100.0)
    soon = _remember(old, make_candidate(A, LEASE), answers=True, wall=100.0 + REFRESH - 1)
    later = _remember(old, make_candidate(A, LEASE), answers=True, wall=100.0 + REFRESH)
    assert soon == old
    assert [candidate.answered for candidate in later] == [100.0 + REFRESH]


def test_memory_is_bounded() -> None:
    """Beyond sixteen the oldest are forgotten, those that never answered first."""
    many = [make_candidate(ip_address(f"10.1.0.{n}"), LEASE, float(n)) for n in range(50)]
    kept = _remember(_remember((), make_candidate(A, LEASE, -1.0)), *many)
    assert [candidate.seen for candidate in kept] == [
        float(n) for n in range(50 - MOST_REMEMBERED, 50)
    ]
    kept = _remember(_remember((), make_candidate(A, LEASE), answers=True, wall=1.0), *many)
    assert kept[0].address == A


def test_what_comes_from_the_future_does_not_push_out_the_real_one() -> None:
    """The clock was wrong for a while: what was noted then is of now, and no newer."""
    wrong = [make_candidate(ip_address(f"10.1.0.{n}"), LEASE, 9e9) for n in range(MOST_REMEMBERED)]
    kept = _remember(tuple(replace(one, answered=9e9) for one in wrong), wall=50.0)
    assert {(one.seen, one.answered) for one in kept} == {(50.0, 50.0)}
    kept = _remember(kept, make_candidate(A, LEASE, 60.0), answers=True, wall=60.0)
    assert A in {candidate.address for candidate in kept}


def test_the_same_memory_is_always_in_the_same_order() -> None:
    """Who answered last moves nobody: what is written from it would change with that."""
    first = _remember((), make_candidate(A, FILE), make_candidate(B, FILE), answers=True, wall=10.0)
    later = _remember(first, make_candidate(B, FILE), answers=True, wall=10.0 + REFRESH)
    assert [candidate.address for candidate in later] == [A, B]


def test_what_became_a_cluster_address_is_forgotten() -> None:
    """The operator names the cluster DNS anew: what was remembered of it goes."""
    old = (make_candidate(CLUSTER, LEASE), make_candidate(A, LEASE))
    assert [candidate.address for candidate in _remember(old)] == [A]


def test_who_is_outlived_is_told_from_who_shares_an_outage() -> None:
    """A moved node forgets the old network's servers, a node without network forgets none."""
    silent = [make_answer(B, Outcome.TIMED_OUT)] * FORGOTTEN_AFTER
    candidates = [make_candidate(A, LEASE), make_candidate(B, LEASE)]
    assert remembered.find_stale(rank(candidates, *silent)) == frozenset()
    assert remembered.find_stale(rank(candidates, *silent, make_answer(A), make_clearance(A))) == {
        B
    }
    assert not remembered.find_stale(
        rank(candidates, *silent[1:], make_answer(A), make_clearance(A))
    )
