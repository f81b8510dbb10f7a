"""NodeLocalDNS's health: a bound address, a listener, and a streak of answers to each probe.

Bound does not mean alive (node-cache binds its address before CoreDNS listens, and
SIGKILL leaves the address), and one answer does not mean it stays. Names of the cluster
and names outside go different ways, UDP and TCP too: each is a leg of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from dnsguard.core.answers import Answer, Outcome, ProbeKind, ProbeTarget
from dnsguard.core.model import NodeLocal
from dnsguard.core.observation import Observation
from dnsguard.core.policy import Policy
from dnsguard.core.probe_record import ProbeRecord, ProbeRecords
from dnsguard.formats.address import IPAddress, is_unique_local

HEARTBEAT = ProbeTarget(ProbeKind.CLUSTER)
"""The probe that is sent first, and most often."""
EXTERNAL = (ProbeTarget(ProbeKind.EXTERNAL), ProbeTarget(ProbeKind.EXTERNAL, tcp=True))
_LEGS = (HEARTBEAT, ProbeTarget(ProbeKind.CLUSTER, tcp=True), *EXTERNAL)
ONE_TIME = ProbeTarget(ProbeKind.ONE_TIME)
_URL = ProbeTarget(ProbeKind.HTTP)

SERVFAIL_CACHED = 6.0
"""Seconds for which an upstream that failed vouches for nothing: CoreDNS keeps a SERVFAIL
for 5 (its cache plugin), and says it again though the upstream is back."""
PROOF = 5.0
"""Seconds for which the answer to a one-time name counts."""

_ABOUT = {
    ProbeKind.CLUSTER: "for names of the cluster",
    ProbeKind.EXTERNAL: "for names outside",
    ProbeKind.ONE_TIME: "for a name that no cache has",
    ProbeKind.HTTP: "at its health URL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeStreak:
    """How one probe has gone lately. Either there are successes or failures."""

    successes: int = 0
    failures: int = 0
    failing_since: float | None = None
    """When the first of the failures was known."""
    heard_at: float | None = None
    """When the last outcome was known."""
    rtt: float | None = None
    """Seconds that the last answer took."""
    detail: str = ""
    asked_at: float | None = None
    waiting: int = 0
    """Questions under way."""


_NOTHING = ProbeStreak()


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What one node-local address has shown so far."""

    address: IPAddress | None = None
    state: NodeLocal = NodeLocal.UNKNOWN
    detail: str = "not asked yet"
    streaks: Mapping[ProbeTarget, ProbeStreak] = field(default_factory=dict)
    was_listening: bool = False
    """A socket has been seen on it, so that none there is a death."""

    @property
    def answers(self) -> bool:
        return self.state in (NodeLocal.WARMING, NodeLocal.HEALTHY)

    @property
    def is_well(self) -> bool:
        """Whether it is healthy and answered all that it was asked last."""
        failures = any(streak.failures for streak in self.streaks.values())
        return self.state is NodeLocal.HEALTHY and not failures

    @property
    def rtt(self) -> float | None:
        return self.streak(HEARTBEAT).rtt

    @property
    def suspected_since(self) -> float | None:
        """Since when names outside have failed: its own fault, or the upstream's."""
        return max(
            (since for leg in EXTERNAL if (since := self.streak(leg).failing_since) is not None),
            default=None,
        )

    def streak(self, leg: ProbeTarget) -> ProbeStreak:
        return self.streaks.get(leg, _NOTHING)

    def is_proven(self, now: float) -> bool:
        """Tell whether a one-time name was answered just now."""
        proof = self.streak(ONE_TIME)
        return proof.successes > 0 and now - (proof.heard_at or 0.0) <= PROOF

    def record_probe(self, leg: ProbeTarget, now: float) -> "Health":
        """Return the health with one question more under way."""
        streak = self.streak(leg)
        return self._replace_streak(leg, replace(streak, asked_at=now, waiting=streak.waiting + 1))

    def doubt(self, leg: ProbeTarget) -> "Health":
        """Return the health of one that is slow to answer a heartbeat: it is asked at once."""
        return self._replace_streak(leg, replace(self.streak(leg), asked_at=None))

    def apply_answer(self, answer: Answer, policy: Policy) -> "Health":
        """Return the health with one question less under way; its state is as it was."""
        streak = self.streak(answer.leg)
        is_told = answer.outcome is Outcome.HUNG  # by a heartbeat, and asked for by nobody
        waiting = streak.waiting if is_told else max(0, streak.waiting - 1)
        streak = replace(streak, waiting=waiting, heard_at=answer.at, detail=answer.detail)
        if answer.outcome is Outcome.ANSWERED:
            streak = replace(streak, successes=streak.successes + 1, rtt=answer.rtt)
            streak = replace(streak, failures=0, failing_since=None)
            return self._replace_streak(answer.leg, streak)
        # The kernel's word that nobody reads or listens needs no second one. (Over TCP it may be
        # a server that is changing places with its successor: RST, where UDP is handed over.)
        is_final = is_told or (answer.outcome is Outcome.UNREACHABLE and answer.leg == HEARTBEAT)
        since = answer.at if streak.failing_since is None else streak.failing_since
        failures = streak.failures + (policy.failures if is_final else 1)
        return self._replace_streak(
            answer.leg, replace(streak, successes=0, failures=failures, failing_since=since)
        )

    def confirm(self, answer: Answer, policy: Policy) -> "Health | None":
        """Return the health after an answer that tells nothing new; None if this one may.

        New is a failure, what comes of a one-time name, and anything while it is not healthy or
        fails in something: an upstream may have shown meanwhile that this is its own fault.
        """
        is_about_it = answer.address == self.address and answer.leg in list_targets(policy)
        if not (self.is_well and is_about_it) or answer.outcome is not Outcome.ANSWERED:
            return None
        return self.apply_answer(answer, policy)

    def _replace_streak(self, leg: ProbeTarget, streak: ProbeStreak) -> "Health":
        return replace(self, streaks={**self.streaks, leg: streak})


