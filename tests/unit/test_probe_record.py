"""What a server has shown: by one round of questions, and over the rounds."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnsguard.core import probe_record
from dnsguard.core.answers import NOERROR, NXDOMAIN, REFUSED, Answer, Outcome, ProbeKind
from dnsguard.core.evidence import Services
from dnsguard.core.probe_record import LOST_AFTER, PATIENCE, ProbeRecord, ProbeRecords
from unit.upstream_answers import (
    ANSWERED,
    CLUSTER,
    FAILED,
    LATE,
    SERVFAIL,
    STUB,
    A,
    apply,
    make_answer,
    make_clearance,
)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != "answered"])
def test_one_failure_is_no_verdict(outcome: Outcome) -> None:
    """A lost datagram loses no upstream; two in a row do, and one answer restores it."""
    verdicts = apply({}, [make_answer(A), make_clearance(A)])
    for failures in range(1, LOST_AFTER + 1):
        verdicts = apply(verdicts, [make_answer(A, outcome)])
        assert verdicts[A].is_usable is (failures < LOST_AFTER)
    assert apply(verdicts, [make_answer(A)])[A].is_usable


def test_who_never_answered_is_not_usable() -> None:
    """A candidate that was not asked yet is no upstream to prefer."""
    assert not ProbeRecord().is_usable
    assert not apply({}, [make_answer(A, Outcome.TIMED_OUT)])[A].is_usable


def _inside(
    ask: ProbeKind, outcome: Outcome = ANSWERED, rcode: int = NXDOMAIN, *found: str
) -> Answer:
    """Return what came of the cluster's name, or one like it."""
    records = frozenset(ip_address(text) for text in found)
    has_records = outcome is ANSWERED and bool(records)
    return replace(
        make_answer(A, outcome),
        kind=ask,
        rcode=NOERROR if has_records else rcode,
        has_records=has_records,
        records=records,
        at=2.0,
    )


K, N, C_ = ProbeKind.CLUSTER, ProbeKind.NONSENSE, ProbeKind.CONTROL
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
    """Silence clears nobody, an answer alone proves nothing; the order doesn't matter."""
    services = Services(assumed=frozenset({CLUSTER}))
    answers = [make_answer(A), *said] if is_first else [*said, make_answer(A)]
    record = probe_record.apply_answers({}, answers, services)[A]
    assert record.is_usable is (expected is CLEAR)
    assert record.answers_cluster_names is (expected is CONVICT)


def test_one_and_the_same_round_clears() -> None:
    """Not knowing the name while names outside fail shows nothing: its API server may be away."""
    verdicts = apply({}, [make_answer(A, FAILED), _inside(K)])
    assert not verdicts[A].is_usable
    verdicts = {A: replace(verdicts[A], round={})}  # the next round
    assert not apply(verdicts, [make_answer(A)])[A].is_usable
    assert apply(verdicts, [make_answer(A), _inside(K)])[A].is_usable


def test_who_fell_silent_is_cleared_anew() -> None:
    """Somebody else may answer there: kube-proxy was not up when the address was silent."""
    verdicts = apply(
        {}, [make_answer(A), make_clearance(A), make_answer(A, LATE), make_answer(A, LATE)]
    )
    verdicts = {A: replace(verdicts[A], round={})}
    record = apply(verdicts, [make_answer(A)])[A]
    assert (record.is_usable, record.was_cleared) == (False, True)


def test_silence_takes_no_clearance_away() -> None:
    """One lost answer about the cluster's name is no reason to leave a server that resolves."""
    verdicts = apply({}, [make_answer(A), make_clearance(A)])
    assert apply(verdicts, [_inside(K, LATE), _inside(C_)])[A].is_usable


def test_who_was_found_out_is_cleared_by_not_knowing_the_name_alone() -> None:
    """However long it says nothing."""
    exposed = apply({}, [make_answer(A), _inside(K, ANSWERED, 0, SERVICE), _inside(N)])
    for at in range(0, 600, 10):
        alike = (_inside(K, FAILED, SERVFAIL), replace(_inside(C_, FAILED, SERVFAIL), at=float(at)))
        exposed = apply(exposed, [make_answer(A), *alike])
        assert exposed[A].answers_cluster_names
    assert apply(exposed, [make_answer(A), _inside(K)])[A].is_usable


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
    verdicts: ProbeRecords = {}
    for number in range(4):
        assert not verdicts or not verdicts[A].is_usable
        at = number * PATIENCE / 3
        answers = make_answer(A), _inside(K, FAILED, SERVFAIL), replace(control, at=at)
        verdicts = apply(verdicts, answers)
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
    answers = make_answer(A), _inside(K, ANSWERED, 0, SERVICE), _inside(N)
    record = probe_record.apply_answers({}, answers, services)[A]
    assert (record.is_usable, record.answers_cluster_names) == (
        expected is CLEAR,
        expected is CONVICT,
    )


@pytest.mark.parametrize(
    ("once", "expected"),
    [
        pytest.param(None, False, id="not asked yet"),
        pytest.param(_inside(ProbeKind.ONE_TIME), True, id="nobody has it"),
        pytest.param(_inside(ProbeKind.ONE_TIME, ANSWERED, 0, WEB), True, id="rewritten"),
        pytest.param(_inside(ProbeKind.ONE_TIME, ANSWERED, 0), False, id="empty again"),
        pytest.param(_inside(ProbeKind.ONE_TIME, FAILED, SERVFAIL), False, id="nobody behind it"),
        pytest.param(_inside(ProbeKind.ONE_TIME, LATE), False, id="silence"),
    ],
)
@pytest.mark.parametrize("is_stub", [True, False])
def test_an_empty_answer_needs_a_name_that_nobody_can_make_up(
    once: Answer | None, *, is_stub: bool, expected: bool
) -> None:
    """A stub on loopback and whoever names no root are asked for a one-time name as well."""
    address = STUB if is_stub else A
    answers = [replace(make_answer(address), is_hollow=not is_stub), make_clearance(address)]
    answers += [] if once is None else [replace(once, address=address)]
    assert apply({}, answers)[address].is_usable is expected
