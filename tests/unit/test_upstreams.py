"""Which nameservers are real, and which of them are used."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnsguard.core import upstreams
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import NOERROR, NXDOMAIN, REFUSED, Answer, Ask, Outcome
from dnsguard.core.border import Border
from dnsguard.core.evidence import Services
from dnsguard.core.model import Candidate, Source, UpstreamState
from dnsguard.core.upstreams import (
    FORGOTTEN_AFTER,
    LOST_AFTER,
    MOST_REMEMBERED,
    PATIENCE,
    REFRESH,
    Pool,
    Verdict,
    Verdicts,
)

A, B, C, D = (ip_address(f"10.0.0.{number}") for number in (1, 2, 3, 4))
STUB = ip_address("127.0.0.53")
CLUSTER = ip_address("10.233.0.3")
BORDER = Border(cluster=frozenset({CLUSTER, ip_address("169.254.25.10")}))
SERVFAIL = 2
ANSWERED, FAILED, LATE = Outcome.ANSWERED, Outcome.FAILED, Outcome.TIMED_OUT
CONFIG, FILE = Source.CONFIG, Source.RESOLV_CONF
REMEMBERED, LEASE, BACKUP = Source.REMEMBERED, Source.LEASE, Source.BACKUP


def _candidate(address: IPAddress, source: Source, seen: float = 0.0) -> Candidate:
    return Candidate(address=address, source=source, origin=f"a {source}", seen=seen)


def _heard(verdicts: Verdicts, answers: Iterable[Answer]) -> Verdicts:
    return upstreams.heard(verdicts, answers, Services())


def _answer(address: IPAddress, outcome: Outcome = Outcome.ANSWERED, rtt: float = 0.01) -> Answer:
    return Answer(address=address, outcome=outcome, rtt=rtt, detail=f"is {outcome}", at=1.0)


def _cleared(address: IPAddress, *, has_records: bool = False) -> Answer:
    return replace(_answer(address), ask=Ask.CLUSTER, has_records=has_records)


def _once(address: IPAddress) -> Answer:
    return replace(_answer(address), ask=Ask.ONE_TIME, has_records=True)


def _pool(*named: tuple[IPAddress, Source], rtts: dict[IPAddress, float] | None = None) -> Pool:
    """Return a pool; those with an answer time have answered."""
    answers = [_answer(address, rtt=rtt) for address, rtt in (rtts or {}).items()]
    answers += [_cleared(address) for address in rtts or {}]
    return _ranked([_candidate(address, source) for address, source in named], *answers)


def _ranked(candidates: list[Candidate], *answers: Answer) -> Pool:
    known = upstreams.known(candidates, _heard({}, answers), BORDER)
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


def test_the_order_is_the_better_sources() -> None:
    """A router was guessed first, and the DHCP server then names another one before it."""
    pool = _pool((A, Source.GUESS), (B, Source.INFORM), (A, Source.INFORM))
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
    verdicts = _heard({}, [_answer(A), _cleared(A)])
    for failures in range(1, LOST_AFTER + 1):
        verdicts = _heard(verdicts, [_answer(A, outcome)])
        assert verdicts[A].is_usable is (failures < LOST_AFTER)
    assert _heard(verdicts, [_answer(A)])[A].is_usable


def test_who_never_answered_is_not_usable() -> None:
    """A candidate that was not asked yet is no upstream to prefer."""
    assert not Verdict().is_usable
    assert not _heard({}, [_answer(A, Outcome.TIMED_OUT)])[A].is_usable


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


def _inside(ask: Ask, outcome: Outcome = ANSWERED, rcode: int = NXDOMAIN, *found: str) -> Answer:
    """Return what came of the cluster's name, or one like it."""
    records = frozenset(ip_address(text) for text in found)
    has_records = outcome is ANSWERED and bool(records)
    return replace(
        _answer(A, outcome),
        ask=ask,
        rcode=NOERROR if has_records else rcode,
        has_records=has_records,
        records=records,
        at=2.0,
    )


K, N, C_ = Ask.CLUSTER, Ask.NONSENSE, Ask.CONTROL
WEB, WEB2, SERVICE = "203.0.113.80", "203.0.113.81", "10.96.0.1"
CLEAR, CONVICT, NEITHER = "clear", "convict", "neither"