def list_targets(policy: Policy) -> tuple[ProbeTarget, ...]:
    """Return all the ways that have to work."""
    return (*_LEGS, _URL) if policy.health_url else _LEGS


def advance(health: Health, seen: Observation, policy: Policy, upstreams: ProbeRecords) -> Health:
    """Return the health after this look; ``upstreams`` is how these have answered.

    absent --> silent --> warming --> healthy       by address, answers, streak
       ^----------^----------^-----------|          by whatever is lost, at once
    """
    # 1. Nobody could list the addresses: that says nothing about NodeLocalDNS.
    if seen.bound is None:
        return health
    # 2. Without its address nothing can answer there; node-cache takes it away when it ends.
    address = _address(seen, policy, health.address)
    if address is None:
        return Health(state=NodeLocal.ABSENT, detail=_absent(seen.bound, policy))
    # 3. Another address is another server: its streak begins anew.
    if address != health.address:
        health = Health(address=address, detail=f"{address} is there, not asked yet")
    # 4. What it answered, on each leg: one that works over UDP alone is half dead (RFC 7766).
    for answer in seen.answers:
        if answer.address == address:
            health = _judge(health.apply_answer(answer, policy), policy, upstreams)
    # 5. Its last socket is gone: killed with -9 it leaves its address behind.
    return _track_listener(health, seen, policy)


def _absent(bound: frozenset[IPAddress], policy: Policy) -> str:
    missing = [str(address) for address in policy.nodelocal if address not in bound]
    unserved = [str(address) for address in policy.nodelocal if address in bound]
    words = [f"no interface has {', '.join(missing)}"] if missing else []
    words += [f"nothing listens on {', '.join(unserved)}"] if unserved else []
    return "; ".join(words)


