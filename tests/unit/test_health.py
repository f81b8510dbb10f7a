"""NodeLocalDNS's health: a bound address, a listener, and a streak for each probe."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from dnsguard.core.answers import Answer, Outcome, ProbeKind, ProbeTarget
from dnsguard.core.health import EXTERNAL, HEARTBEAT, SERVFAIL_CACHED, Health, advance, list_targets
from dnsguard.core.model import NodeLocal
from dnsguard.core.observation import FileObservation, Observation
from dnsguard.core.policy import Policy
from dnsguard.core.probe_record import ProbeRecord, ProbeRecords
from dnsguard.formats.address import IPAddress

NODELOCAL = ip_address("169.254.25.10")
OTHER = ip_address("169.254.20.10")
POLICY = Policy(nodelocal=(NODELOCAL, OTHER), successes=3, failures=2)
NOW = 100.0
NOBODY: ProbeRecords = {}
UPSTREAM = ip_address("10.0.0.2")
BOUND = frozenset({NODELOCAL, ip_address("127.0.0.1")})


def _answers(
    told: str, *ways: ProbeTarget, of: IPAddress = NODELOCAL, outcome: Outcome = Outcome.TIMED_OUT
) -> tuple[Answer, ...]:
    """Return what came of these probes, or of all: ``+`` is an answer, ``-`` is none."""
    return tuple(
        Answer(
            address=of,
            outcome=Outcome.ANSWERED if sign == "+" else outcome,
            rtt=0.0004 if sign == "+" else None,
            detail="gives no answer in 1 s",
            at=NOW,
            kind=leg.kind,
            tcp=leg.tcp,
        )
        for sign in told
        for leg in ways or list_targets(POLICY)
    )


def _seen(
    *answers: Answer,
    bound: frozenset[IPAddress] | None = BOUND,
    listening: frozenset[IPAddress] | None = None,
) -> Observation:
    return Observation(
        now=NOW, wall=1.0, file=FileObservation(), bound=bound, listening=listening, answers=answers
    )


def _after(
    health: Health,
    *answers: Answer,
    upstreams: ProbeRecords = NOBODY,
    **seen: Any,  # noqa: ANN401
) -> Health:
    return advance(health, _seen(*answers, **seen), POLICY, upstreams)


def _healthy() -> Health:
    return _after(Health(), *_answers("+++"))


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
    health = _after(Health())
    for sign in [told] if is_at_once else told:
        health = _after(health, *_answers(sign))
    assert health.state is expected


def test_the_address_gone_is_the_end_at_once() -> None:
    """No failure is waited for, and nothing of the streak is kept."""
    gone = _after(_healthy(), bound=frozenset())
    assert gone.state is NodeLocal.ABSENT
    assert gone.address is None
    assert _after(gone, *_answers("+")).state is NodeLocal.WARMING


def test_another_nodelocal_address_starts_anew() -> None:
    """The answers of one address say nothing about another."""
    moved = _after(_healthy(), bound=frozenset({OTHER}))
    assert (moved.address, moved.state) == (OTHER, NodeLocal.UNKNOWN)


def test_other_servers_answers_do_not_count() -> None:
    """An upstream that answers makes no NodeLocalDNS healthy."""
    assert _after(Health(), *_answers("+++", of=OTHER)).state is NodeLocal.UNKNOWN


def test_nothing_is_known_before_the_addresses_are() -> None:
    """The first look comes before netlink: nothing is concluded."""
    assert _after(Health(), bound=None) == Health()


def test_the_first_configured_address_that_is_bound_counts() -> None:
    """With several node-local addresses the order of the configuration decides."""
    both = _after(Health(), bound=frozenset({OTHER, NODELOCAL}))
    assert both.address == NODELOCAL


def test_one_answer_is_enough_where_the_operator_says_so() -> None:
    """health.successes and health.failures are taken at their word."""
    policy = replace(POLICY, successes=1, failures=1)
    health = advance(Health(), _seen(*_answers("+")), policy, NOBODY)
    assert health.state is NodeLocal.HEALTHY
    assert advance(health, _seen(*_answers("-")), policy, NOBODY).state is NodeLocal.SILENT


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        ("+", "169.254.25.10 answers, 1 of 3 times"),
        ("+++", "169.254.25.10 answers"),
        ("-", "169.254.25.10 gives no answer in 1 s"),
        ("", "169.254.25.10 is there, not asked yet"),
    ],
)
def test_the_detail_can_be_read(told: str, detail: str) -> None:
    """What an operator sees is a sentence."""
    assert _after(Health(), *_answers(told)).detail == detail


def _upstream(
    answered: float | None, failed: float | None = None, failures: int = 0
) -> ProbeRecords:
    record = ProbeRecord(
        answered_at=answered, failed_at=failed, failures=failures, cleared_at=NOW, asked_at=NOW
    )
    return {UPSTREAM: record}


@pytest.mark.parametrize("leg", list_targets(POLICY))
def test_it_is_healthy_only_on_all_legs(leg: ProbeTarget) -> None:
    """Names of the cluster and outside, UDP and TCP: one missing is one too many."""
    others = [other for other in list_targets(POLICY) if other != leg]
    health = _after(Health(), *_answers("+++", *others))
    assert health.state is NodeLocal.WARMING
    assert _after(health, *_answers("+++", leg)).state is NodeLocal.HEALTHY


@pytest.mark.parametrize("leg", [HEARTBEAT, ProbeTarget(ProbeKind.CLUSTER, tcp=True)])
def test_the_cluster_leg_alone_ends_it(leg: ProbeTarget) -> None:
    """Whatever the upstream does: it has nothing to do with names of the cluster."""
    for upstreams in (NOBODY, _upstream(NOW + 1), _upstream(None, NOW, 5)):
        broken = _after(_healthy(), *_answers("--", leg), upstreams=upstreams)
        assert broken.state is NodeLocal.SILENT


@pytest.mark.parametrize("leg", EXTERNAL)
@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        pytest.param(_upstream(NOW + 1), NodeLocal.SILENT, id="the upstream works"),
        pytest.param(_upstream(NOW - 1), NodeLocal.HEALTHY, id="not asked since"),
        pytest.param(_upstream(NOW - 1, NOW, 2), NodeLocal.HEALTHY, id="silent, too"),
        pytest.param(_upstream(NOW + 1, NOW - 1), NodeLocal.HEALTHY, id="back just now"),
        pytest.param(
            _upstream(NOW + 1, NOW - SERVFAIL_CACHED - 1), NodeLocal.SILENT, id="back for long"
        ),
        pytest.param(NOBODY, NodeLocal.HEALTHY, id="none is known"),
    ],
)
def test_names_outside_fail(leg: ProbeTarget, upstreams: ProbeRecords, expected: NodeLocal) -> None:
    """It is NodeLocalDNS's fault only if an upstream was well all the while."""
    assert _after(_healthy(), *_answers("--", leg), upstreams=upstreams).state is expected


