"""Which nameservers are real, and which of them are used."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnsguard.core import upstreams
from dnsguard.core.answers import Answer, Outcome
from dnsguard.core.model import Candidate, Doubt, Source, UpstreamState
from dnsguard.core.probe_record import ProbeRecord
from dnsguard.core.upstreams import Pool
from dnsguard.formats.address import IPAddress
from unit.upstream_answers import (
    BACKUP,
    CLUSTER,
    CONFIG,
    EXCLUSIONS,
    FILE,
    LATE,
    LEASE,
    REMEMBERED,
    STUB,
    A,
    B,
    C,
    D,
    make_answer,
    make_candidate,
    make_clearance,
    make_pool,
    rank,
)


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
    assert not EXCLUSIONS.allows(ip_address(text))


@pytest.mark.parametrize("text", ["10.0.0.1", "127.0.0.53", "169.254.169.254", "fe80::1%eth0"])
def test_what_may_be_one(text: str) -> None:
    """A cloud's link-local resolver and a local stub are real enough to be asked."""
    assert EXCLUSIONS.allows(ip_address(text))


def test_each_address_stands_once_under_its_best_source() -> None:
    """Rank is the source's; the order within a source is the source's own."""
    pool = make_pool(
        (A, BACKUP), (B, LEASE), (A, CONFIG), (C, LEASE), (B, BACKUP), (CLUSTER, CONFIG)
    )
    assert [(u.address, u.candidate.source) for u in pool] == [(A, CONFIG), (B, LEASE), (C, LEASE)]


@pytest.mark.parametrize(
    ("source", "counts"),
    [(CONFIG, True), (FILE, True), (REMEMBERED, False), (LEASE, False), (BACKUP, False)],
)
def test_a_stub_counts_only_where_it_is_named_today(source: Source, *, counts: bool) -> None:
    """127.0.0.53 in an old backup tells of a program that may be gone."""
    assert bool(make_pool((STUB, source))) is counts


def test_the_order_is_the_better_sources() -> None:
    """A router was guessed first, and the DHCP server then names another one before it."""
    pool = make_pool((A, Source.GUESS), (B, Source.INFORM), (A, Source.INFORM))
    assert [u.address for u in pool] == [B, A]