SHOWN = [
    pytest.param([], NEITHER, id="not asked for it"),
    pytest.param([_inside(K)], CLEAR, id="it doesn't know the name"),
    pytest.param([_inside(K, LATE)], NEITHER, id="silence"),
    pytest.param([_inside(K, FAILED, SERVFAIL)], NEITHER, id="CoreDNS that has not synced"),
    pytest.param([_inside(K, FAILED, REFUSED)], NEITHER, id="kube-dns without its other half"),
    pytest.param(
        [_inside(K, FAILED, SERVFAIL), _inside(C_, FAILED, SERVFAIL)],
        NEITHER,
        id="once is no proof",
    ),
    pytest.param([_inside(K, ANSWERED, 0, SERVICE)], NEITHER, id="half a conviction"),
    pytest.param([_inside(K, ANSWERED, 0, SERVICE), _inside(N)], CONVICT, id="it alone is known"),
    pytest.param(
        [_inside(K, ANSWERED, 0, SERVICE), _inside(N, LATE)], NEITHER, id="no counterproof"
    ),
    pytest.param(
        [_inside(K, ANSWERED, 0, WEB), _inside(N, ANSWERED, 0, WEB)], CLEAR, id="wildcard"
    ),
    pytest.param(
        [_inside(K, ANSWERED, 0, WEB), _inside(N, ANSWERED, 0, WEB2)],
        CLEAR,
        id="rewritten, in turns",
    ),
    pytest.param(
        [_inside(K, ANSWERED, 0, SERVICE), _inside(N, ANSWERED, 0, WEB)],
        CONVICT,
        id="cluster DNS before a rewriter",
    ),
    pytest.param([_inside(K, ANSWERED, 0), _inside(N, ANSWERED, 0)], CLEAR, id="no data at all"),
    pytest.param([_inside(K, ANSWERED, 0), _inside(N)], CONVICT, id="known, in the other family"),
    pytest.param([_inside(K, ANSWERED, 0, "10.233.0.1")], CONVICT, id="a service of this cluster"),
]


@pytest.mark.parametrize(("said", "expected"), SHOWN)
@pytest.mark.parametrize("is_first", [True, False])
def test_what_a_round_shows(said: list[Answer], expected: str, *, is_first: bool) -> None:
    """Silence clears nobody, an answer alone convicts nobody; the order doesn't matter."""
    services = Services(assumed=frozenset({CLUSTER}))
    answers = [_answer(A), *said] if is_first else [*said, _answer(A)]
    verdict = upstreams.heard({}, answers, services)[A]
    assert verdict.is_usable is (expected is CLEAR)
    assert verdict.is_exposed is (expected is CONVICT)


def test_one_and_the_same_round_clears() -> None:
    """Not knowing the name while names outside fail shows nothing: its API server may be away."""
    verdicts = _heard({}, [_answer(A, FAILED), _inside(K)])
    assert not verdicts[A].is_usable
    verdicts = {A: replace(verdicts[A], round={})}  # the next round
    assert not _heard(verdicts, [_answer(A)])[A].is_usable
    assert _heard(verdicts, [_answer(A), _inside(K)])[A].is_usable


def test_who_fell_silent_is_cleared_anew() -> None:
    """Somebody else may answer there: kube-proxy was not up when the address was silent."""
    verdicts = _heard({}, [_answer(A), _cleared(A), _answer(A, LATE), _answer(A, LATE)])
    verdicts = {A: replace(verdicts[A], round={})}
    verdict = _heard(verdicts, [_answer(A)])[A]
    assert (verdict.is_usable, verdict.was_cleared) == (False, True)


def test_silence_takes_no_clearance_away() -> None:
    """One lost answer about the cluster's name is no reason to leave a server that resolves."""
    verdicts = _heard({}, [_answer(A), _cleared(A)])
    assert _heard(verdicts, [_inside(K, LATE), _inside(C_)])[A].is_usable


def test_who_was_found_out_is_cleared_by_not_knowing_the_name_alone() -> None:
    """However long it says nothing."""
    exposed = _heard({}, [_answer(A), _inside(K, ANSWERED, 0, SERVICE), _inside(N)])
    for at in range(0, 600, 10):
        alike = (_inside(K, FAILED, SERVFAIL), replace(_inside(C_, FAILED, SERVFAIL), at=float(at)))
        exposed = _heard(exposed, [_answer(A), *alike])
        assert exposed[A].is_exposed
    assert _heard(exposed, [_answer(A), _inside(K)])[A].is_usable