def test_an_upstream_found_out_as_cluster_dns_tells_nothing() -> None:
    """It is not what NodeLocalDNS asks."""
    (record,) = _upstream(NOW + 1).values()
    exposed = {UPSTREAM: replace(record, answers_cluster_names=True)}
    health = _after(_healthy(), *_answers("--", EXTERNAL[0]), upstreams=exposed)
    assert health.state is NodeLocal.HEALTHY
    assert health.detail.endswith("not for names outside: the upstream is silent, too")


def test_refused_once_is_dead() -> None:
    """The kernel says that nobody listens; a second question would say the same."""
    refused = _answers("-", HEARTBEAT, outcome=Outcome.UNREACHABLE)
    assert _after(_healthy(), *refused).state is NodeLocal.SILENT


def test_refused_over_tcp_once_is_a_failure_as_others() -> None:
    """A server changing places with its successor resets connections."""
    refused = _answers("-", ProbeTarget(ProbeKind.CLUSTER, tcp=True), outcome=Outcome.UNREACHABLE)
    once = _after(_healthy(), *refused)
    assert once.state is NodeLocal.HEALTHY
    assert _after(once, *refused).state is NodeLocal.SILENT


def test_the_last_listener_gone_is_the_end_at_once() -> None:
    """It need not be asked; and what it answered before counts for nothing any more."""
    served, nobody = frozenset({NODELOCAL}), frozenset[IPAddress]()
    health = _after(_healthy(), listening=served)
    gone = _after(health, listening=nobody)
    assert gone.state is NodeLocal.SILENT
    assert gone.detail == "nothing listens on 169.254.25.10 any more"
    assert _after(gone, *_answers("+"), listening=served).state is NodeLocal.WARMING


