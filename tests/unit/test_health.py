"""NodeLocalDNS's health: a bound address and a streak."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Answer, Outcome
from dnsguard.core.health import Health, advance
from dnsguard.core.model import FileSeen, NodeLocal, Observation, Policy

NODELOCAL = ip_address("169.254.25.10")
OTHER = ip_address("169.254.20.10")
POLICY = Policy(nodelocal=(NODELOCAL, OTHER), successes=3, failures=2)
BOUND = frozenset({NODELOCAL, ip_address("127.0.0.1")})


def _seen(
    told: str = "", *, of: IPAddress = NODELOCAL, bound: frozenset[IPAddress] | None = BOUND
) -> Observation:
    """Return a look that brought these answers: ``+`` is one, ``-`` is none."""
    answers = tuple(
        Answer(
            address=of,
            outcome=Outcome.ANSWERED if sign == "+" else Outcome.TIMED_OUT,
            rtt=0.0004 if sign == "+" else None,
            detail="gives no answer in 1 s",
            at=1.0,
        )
        for sign in told
    )
    return Observation(now=1.0, wall=1.0, file=FileSeen(), bound=bound, answers=answers)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("", NodeLocal.UNKNOWN),
        ("+", NodeLocal.WARMING),
        ("++", NodeLocal.WARMING),
        ("+++", NodeLocal.HEALTHY),
        ("++-+", NodeLocal.WARMING),
        ("-", NodeLocal.SILENT),
        ("-++", NodeLocal.WARMING),
        ("-+++", NodeLocal.HEALTHY),
        ("+++-", NodeLocal.HEALTHY),
        ("+++--", NodeLocal.SILENT),
        ("+++-+-+-", NodeLocal.HEALTHY),
        ("+++--+", NodeLocal.WARMING),
        ("+++--+++", NodeLocal.HEALTHY),
    ],
)
@pytest.mark.parametrize("is_at_once", [True, False])
def test_the_streak(told: str, expected: NodeLocal, *, is_at_once: bool) -> None:
    """Three answers in a row make it healthy, two failures end it, in one look or in many."""
    health = advance(Health(), _seen(), POLICY)
    for sign in [told] if is_at_once else told:
        health = advance(health, _seen(sign), POLICY)
    assert health.state is expected


def test_the_address_gone_is_the_end_at_once() -> None:
    """No failure is waited for, and nothing of the streak is kept."""
    health = advance(Health(), _seen("+++"), POLICY)
    gone = advance(health, _seen(bound=frozenset()), POLICY)
    assert gone.state is NodeLocal.ABSENT
    assert gone.address is None
    assert advance(gone, _seen("+"), POLICY).state is NodeLocal.WARMING


def test_another_nodelocal_address_starts_anew() -> None:
    """The answers of one address say nothing about another."""
    health = advance(Health(), _seen("+++"), POLICY)
    moved = advance(health, _seen(bound=frozenset({OTHER})), POLICY)
    assert (moved.address, moved.state) == (OTHER, NodeLocal.UNKNOWN)


def test_other_servers_answers_do_not_count() -> None:
    """An upstream that answers makes no NodeLocalDNS healthy."""
    assert advance(Health(), _seen("+++", of=OTHER), POLICY).state is NodeLocal.UNKNOWN


def test_nothing_is_known_before_the_addresses_are() -> None:
    """The first look comes before netlink: nothing is concluded."""
    assert advance(Health(), _seen(bound=None), POLICY) == Health()


def test_the_first_configured_address_that_is_bound_counts() -> None:
    """With several node-local addresses the order of the configuration decides."""
    both = advance(Health(), _seen(bound=frozenset({OTHER, NODELOCAL})), POLICY)
    assert both.address == NODELOCAL


def test_one_answer_is_enough_where_the_operator_says_so() -> None:
    """health.successes and health.failures are taken at their word."""
    policy = replace(POLICY, successes=1, failures=1)
    health = advance(Health(), _seen("+"), policy)
    assert health.state is NodeLocal.HEALTHY
    assert health.is_settled
    assert advance(health, _seen("-"), policy).state is NodeLocal.SILENT


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        ("+", "169.254.25.10 answers, 1 of 3 times"),
        ("+++", "169.254.25.10 answers"),
        ("-", "169.254.25.10 is bound but gives no answer in 1 s"),
        ("", "169.254.25.10 is bound, not asked yet"),
    ],
)
def test_the_detail_can_be_read(told: str, detail: str) -> None:
    """What an operator sees is a sentence."""
    assert advance(Health(), _seen(told), POLICY).detail == detail
