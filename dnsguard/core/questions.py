"""Whom to ask next, for what, and when: often while something changes, else seldom."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from dnsguard.core import resolvconf
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Ask, Leg, Query, Question
from dnsguard.core.health import HEARTBEAT, ONE_TIME, Health, Streak, legs
from dnsguard.core.memory import Memory
from dnsguard.core.model import RANK, NodeLocal, Policy
from dnsguard.core.upstreams import Pool, Upstream, Verdict

LOST = 5.0
"""Seconds after which a question that brought no answer at all is asked anew."""
SPARE = 6
"""Upstreams not in use are asked this much more seldom."""
MOST_ASKED = 8
"""Upstreams asked at once; the others wait for their turn."""
CLEARANCE = 60.0
"""Seconds after which a server is tried anew for a name that cluster DNS alone knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The questions due now, and when the next one is."""

    now: tuple[Query, ...]
    next_at: float


def wording(query: Query, policy: Policy, label: str) -> Question:
    """Return what to ask; ``label`` makes a one-time name, and must be new each time."""
    name, rdtype, ask = policy.upstream_question, "NS", query.leg.ask
    if ask is Ask.ONE_TIME:
        name, rdtype = f"{label}.{name.strip('.')}", "A"
    if ask is Ask.CLUSTER:
        name = f"kubernetes.default.svc.{policy.cluster_domain}"
        # A service has records of the cluster's own families only.
        inside = policy.nodelocal[0]
        if query.address in policy.cluster:
            name, inside = policy.nodelocal_question or name, query.address
        rdtype = "A" if inside.version == 4 else "AAAA"
    return Question(name=name, rdtype=rdtype, ask=ask)


def questions(
    memory: Memory, now: float, policy: Policy, known: Pool, *, needs_proof: bool = False
) -> tuple[Memory, Questions]:
    """Choose the questions, and note them as asked.

    ``needs_proof`` says that a handover waits for nothing but a one-time name's answer.
    """
    health, due, next_at = _nodelocal(memory.health, now, policy, needs_proof=needs_proof)
    suspected = health.suspected_since
    in_use = {server.address for server in resolvconf.nameservers(memory.written or b"")}
    is_served = any(u.is_usable and u.refusal is None for u in known)
    verdicts = {upstream.address: upstream.verdict for upstream in known}
    turns: list[tuple[bool, float, IPAddress]] = []
    for one in _worth_asking(known, policy):
        is_in_use = one.address in in_use
        interval = CLEARANCE
        if one.refusal is None:
            interval = _interval(one.verdict, policy, is_in_use=is_in_use, is_served=is_served)
        at = _due(one.verdict, interval)
        if suspected is not None and one.is_usable and (one.verdict.asked_at or 0.0) <= suspected:
            at = now  # it tells whose fault it is
        if at <= now:
            turns.append((not is_in_use, at, one.address))
        else:
            next_at = min(next_at, at)
    turns.sort(key=lambda turn: turn[:2])
    for _, _, address in turns[: MOST_ASKED - _under_way(verdicts.values(), now)]:
        due += _both(address, verdicts[address], now)
        verdicts[address] = replace(verdicts[address], asked_at=now, waiting=True)
    memory = replace(memory, health=health, verdicts=verdicts)
    return memory, Questions(now=tuple(due), next_at=next_at)


def _worth_asking(known: Pool, policy: Policy) -> Iterator[Upstream]:
    """Yield whom to ask, best first.

    A guess is asked when all that rank above have failed: dnsguard bothers no router and
    no public resolver that nobody named without need. Who was taken for cluster DNS gets
    the chance to be it no longer.
    """
    is_served, is_open, is_needed, rank = False, False, True, 0
    for upstream in known:
        if upstream.refusal is not None:
            if upstream.verdict.is_exposed and upstream.address not in policy.cluster:
                yield upstream
            continue
        if RANK[upstream.candidate.source] != rank:
            rank = RANK[upstream.candidate.source]
            is_needed = not (is_served or is_open)
        if upstream.is_guess and not is_needed:
            continue
        is_served |= upstream.is_usable
        is_open |= not upstream.is_usable and not upstream.verdict.failures
        yield upstream


def _both(address: IPAddress, verdict: Verdict, now: float) -> Iterator[Query]:
    if verdict.cleared_at is None or now - verdict.cleared_at >= CLEARANCE:
        yield Query(address, Leg(Ask.CLUSTER))
    yield Query(address, Leg(Ask.UPSTREAM))


def _under_way(verdicts: Iterable[Verdict], now: float) -> int:
    return sum(one.waiting and now - (one.asked_at or 0.0) < LOST for one in verdicts)


def _due(asked: Verdict, interval: float) -> float:
    if asked.asked_at is None:
        return float("-inf")
    return asked.asked_at + (LOST if asked.waiting else interval)


def _nodelocal(
    health: Health, now: float, policy: Policy, *, needs_proof: bool
) -> tuple[Health, list[Query], float]:
    """Choose what to ask NodeLocalDNS; who doesn't answer at all is asked one thing."""
    if health.address is None:
        return health, [], float("inf")
    is_there = health.state is NodeLocal.HEALTHY or health.streak(HEARTBEAT).successes > 0
    due: list[Query] = []
    next_at = float("inf")
    asked = (*legs(policy), ONE_TIME) if needs_proof else legs(policy)
    for leg in asked if is_there else (HEARTBEAT,):
        at = _leg_due(leg, health, policy)
        if at <= now:
            due.append(Query(health.address, leg))
            health = health.asked(leg, now)
            at = _leg_due(leg, health, policy)
        next_at = min(next_at, at)
    return health, due, next_at


def _leg_due(leg: Leg, health: Health, policy: Policy) -> float:
    streak = health.streak(leg)
    if streak.asked_at is None:
        return float("-inf")
    if not streak.waiting:
        return streak.asked_at + _leg_interval(leg, streak, policy)
    # One that is slow to answer may hang: it is not waited for till the time is up.
    may_hang = health.state is NodeLocal.HEALTHY and streak.waiting < policy.failures
    return streak.asked_at + (policy.fast if may_hang else LOST)


def _leg_interval(leg: Leg, streak: Streak, policy: Policy) -> float:
    if streak.failures:
        # Long silence is stable too, though a pod may come up any second.
        return min(policy.slow, policy.fast * min(5, 1 + streak.failures // 5))
    if streak.successes < policy.successes:
        return policy.fast
    return min(policy.heartbeat, policy.slow) if leg == HEARTBEAT else policy.slow


def _interval(verdict: Verdict, policy: Policy, *, is_in_use: bool, is_served: bool) -> float:
    longest = policy.slow if is_in_use or not is_served else SPARE * policy.slow
    if not verdict.is_usable or verdict.failures:
        return min(longest, policy.fast * 2.0 ** min(verdict.failures, 10))
    return longest