def test_a_listener_that_was_never_seen_is_not_missed() -> None:
    """A redirect answers without a socket, and where nobody can tell nothing is concluded."""
    assert _after(_healthy(), listening=frozenset()).state is NodeLocal.HEALTHY
    health = _after(_healthy(), listening=frozenset({NODELOCAL}))
    assert _after(health, listening=None).state is NodeLocal.HEALTHY


def test_of_two_bound_addresses_the_one_that_is_listened_on_counts() -> None:
    """A node may keep the address of a NodeLocalDNS that is long gone."""
    health = _after(Health(), bound=frozenset({OTHER, NODELOCAL}), listening=frozenset({OTHER}))
    assert health.address == OTHER


def test_without_a_binding_the_answer_alone_counts_where_told_so() -> None:
    """Cilium answers on an address that no interface has."""
    policy = replace(POLICY, require_binding=False)
    seen = _seen(*_answers("+++"), bound=frozenset(), listening=frozenset())
    assert advance(Health(), seen, policy, NOBODY).state is NodeLocal.HEALTHY
    assert advance(Health(), seen, POLICY, NOBODY).state is NodeLocal.ABSENT


def test_its_own_word_counts_where_it_is_asked_for() -> None:
    """A health URL is one more probe."""
    policy = replace(POLICY, health_url="http://169.254.25.10:9254/health")
    health = advance(Health(), _seen(*_answers("+++")), policy, NOBODY)
    assert health.state is NodeLocal.WARMING
    url = ProbeTarget(ProbeKind.HTTP)
    health = advance(health, _seen(*_answers("+++", url)), policy, NOBODY)
    assert health.state is NodeLocal.HEALTHY
    sick = advance(health, _seen(*_answers("--", url)), policy, NOBODY)
    assert sick.detail == "169.254.25.10 gives no answer in 1 s at its health URL"


class TestAUniqueLocalAddress:
    """fd00::10 from kubelet's clusterDNS: NodeLocalDNS's, or cluster DNS's own service's."""

    ULA = ip_address("fd00::10")
    POLICY = replace(POLICY, nodelocal=(ULA, NODELOCAL), told=frozenset({ULA}))

    def _after(self, health: Health, *answers: Answer, is_served: bool = True) -> Health:
        listening = frozenset({self.ULA}) if is_served else frozenset[IPAddress]()
        seen = _seen(*answers, bound=frozenset({self.ULA}), listening=listening)
        return advance(health, seen, self.POLICY, NOBODY)

    def test_it_is_nodelocal_dns_where_somebody_listens(self) -> None:
        """Bound and served, it is asked like any other; its death is noticed at once."""
        health = self._after(Health(), *_answers("+++", of=self.ULA))
        assert (health.address, health.state) == (self.ULA, NodeLocal.HEALTHY)
        dead = self._after(health, is_served=False)
        assert (dead.address, dead.state) == (self.ULA, NodeLocal.SILENT)

    def test_it_is_a_service_where_nobody_does(self) -> None:
        """kube-proxy binds service addresses to kube-ipvs0, and they answer."""
        health = self._after(Health(), *_answers("+++", of=self.ULA), is_served=False)
        assert health.state is NodeLocal.ABSENT
        assert health.detail == "no interface has 169.254.25.10; nothing listens on fd00::10"

    def test_a_configured_one_needs_no_listener(self) -> None:
        """A redirect may answer for it."""
        policy = replace(self.POLICY, told=frozenset())
        seen = _seen(*_answers("+++", of=self.ULA), bound=frozenset({self.ULA}))
        assert advance(Health(), seen, policy, NOBODY).state is NodeLocal.HEALTHY