def _may_be_service(address: IPAddress, seen: Observation, policy: Policy) -> bool:
    """Tell whether it may be cluster DNS's: kube-proxy binds those, too (kube-ipvs0).

    Nobody listens there.
    """
    is_open = is_unique_local(address) and address in policy.told and policy.require_binding
    return is_open and address not in (seen.listening or ())


def _address(seen: Observation, policy: Policy, known: IPAddress | None) -> IPAddress | None:
    """Return the first address that is bound, and listened on if any is."""
    bound = [address for address in policy.nodelocal if address in (seen.bound or ())]
    bound = [one for one in bound if one == known or not _may_be_service(one, seen, policy)]
    if not bound and not policy.require_binding:
        bound = list(policy.nodelocal[:1])
    served = [address for address in bound if address in (seen.listening or ())]
    return next(iter((*served, *bound)), None)


def _track_listener(health: Health, seen: Observation, policy: Policy) -> Health:
    """See that the socket is gone: death is an event, and needs no question."""
    if seen.listening is None or not policy.require_binding:
        return health
    if health.address in seen.listening:
        return replace(health, was_listening=True)
    if not health.was_listening:  # it may be answered for by a redirect
        return health
    return Health(
        address=health.address,
        state=NodeLocal.SILENT,
        detail=f"nothing listens on {health.address} any more",
        streaks={leg: _give_up(streak) for leg, streak in health.streaks.items()},
    )


def _give_up(streak: ProbeStreak) -> ProbeStreak:
    """Return what counts of a dead server's streak: when it was asked."""
    return ProbeStreak(asked_at=streak.asked_at, waiting=streak.waiting)


def _judge(health: Health, policy: Policy, upstreams: ProbeRecords) -> Health:
    """Return the health with the state that its streaks amount to."""
    is_healthy = health.state is NodeLocal.HEALTHY
    least = policy.failures if is_healthy else 1
    fault = next(_faults(health, policy, upstreams, least), None)
    if fault is not None:
        about = "" if fault == HEARTBEAT else f" {_describe_probe(fault)}"
        detail = f"{health.address} {health.streak(fault).detail}{about}"
        return replace(health, state=NodeLocal.SILENT, detail=detail)
    fewest = min(health.streak(leg).successes for leg in list_targets(policy))
    if is_healthy or fewest >= policy.successes:
        detail = f"{health.address} answers"
        if any(health.streak(leg).failures for leg in EXTERNAL):
            detail += ", but not for names outside: the upstream is silent, too"
        return replace(health, state=NodeLocal.HEALTHY, detail=detail)
    count = min(health.streak(HEARTBEAT).successes, policy.successes)
    detail = f"{health.address} answers, {count} of {policy.successes} times"
    for leg in EXTERNAL:
        if health.streak(leg).failures:
            detail = f"{health.address} {health.streak(leg).detail} {_describe_probe(leg)}"
    return replace(health, state=NodeLocal.WARMING, detail=detail)


def _faults(
    health: Health, policy: Policy, upstreams: ProbeRecords, least: int
) -> Iterator[ProbeTarget]:
    """Yield the legs that fail by its own fault, the most telling first."""
    for leg in list_targets(policy):
        streak = health.streak(leg)
        if streak.failures < least:
            continue
        if leg not in EXTERNAL or any(
            _is_upstream_working(one, streak) for one in upstreams.values()
        ):
            yield leg


def _is_upstream_working(upstream: ProbeRecord, streak: ProbeStreak) -> bool:
    """Tell whether an upstream was well all the while that names outside failed."""
    since, heard = streak.failing_since or 0.0, streak.heard_at or 0.0
    answered, failed = upstream.answered_at, upstream.failed_at
    return (
        upstream.answers
        and not upstream.answers_cluster_names
        and answered is not None
        and answered > since
        and (failed is None or heard - failed > SERVFAIL_CACHED)
    )


def _describe_probe(leg: ProbeTarget) -> str:
    return _ABOUT[leg.kind] + (" over TCP" if leg.tcp else "")
