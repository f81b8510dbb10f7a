"""What would be done now, as text: decided by the same policy, applied by nobody."""

import asyncio
from contextlib import closing, suppress
from dataclasses import replace

from dnsguard.core.decide import decide, decide_ahead
from dnsguard.guard import Guard
from dnsguard.reporting.plan import describe
from dnsguard.reporting.status import candidates


def candidates_alone(guard: Guard) -> dict[str, object]:
    """Return the candidates where no daemon runs: what one would start with."""
    _take_in(guard)
    seen = guard.observe()
    memory, plan = decide(guard.memory, seen, guard.policy)
    return {"upstreams": candidates(memory, seen, plan, guard.policy)}


def _take_in(guard: Guard) -> None:
    """Look at everything that is looked at without asking anybody."""
    # Here, not above: the daemon's first look must not wait for pyroute2.
    from dnsguard.host.addresses import Addresses, Unknown

    with suppress(OSError), closing(Addresses()) as addresses:
        bound = addresses.bound()
        guard.set_addresses(None if isinstance(bound, Unknown) else bound)
    guard.search()
    guard.refresh()


async def preview_alone(guard: Guard) -> dict[str, object]:
    """Return the plan where no daemon runs: look, ask, and decide as one would."""
    from dnsguard.prober import ask

    _take_in(guard)
    seen = guard.observe()
    memory = guard.memory
    memory, plan = decide(memory, seen, guard.policy)
    for _ in range(guard.policy.successes + 2):  # who is there, the streak, the proof
        asked = [ask(query, guard.policy) for query in plan.questions]
        if not asked:
            break
        answers = tuple(await asyncio.gather(*asked))
        seen = replace(guard.observe(), answers=answers)
        memory, plan = decide(memory, seen, guard.policy)
        if not plan.questions and memory.health.address is not None:
            await asyncio.sleep(guard.policy.fast)
            seen = guard.observe()
            memory, plan = decide(memory, seen, guard.policy)
    later = 0.0
    if not plan.writes_resolv_conf:
        _, plan, later = decide_ahead(memory, replace(seen, answers=()), guard.policy)
    return {"daemon": False, **describe(guard.paths, seen, plan, later)}
