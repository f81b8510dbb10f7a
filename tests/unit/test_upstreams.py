"""Which nameservers are real, and which of them are used."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from dnsguard.core import upstreams
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Answer, Outcome
from dnsguard.core.model import Candidate, Policy, Source, UpstreamState
from dnsguard.core.upstreams import LOST_AFTER, MOST_REMEMBERED, REFRESH, Pool, Verdict

A, B, C, D = (ip_address(f"10.0.0.{number}") for number in (1, 2, 3, 4))
STUB = ip_address("127.0.0.53")
CLUSTER = ip_address("10.233.0.3")
POLICY = Policy(cluster=frozenset({CLUSTER, ip_address("169.254.25.10")}))
CONFIG, FILE = Source.CONFIG, Source.RESOLV_CONF
REMEMBERED, LEASE, BACKUP = Source.REMEMBERED, Source.LEASE, Source.BACKUP


def _candidate(address: IPAddress, source: Source, seen: float = 0.0) -> Candidate:
    return Candidate(address=address, source=source, origin=f"a {source}", seen=seen)


def _answer(address: IPAddress, outcome: Outcome = Outcome.ANSWERED, rtt: float = 0.01) -> Answer:
    return Answer(address=address, outcome=outcome, rtt=rtt, detail=f"is {outcome}", at=1.0)


def _pool(*named: tuple[IPAddress, Source], rtts: dict[IPAddress, float] | None = None) -> Pool:
    """Return a pool; those with an answer time have answered."""
    answers = [_answer(address, rtt=rtt) for address, rtt in (rtts or {}).items()]
    candidates = [_candidate(address, source) for address, source in named]
    return upstreams.pool(candidates, upstreams.heard({}, answers), POLICY)


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
    assert not upstreams.is_upstream(ip_address(text), POLICY)


@pytest.mark.parametrize("text", ["10.0.0.1", "127.0.0.53", "169.254.169.254", "fe80::1%eth0"])
def test_what_may_be_one(text: str) -> None:
    """A cloud's link-local resolver and a local stub are real enough to be asked."""
    assert upstreams.is_upstream(ip_address(text), POLICY)


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
    pytest.param([(A, FILE), (B, FILE)], {A: 0.9, B: 0.1}, [], [B, A], id="the fastest first"),
    pytest.param([(A, FILE), (B, FILE)], {A: 0.9, B: 0.1}, [A], [A, B], id="but not by moving"),
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
    pytest.param([A], [(A, FILE), (B, FILE)], {A: 0.9, B: 0.1}, True, id="a faster one neither"),
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
    assert upstreams.can_stay(servers, _pool(*named, rtts=rtts)) is expected


def test_a_second_that_was_asked_in_vain_can_not_stay() -> None:
    """A server that an admin adds is kept until it was asked, and held back if silent."""
    verdicts = upstreams.heard({}, [_answer(A), _answer(B, Outcome.TIMED_OUT)])
    among = upstreams.pool([_candidate(A, FILE), _candidate(B, FILE)], verdicts, POLICY)
    assert not upstreams.can_stay([A, B], among)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != "answered"])
def test_one_failure_is_no_verdict(outcome: Outcome) -> None:
    """A lost datagram loses no upstream; two in a row do, and one answer restores it."""
    verdicts = upstreams.heard({}, [_answer(A)])
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


def test_what_is_remembered() -> None:
    """Candidates with their origin; not the configuration, and no stub."""
    worth = [_candidate(A, LEASE, 5.0), _candidate(B, CONFIG, 5.0), _candidate(STUB, FILE, 5.0)]
    (kept,) = upstreams.remember((), worth, POLICY)
    assert kept == Candidate(address=A, source=REMEMBERED, origin="a lease", seen=5.0)


def test_memory_is_not_written_at_every_answer() -> None:
    """The time of a remembered candidate is brought up to date once an hour."""
    old = upstreams.remember((), [_candidate(A, LEASE, 100.0)], POLICY)
    soon = upstreams.remember(old, [_candidate(A, LEASE, 100.0 + REFRESH - 1)], POLICY)
    later = upstreams.remember(old, [_candidate(A, LEASE, 100.0 + REFRESH)], POLICY)
    assert soon == old
    assert [candidate.seen for candidate in later] == [100.0 + REFRESH]


def test_memory_is_bounded() -> None:
    """Beyond sixteen the oldest are forgotten."""
    many = [_candidate(ip_address(f"10.1.0.{n}"), LEASE, float(n)) for n in range(50)]
    kept = upstreams.remember((), many, POLICY)
    assert [candidate.seen for candidate in kept] == [
        float(n) for n in range(49, 49 - MOST_REMEMBERED, -1)
    ]


def test_what_became_a_cluster_address_is_forgotten() -> None:
    """The operator names the cluster DNS anew: what was remembered of it goes."""
    old = (_candidate(CLUSTER, REMEMBERED), _candidate(A, REMEMBERED))
    assert [candidate.address for candidate in upstreams.remember(old, (), POLICY)] == [A]


def test_a_text_names_each_real_server_once() -> None:
    """Cluster addresses, doubles and what is no address are passed over."""
    text = b"nameserver 10.233.0.3\nnameserver 10.0.0.1\n nameserver 10.0.0.1\nnameserver x\n"
    (found,) = upstreams.from_text(text, POLICY, source=FILE, origin="here", seen=1.0)
    assert found == Candidate(address=A, source=FILE, origin="here", seen=1.0)