SELECTIONS = [
    pytest.param([(A, FILE), (B, FILE)], {}, [], [A, B], id="none answers: the best source"),
    pytest.param([(A, CONFIG), (B, LEASE)], {}, [], [A], id="none answers: one source only"),
    pytest.param([(A, CONFIG), (B, LEASE)], {B: 0.1}, [], [B], id="an answer beats the rank"),
    pytest.param([(A, CONFIG), (B, LEASE)], {A: 0.9, B: 0.1}, [], [A], id="rank beats speed"),
    pytest.param(
        [(A, LEASE), (B, LEASE)], {A: 0.9, B: 0.1}, [], [A, B], id="in the source's order"
    ),
    pytest.param([(A, LEASE), (B, LEASE)], {A: 0.9, B: 0.1}, [A], [A, B], id="but not by moving"),
    pytest.param([(A, LEASE), (B, LEASE)], {A: 0.9, B: 0.1}, [B, A], [A, B], id="whatever it was"),
    pytest.param([(A, FILE), (B, FILE)], {A: 0.9, B: 0.1}, [B], [A, B], id="a file's own order"),
    pytest.param([(A, FILE), (B, FILE)], {B: 0.1}, [A], [B], id="who is silent goes"),
    pytest.param([(A, FILE), (B, BACKUP)], {A: 1, B: 0.1}, [B], [A], id="a backup is no peer"),
    pytest.param(
        [(address, LEASE) for address in (A, B, C, D)],
        {A: 0.4, B: 0.3, C: 0.2, D: 0.1},
        [],
        [B, C, D],
        id="three at most, the fastest",
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
    """Who answers, of the best source, and the same servers always in the same order."""
    assert upstreams.choose(make_pool(*named, rtts=rtts), current, 3) == tuple(expected)


STAYS = [
    pytest.param([], [(A, FILE)], {}, False, id="an empty file is not as good"),
    pytest.param([A], [(A, FILE), (B, CONFIG)], {}, True, id="an outage is no reason to rewrite"),
    pytest.param([A, B], [(A, FILE), (B, FILE)], {A: 0.9, B: 0.1}, True, id="nor a faster one"),
    pytest.param([A], [(A, FILE), (B, FILE)], {A: 0.1, B: 0.1}, False, id="but a missing peer"),
    pytest.param([A], [(A, FILE), (B, CONFIG)], {A: 0.1, B: 0.1}, False, id="a better source is"),
    pytest.param([A], [(A, FILE), (B, BACKUP)], {B: 0.1}, False, id="its silence is"),
    pytest.param([A, B], [(A, FILE), (B, FILE)], {A: 0.1}, True, id="a second just named no"),
    pytest.param([A, D], [(A, FILE)], {A: 0.1}, False, id="a stranger is"),
    pytest.param([A, B], [(A, CONFIG), (B, FILE)], {A: 0.1, B: 0.1}, True, id="the file's own no"),
    pytest.param(
        [A, B], [(A, LEASE), (B, REMEMBERED)], {A: 0.1, B: 0.1}, False, id="who is retired is"
    ),
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
    assert upstreams.is_good_enough(servers, make_pool(*named, rtts=rtts), 3) is expected


def test_a_second_that_was_asked_in_vain_can_not_stay() -> None:
    """A server that an admin adds is kept until it was asked, and held back if silent."""
    answers = make_answer(A), make_clearance(A), make_answer(B, Outcome.TIMED_OUT)
    among = rank([make_candidate(A, FILE), make_candidate(B, FILE)], *answers)
    assert not upstreams.is_good_enough([A, B], among, 3)


@pytest.mark.parametrize(
    ("pool", "state"),
    [
        (make_pool(), UpstreamState.NONE),
        (make_pool((A, FILE)), UpstreamState.UNVERIFIED),
        (make_pool((A, FILE), (B, LEASE), rtts={B: 0.1}), UpstreamState.VERIFIED),
    ],
)
def test_how_far_they_can_be_trusted(pool: Pool, state: UpstreamState) -> None:
    """One that answers is enough."""
    assert upstreams.summarize(pool).state is state


def test_what_keeps_them_from_being_trusted() -> None:
    """Who was not asked yet may still answer, and who answers has yet to be told from cluster DNS.

    Until a round has shown neither: then it may be cluster DNS.
    """
    known = make_pool((A, FILE), (B, LEASE))
    assert upstreams.summarize(known).doubt is Doubt.NOT_ASKED
    silent = tuple(replace(one, record=ProbeRecord(failures=1, failed_at=1.0)) for one in known)
    assert upstreams.summarize((known[0], *silent[1:])).doubt is Doubt.NOT_ASKED
    assert upstreams.summarize(silent).doubt is Doubt.SILENT
    answering = replace(known[1], record=ProbeRecord(answered_at=1.0))
    assert upstreams.summarize((silent[0], answering)).doubt is Doubt.NOT_ASKED
    doubted = replace(known[1], record=ProbeRecord(answered_at=1.0, doubts=1))
    trust = upstreams.summarize((known[0], doubted))
    assert (trust.doubt, trust.doubted) == (Doubt.MAYBE_CLUSTER, B)


STANDINGS = [
    pytest.param({A: 9.0, B: None}, [], [A], id="proven beats unproven, both silent"),
    pytest.param({A: None, B: 9.0}, [], [B], id="whatever their ranks"),
    pytest.param({A: None, B: None}, [make_answer(B)], [B], id="an answer beats silence"),
    pytest.param({A: 9.0, B: None}, [make_answer(B)], [A], id="but not who was not asked yet"),
    pytest.param(
        {A: 9.0, B: None},
        [make_answer(B), make_answer(A, LATE), make_answer(A, LATE)],
        [B],
        id="but who is silent",
    ),
    pytest.param(
        {A: 9.0, B: None},
        [make_answer(B), make_clearance(B)],
        [B],
        id="a usable one beats everyone",
    ),
]


@pytest.mark.parametrize(("answered", "answers", "expected"), STANDINGS)
def test_what_has_answered_ranks_over_what_never_has(
    answered: dict[IPAddress, float | None], answers: list[Answer], expected: list[IPAddress]
) -> None:
    """At boot the poisoned lease's address, never heard of, beat the remembered server."""
    sources = {A: Source.DHCP, B: LEASE}
    named = [
        replace(make_candidate(one, sources[one]), answered=at) for one, at in answered.items()
    ]
    assert upstreams.choose(rank(named, *answers), [], 3) == tuple(expected)


def _stays(servers: list[IPAddress], proven: set[IPAddress], *answers: Answer) -> bool:
    named = [make_candidate(A, FILE), make_candidate(B, REMEMBERED)]
    named = [replace(one, answered=9.0 if one.address in proven else None) for one in named]
    return upstreams.is_good_enough(servers, rank(named, *answers), 3)


def test_no_flip_between_the_dead() -> None:
    """A spare last asked before the outage is no better than what is in the file.

    It was written in its place, as dead. One that answered since is better.
    """
    before = [make_answer(A), make_clearance(A), make_answer(B), make_clearance(B)]
    silent = [replace(make_answer(A, LATE), at=at) for at in (5.0, 6.0)]
    assert _stays([A], set(), *before, *silent)
    assert not _stays([A], set(), *before, *silent, replace(make_answer(B), at=5.5))


def test_a_silent_server_that_never_answered_yields_to_one_that_did() -> None:
    """Once, and not back: the poisoned lease's address is in the file at boot, and silent."""
    silent = [make_answer(one, LATE) for one in (A, A, B, B)]
    assert _stays([A], set(), *silent)
    assert not _stays([A], {B}, *silent)
    assert _stays([B], {B}, *silent)
    assert _stays([A], {A, B}, *silent)


def test_a_text_names_each_server_once() -> None:
    """Doubles and what is no address are passed over; what is no upstream is refused later."""
    text = b"nameserver 10.233.0.3\nnameserver 10.0.0.1\n nameserver 10.0.0.1\nnameserver x\n"
    found = upstreams.from_text(text, source=FILE, origin="here", seen=1.0)
    assert [candidate.address for candidate in found] == [CLUSTER, A]
    assert found[1] == Candidate(address=A, source=FILE, origin="here", seen=1.0)
