"""Whom to ask next, for what, and when: often while something changes, else seldom."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace

from dnsguard.core.answers import Probe, ProbeKind, ProbeTarget, Question
from dnsguard.core.backoff import back_off
from dnsguard.core.evidence import Services
from dnsguard.core.health import HEARTBEAT, ONE_TIME, Health, ProbeStreak, list_targets
from dnsguard.core.memory import Memory
from dnsguard.core.model import RANK, NodeLocal
from dnsguard.core.policy import Policy
from dnsguard.core.probe_record import ProbeRecord, find_missing
from dnsguard.core.upstreams import Pool, Upstream
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress

LOST = 5.0
"""Seconds after which a question that brought no answer at all is asked anew."""
SPARE = 6
"""Upstreams not in use are asked this much more seldom."""
MOST_ASKED = 8
"""Upstreams asked at once; the others wait for their turn."""
CLEARANCE = 60.0
"""Seconds after which a server is tried anew for a name that cluster DNS alone knows."""
SLACK, MOST_SLACK = 0.1, 0.5
"""Of an interval, and in seconds: what is due so soon is asked with what is due now. Each time
that the loop is woken costs more than a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The questions due now, and when the next one is."""

    now: tuple[Probe, ...]
    next_at: float
    upstreams_at: float
    """When the next one to an upstream is."""


def wording(query: Probe, policy: Policy, label: str) -> Question:
    """Return what to ask; ``label`` makes a one-time name, and must be new each time."""
    name, rdtype, ask = policy.upstream_question, "NS", query.leg.kind
    if ask is ProbeKind.ONE_TIME:
        name, rdtype = f"{label}.{_cluster_zone(query, policy)}", "A"
    if ask in (ProbeKind.CLUSTER, ProbeKind.NONSENSE, ProbeKind.CONTROL):
        name = _cluster_name(ask, policy, label)
        # A service has records of the cluster's own families only.
        inside = policy.nodelocal[0]
        if query.address in policy.cluster:
            name, inside = policy.nodelocal_question or name, query.address
        rdtype = "A" if inside.version == 4 else "AAAA"
    return Question(name=name, rdtype=rdtype, ask=ask)


def _cluster_zone(query: Probe, policy: Policy) -> str:
    """Return the zone of one-time names.

    systemd-resolved sends no name of a single label to a server (resolved.conf(5)): below
    the root an upstream is asked in a zone that the root's own servers have.
    """
    zone = policy.upstream_question.strip(".")
    return zone if zone or query.address in policy.cluster else "arpa"


def _cluster_name(ask: ProbeKind, policy: Policy, label: str) -> str:
    """Return the cluster's own name, one beside it, or the same in a domain beside."""
    domain = policy.cluster_domain
    if ask is ProbeKind.NONSENSE:
        return f"{label}.default.svc.{domain}"
    if ask is ProbeKind.CONTROL:
        domain = ".".join((label, *domain.split(".")[1:]))
    return f"kubernetes.default.svc.{domain}"


def due_probes(  # noqa: PLR0913 -- each a fact of one look
    memory: Memory,
    now: float,
    policy: Policy,
    known: Pool,
    services: Services,
    *,
    needs_proof: bool = False,
) -> tuple[Memory, Questions]:
    """Choose the questions, and note them as asked.

    ``needs_proof`` says that a handover waits for nothing but a one-time name's answer.
    """
    health, due = to_nodelocal(memory.health, now, policy, needs_proof=needs_proof)
    next_at = float("inf")
    in_use = {server.address for server in resolvconf.read_nameservers(memory.written or b"")}
    suspected, tcp = health.suspected_since, resolvconf.uses_tcp(memory.foreign or b"")
    failing = _find_failing_since(known, in_use)
    is_served = any(u.is_usable and u.refusal is None for u in known)
    records = {upstream.address: upstream.record for upstream in known}
    turns: list[tuple[bool, float, IPAddress]] = []
    for one in _is_worth_asking(known, memory, policy):
        is_in_use = one.address in in_use
        interval = CLEARANCE
        if one.refusal is None:
            interval = _interval(one.record, policy, is_in_use=is_in_use, is_served=is_served)
        at = _due(one.record, interval)
        soon = now + _slack(interval)
        asked_at = one.record.asked_at or 0.0
        if suspected is not None and one.is_usable and asked_at <= suspected:
            at = now  # it tells whose fault it is
        if failing is not None and one.is_usable and not is_in_use and asked_at <= failing:
            at = now  # it tells whether it is any better, before it is written
        more = find_missing(one.record, one.address, services)
        if more and at > soon:
            due += (Probe(one.address, ProbeTarget(ask, tcp)) for ask in sorted(more))
            records[one.address] = replace(one.record, asked=one.record.asked | more)
        elif at <= soon:
            turns.append((not is_in_use, at, one.address))
        if at > soon:
            next_at = min(next_at, at)
    turns.sort(key=lambda turn: turn[:2])
    for _, _, address in turns[: MOST_ASKED - _under_way(records.values(), now)]:
        asks = _first(records[address], now)
        due += (Probe(address, ProbeTarget(ask, tcp)) for ask in asks)
        asked = frozenset(asks)
        records[address] = replace(records[address], asked_at=now, asked=asked, round={})
    memory = replace(memory, health=health, probe_records=records)
    asked_at = nodelocal_at(health, policy, needs_proof=needs_proof)
    return memory, Questions(now=tuple(due), next_at=min(next_at, asked_at), upstreams_at=next_at)