@pytest.mark.parametrize(
    ("control", "is_cleared"),
    [
        pytest.param(_inside(C_, FAILED, SERVFAIL), True, id="it fails for any such name"),
        pytest.param(_inside(C_), False, id="for its own zone only: not synced"),
        pytest.param(_inside(C_, FAILED, REFUSED), False, id="it fails otherwise there"),
        pytest.param(_inside(C_, LATE), False, id="or not at all"),
    ],
)
def test_a_resolver_that_fails_for_such_names_is_not_shut_out(
    control: Answer, *, is_cleared: bool
) -> None:
    """Three rounds and a minute in which the cluster's name was like any other to it."""
    verdicts: Verdicts = {}
    for number in range(4):
        assert not verdicts or not verdicts[A].is_usable
        at = number * PATIENCE / 3
        answers = _answer(A), _inside(K, FAILED, SERVFAIL), replace(control, at=at)
        verdicts = _heard(verdicts, answers)
    assert verdicts[A].is_usable is is_cleared


OUTER = frozenset({ip_address("10.96.0.1")})


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param(Services(), CONVICT, id="nothing is known"),
        pytest.param(Services(assumed=frozenset({CLUSTER})), CONVICT, id="nothing for certain"),
        pytest.param(Services(told=frozenset({CLUSTER})), CLEAR, id="kubelet names 10.233.0.3"),
        pytest.param(
            Services(kubernetes=frozenset({ip_address("10.233.0.1")})), CLEAR, id="learned"
        ),
        pytest.param(Services(kubernetes=OUTER), CONVICT, id="it is this cluster's after all"),
        pytest.param(Services(told=frozenset({ip_address("fd00::a")})), CONVICT, id="other family"),
        pytest.param(
            Services(told=frozenset({ip_address("169.254.2.1")})), CONVICT, id="no service"
        ),
    ],
)
def test_an_outer_clusters_dns_is_a_real_resolver(services: Services, expected: str) -> None:
    """Nested clusters: it knows a name of its own by that name, at no service of ours."""
    answers = _answer(A), _inside(K, ANSWERED, 0, SERVICE), _inside(N)
    verdict = upstreams.heard({}, answers, services)[A]
    assert (verdict.is_usable, verdict.is_exposed) == (expected is CLEAR, expected is CONVICT)


@pytest.mark.parametrize(
    ("once", "expected"),
    [
        pytest.param(None, False, id="not asked yet"),
        pytest.param(_inside(Ask.ONE_TIME), True, id="nobody has it"),
        pytest.param(_inside(Ask.ONE_TIME, ANSWERED, 0, WEB), True, id="rewritten"),
        pytest.param(_inside(Ask.ONE_TIME, ANSWERED, 0), False, id="empty again"),
        pytest.param(_inside(Ask.ONE_TIME, FAILED, SERVFAIL), False, id="nobody behind it"),
        pytest.param(_inside(Ask.ONE_TIME, LATE), False, id="silence"),
    ],
)
@pytest.mark.parametrize("is_stub", [True, False])
def test_an_empty_answer_needs_a_name_that_nobody_can_make_up(
    once: Answer | None, *, is_stub: bool, expected: bool
) -> None:
    """A stub on loopback and whoever names no root are asked for a one-time name as well."""
    address = STUB if is_stub else A
    answers = [replace(_answer(address), is_hollow=not is_stub), _cleared(address)]
    answers += [] if once is None else [replace(once, address=address)]
    assert _heard({}, answers)[address].is_usable is expected


STANDINGS = [
    pytest.param({A: 9.0, B: None}, [], [A], id="proven beats unproven, both silent"),
    pytest.param({A: None, B: 9.0}, [], [B], id="whatever their ranks"),
    pytest.param({A: None, B: None}, [_answer(B)], [B], id="an answer beats silence"),
    pytest.param({A: 9.0, B: None}, [_answer(B)], [A], id="but not who was not asked yet"),
    pytest.param(
        {A: 9.0, B: None},
        [_answer(B), _answer(A, LATE), _answer(A, LATE)],
        [B],
        id="but who is silent",
    ),
    pytest.param(
        {A: 9.0, B: None}, [_answer(B), _cleared(B)], [B], id="a usable one beats everyone"
    ),
]


