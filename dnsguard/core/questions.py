"""Whom to ask next, and when: often while something changes, seldom when nothing does."""

from dataclasses import dataclass, replace

from dnsguard.core import resolvconf
from dnsguard.core.address import IPAddress
from dnsguard.core.health import Health
from dnsguard.core.memory import Memory
from dnsguard.core.model import Ask, Policy
from dnsguard.core.upstreams import MOST_ASKED, Pool, Verdict

LOST = 5.0
"""Seconds after which a question that brought no answer at all is asked anew."""
SPARE = 6
"""Upstreams not in use are asked this much more seldom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The questions due now, and when the next one is."""

    now: tuple[tuple[IPAddress, Ask], ...]
    next_at: float


def questions(memory: Memory, now: float, policy: Policy, pool: Pool) -> tuple[Memory, Questions]:
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
    verdicts = {upstream.address: upstream.verdict for upstream in pool}
    for address, verdict in list(verdicts.items())[:MOST_ASKED]:
        at = _due(verdict, _upstream_interval(verdict, policy, is_in_use=address in in_use))
        if at <= now:
            due.append((address, Ask.UPSTREAM))
            verdicts[address] = replace(verdict, asked_at=now, waiting=True)
        else:
            next_at = min(next_at, at)
    memory = replace(memory, health=health, verdicts=verdicts)
    return memory, Questions(now=tuple(due), next_at=next_at)


def _due(asked: Health | Verdict, interval: float) -> float:
    if asked.asked_at is None:
        return float("-inf")
    return asked.asked_at + (LOST if asked.waiting else interval)


def _nodelocal_interval(health: Health, policy: Policy) -> float:
    if health.is_settled:
        return policy.slow
    # Long silence is stable too, though a pod may come up any second.
    return min(policy.slow, policy.fast * min(5, 1 + health.failures // 5))


def _upstream_interval(verdict: Verdict, policy: Policy, *, is_in_use: bool) -> float:
    if not verdict.is_usable or verdict.failures:
        return min(policy.slow, policy.fast * 2.0 ** min(verdict.failures, 8))
    return policy.slow if is_in_use else SPARE * policy.slow