def _is_worth_asking(known: Pool, memory: Memory, policy: Policy) -> Iterator[Upstream]:
    """Yield whom to ask, best first.

    A guess is asked when all that rank above have failed: dnsguard bothers no router and
    no public resolver that nobody named without need. Who was taken for cluster DNS gets
    the chance to be it no longer.
    """
    is_served, is_open, is_needed, rank = False, False, True, 0
    for upstream in known:
        if upstream.refusal is not None:
            if (
                upstream.address in memory.cluster_resolvers
                and upstream.address not in policy.cluster
            ):
                yield upstream
            continue
        if RANK[upstream.candidate.source] != rank:
            rank = RANK[upstream.candidate.source]
            is_needed = not (is_served or is_open)
        if upstream.is_guess and not is_needed:
            continue
        is_served |= upstream.is_usable
        is_open |= upstream.is_open
        yield upstream


def _find_failing_since(known: Pool, in_use: Container[IPAddress]) -> float | None:
    """Return since when one that is in use has brought no answer."""
    times = (one.record.failing_since for one in known if one.address in in_use)
    return max((at for at in times if at is not None), default=None)


def _first(record: ProbeRecord, now: float) -> tuple[ProbeKind, ...]:
    """Return what a round begins with."""
    is_cleared = record.cleared_at is not None and now - record.cleared_at < CLEARANCE
    return (ProbeKind.UPSTREAM,) if is_cleared else (ProbeKind.CLUSTER, ProbeKind.UPSTREAM)


def _under_way(records: Iterable[ProbeRecord], now: float) -> int:
    return sum(one.is_waiting and now - (one.asked_at or 0.0) < LOST for one in records)


def _due(asked: ProbeRecord, interval: float) -> float:
    if asked.asked_at is None:
        return float("-inf")
    return asked.asked_at + (LOST if asked.is_waiting else interval)


def to_nodelocal(
    health: Health, now: float, policy: Policy, *, needs_proof: bool = False
) -> tuple[Health, list[Probe]]:
    """Choose what to ask NodeLocalDNS, and note it as asked."""
    due: list[Probe] = []
    if health.address is None:
        return health, due
    for leg in _legs_asked(health, policy, needs_proof=needs_proof):
        if _leg_due(leg, health, policy) - _slack(_leg_wait(leg, health, policy)) <= now:
            due.append(Probe(health.address, leg))
            health = health.record_probe(leg, now)
    return health, due


def nodelocal_at(health: Health, policy: Policy, *, needs_proof: bool = False) -> float:
    """Return when it comes to the next question to NodeLocalDNS."""
    asked = _legs_asked(health, policy, needs_proof=needs_proof)
    return min((_leg_due(leg, health, policy) for leg in asked), default=float("inf"))


def _legs_asked(health: Health, policy: Policy, *, needs_proof: bool) -> tuple[ProbeTarget, ...]:
    """Return the ways that are tried; who doesn't answer at all is asked one thing."""
    if health.address is None:
        return ()
    if health.state is not NodeLocal.HEALTHY and health.streak(HEARTBEAT).successes == 0:
        return (HEARTBEAT,)
    return (*list_targets(policy), ONE_TIME) if needs_proof else list_targets(policy)


def _leg_due(leg: ProbeTarget, health: Health, policy: Policy) -> float:
    streak = health.streak(leg)
    if streak.asked_at is None:
        return float("-inf")
    return streak.asked_at + _leg_wait(leg, health, policy)


def _leg_wait(leg: ProbeTarget, health: Health, policy: Policy) -> float:
    """Return the seconds from the last question to the next."""
    streak = health.streak(leg)
    if not streak.waiting:
        return _leg_interval(streak, policy)
    # One that is slow to answer may hang: it is not waited for till the time is up.
    may_hang = health.state is NodeLocal.HEALTHY and streak.waiting < policy.failures
    return policy.fast if may_hang else LOST


def _leg_interval(streak: ProbeStreak, policy: Policy) -> float:
    if streak.failures:
        # Long silence is stable too, though a pod may come up any second.
        return min(policy.slow, policy.fast * min(5, 1 + streak.failures // 5))
    if streak.successes < policy.successes:
        return policy.fast
    return policy.slow


def _slack(interval: float) -> float:
    return min(SLACK * interval, MOST_SLACK)


def _interval(record: ProbeRecord, policy: Policy, *, is_in_use: bool, is_served: bool) -> float:
    longest = policy.slow if is_in_use or not is_served else SPARE * policy.slow
    tries = max(record.failures, record.doubts)
    if not record.is_usable or tries:
        return back_off(policy.fast, tries, longest)
    return longest
