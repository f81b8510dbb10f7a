"""Whom to ask next, and when: often while something changes, seldom when nothing does."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from dnsguard.core import resolvconf
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Ask
from dnsguard.core.health import Health
from dnsguard.core.memory import Memory
from dnsguard.core.model import RANK, Policy
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

    now: tuple[tuple[IPAddress, Ask], ...]
    next_at: float


def questions(memory: Memory, now: float, policy: Policy, known: Pool) -> tuple[Memory, Questions]:
    """Choose the questions, and note them as asked."""
    due: list[tuple[IPAddress, Ask]] = []
    next_at = float("inf")
    health = memory.health
    if health.address is not None:
        at = _due(health, _nodelocal_interval(health, policy))
        if at <= now:
            due.append((health.address, Ask.CLUSTER))
            health = replace(health, asked_at=now, waiting=True)
        else:
            next_at = at
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


def _both(address: IPAddress, verdict: Verdict, now: float) -> Iterator[tuple[IPAddress, Ask]]:
    if verdict.cleared_at is None or now - verdict.cleared_at >= CLEARANCE:
        yield address, Ask.CLUSTER
    yield address, Ask.UPSTREAM


def _under_way(verdicts: Iterable[Verdict], now: float) -> int:
    return sum(one.waiting and now - (one.asked_at or 0.0) < LOST for one in verdicts)


def _due(asked: Health | Verdict, interval: float) -> float:
    if asked.asked_at is None:
        return float("-inf")
    return asked.asked_at + (LOST if asked.waiting else interval)


def _nodelocal_interval(health: Health, policy: Policy) -> float:
    if health.is_settled:
        return policy.slow
    # Long silence is stable too, though a pod may come up any second.
    return min(policy.slow, policy.fast * min(5, 1 + health.failures // 5))


def _interval(verdict: Verdict, policy: Policy, *, is_in_use: bool, is_served: bool) -> float:
    longest = policy.slow if is_in_use or not is_served else SPARE * policy.slow
    if not verdict.is_usable or verdict.failures:
        return min(longest, policy.fast * 2.0 ** min(verdict.failures, 10))
    return longest