@pytest.mark.parametrize(("answered", "answers", "expected"), STANDINGS)
def test_what_has_answered_ranks_over_what_never_has(
    answered: dict[IPAddress, float | None], answers: list[Answer], expected: list[IPAddress]
) -> None:
    """At boot the poisoned lease's address, never heard of, beat the remembered server."""
    sources = {A: Source.DHCP, B: LEASE}
    named = [replace(_candidate(one, sources[one]), answered=at) for one, at in answered.items()]
    assert upstreams.select(_ranked(named, *answers), [], 3) == tuple(expected)


def _stays(servers: list[IPAddress], proven: set[IPAddress], *answers: Answer) -> bool:
    named = [_candidate(A, FILE), _candidate(B, REMEMBERED)]
    named = [replace(one, answered=9.0 if one.address in proven else None) for one in named]
    return upstreams.can_stay(servers, _ranked(named, *answers), 3)


def test_no_flip_between_the_dead() -> None:
    """A spare last asked before the outage is no better than what is in the file.

    It was written in its place, as dead. One that answered since is better.
    """
    before = [_answer(A), _cleared(A), _answer(B), _cleared(B)]
    silent = [replace(_answer(A, LATE), at=at) for at in (5.0, 6.0)]
    assert _stays([A], set(), *before, *silent)
    assert not _stays([A], set(), *before, *silent, replace(_answer(B), at=5.5))


def test_a_silent_server_that_never_answered_yields_to_one_that_did() -> None:
    """Once, and not back: the poisoned lease's address is in the file at boot, and silent."""
    silent = [_answer(one, LATE) for one in (A, A, B, B)]
    assert _stays([A], set(), *silent)
    assert not _stays([A], {B}, *silent)
    assert _stays([B], {B}, *silent)
    assert _stays([A], {A, B}, *silent)


def _remember(
    before: tuple[Candidate, ...], *named: Candidate, answers: bool = False, wall: float = 99.0
) -> tuple[Candidate, ...]:
    proven = frozenset(one.address for one in named) if answers else frozenset[IPAddress]()
    return upstreams.remember(before, named, proven, BORDER, wall)


def test_what_is_remembered() -> None:
    """Candidates with where they came from; not what is configured or guessed, and no silent stub."""
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


def test_a_stub_that_has_answered_counts_once_it_answers_again() -> None:
    """The node's own resolver, on loopback: silent it is nobody, and it is no peer of a lease."""
    (stub,) = upstreams.recall(_remember((), _candidate(STUB, FILE), answers=True))
    assert not upstreams.select(_ranked([stub]), (), 3)
    answers = (_answer(STUB), _once(STUB), _cleared(STUB))
    assert upstreams.select(_ranked([stub], *answers), (), 3) == (STUB,)
    others = (_answer(A), _cleared(A))
    pool = _ranked([stub, _candidate(A, LEASE)], *answers, *others)
    assert upstreams.select(pool, (), 3) == (A,)


@pytest.mark.parametrize(
    ("source", "is_ahead"),
    [
        (FILE, True),
        (Source.DHCP, True),
        (LEASE, True),
        (Source.INFORM, False),
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
    kept = _remember(_remember((), _candidate(A, LEASE, -1.0)), *many)
    assert [candidate.seen for candidate in kept] == [
        float(n) for n in range(50 - MOST_REMEMBERED, 50)
    ]
    kept = _remember(_remember((), _candidate(A, LEASE), answers=True, wall=1.0), *many)
    assert kept[0].address == A


def test_what_comes_from_the_future_does_not_push_out_the_real_one() -> None:
    """The clock was wrong for a while: what was noted then is of now, and no newer."""
    wrong = [_candidate(ip_address(f"10.1.0.{n}"), LEASE, 9e9) for n in range(MOST_REMEMBERED)]
    kept = _remember(tuple(replace(one, answered=9e9) for one in wrong), wall=50.0)
    assert {(one.seen, one.answered) for one in kept} == {(50.0, 50.0)}
    kept = _remember(kept, _candidate(A, LEASE, 60.0), answers=True, wall=60.0)
    assert A in {candidate.address for candidate in kept}


def test_the_same_memory_is_always_in_the_same_order() -> None:
    """Who answered last moves nobody: what is written from it would change with that."""
    first = _remember((), _candidate(A, FILE), _candidate(B, FILE), answers=True, wall=10.0)
    later = _remember(first, _candidate(B, FILE), answers=True, wall=10.0 + REFRESH)
    assert [candidate.address for candidate in later] == [A, B]


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
