"""What a daemon would know and do by now, where none runs: look, ask, decide; nothing is applied.

``plan``, ``upstreams`` and ``forecast`` start from here. What is asked is what the daemon
would ask: NodeLocalDNS and the upstreams, until their streak is long enough, and the DHCP
servers of leases that can't tell.
"""

import asyncio
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from dnsguard import prober
from dnsguard.core.answers import Answer
from dnsguard.core.decide import decide
from dnsguard.core.memory import Memory
from dnsguard.core.observation import DhcpAnswer, Observation
from dnsguard.core.plan import Plan
from dnsguard.guard import Guard
from dnsguard.host import dhcp_query
from dnsguard.host.addresses import Addresses, Unknown

_ROUNDS_BESIDE_STREAK = 2
"""Who is there at all, and the proof behind the streak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What is known, seen and decided; nothing of it is done."""

    memory: Memory
    seen: Observation
    """Without the answers: each counts once, and is in the memory."""
    plan: Plan


def look(guard: Guard) -> DryRun:
    """Look at everything that is looked at without asking anybody, and decide."""
    with suppress(OSError), closing(Addresses()) as addresses:
        bound = addresses.find_bound()
        guard.surroundings.set_addresses(None if isinstance(bound, Unknown) else bound, None)
    guard.search()
    guard.refresh()
    return _decide(guard, guard.memory)


async def ask(guard: Guard) -> DryRun:
    """Look, ask whoever is due, and look again, until nobody is left to be asked."""
    known = look(guard)
    for _ in range(guard.policy.successes + _ROUNDS_BESIDE_STREAK):
        if not (known.plan.questions or known.plan.dhcp_queries):
            break
        known = await _ask_once(guard, known)
        if not known.plan.questions and known.memory.health.address is not None:
            await asyncio.sleep(guard.policy.fast)
            known = _decide(guard, known.memory)
    return known


async def _ask_once(guard: Guard, known: DryRun) -> DryRun:
    probes = [prober.ask(one, guard.policy) for one in known.plan.questions]
    queries = [dhcp_query.query(one, timeout=dhcp_query.TIMEOUT) for one in known.plan.dhcp_queries]
    answers, told = await asyncio.gather(asyncio.gather(*probes), asyncio.gather(*queries))
    return _decide(guard, known.memory, tuple(answers), tuple(told))


def _decide(
    guard: Guard,
    memory: Memory,
    answers: tuple[Answer, ...] = (),
    dhcp_answers: tuple[DhcpAnswer, ...] = (),
) -> DryRun:
    seen = guard.observe()
    heard = replace(seen, answers=answers, dhcp_answers=dhcp_answers)
    memory, plan = decide(memory, heard, guard.policy)
    return DryRun(memory=memory, seen=seen, plan=plan)
