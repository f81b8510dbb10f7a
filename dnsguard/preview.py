"""What would be done now, as text: decided by the same policy, applied by nobody."""

import asyncio
import difflib
import time
from contextlib import closing, suppress

from dnsguard.config import Config
from dnsguard.core.decide import decide
from dnsguard.core.model import Observation, Plan, ReplaceFile, ReplacePodFile
from dnsguard.cycle import Cycle


def preview(cycle: Cycle) -> dict[str, object]:
    """Return the plan of a look at this instant. Only reads."""
    seen = cycle.observe()
    _, plan = decide(cycle.memory, seen, cycle.policy)
    return _describe(cycle, seen, plan)


async def preview_alone(cycle: Cycle, settings: Config) -> dict[str, object]:
    """Return the plan where no daemon runs: look, ask, and decide as one would."""
    # Here, not above: the daemon's first look must not wait for pyroute2 and dnspython.
    from dnsguard.host.addresses import Addresses, Unknown
    from dnsguard.host.probe import ask

    with suppress(OSError), closing(Addresses()) as addresses:
        bound = addresses.bound()
        cycle.bind(None if isinstance(bound, Unknown) else bound)
    cycle.refresh()
    seen = cycle.observe()
    memory = cycle.memory
    memory, plan = decide(memory, seen, cycle.policy)
    for _ in range(cycle.policy.successes):
        asked = [
            ask(address, settings.question(address, kind), timeout=settings.timeout)
            for address, kind in plan.questions
        ]
        if not asked:
            break
        seen = cycle.observe(tuple(await asyncio.gather(*asked)))
        memory, plan = decide(memory, seen, cycle.policy)
        if not plan.questions and memory.health.address is not None:
            await asyncio.sleep(cycle.policy.fast)
            seen = cycle.observe()
            memory, plan = decide(memory, seen, cycle.policy)
    return _describe(cycle, seen, plan)


def _describe(cycle: Cycle, seen: Observation, plan: Plan) -> dict[str, object]:
    diff: list[str] = []
    for action in plan.actions:
        if isinstance(action, ReplaceFile):
            diff += _diff(str(cycle.paths.resolv_conf), seen.file.content, action.content)
        elif isinstance(action, ReplacePodFile):
            diff += _diff(str(cycle.paths.pod_file), seen.pod_file or b"", action.content)
    return {
        "mode": plan.mode,
        "because": [list(pair) for pair in plan.because],
        "actions": [action.describe() for action in plan.actions],
        "diff": "\n".join(diff),
        "at": round(time.time(), 3),
    }


def _diff(name: str, before: bytes, after: bytes) -> list[str]:
    now, planned = (
        content.decode("utf-8", "backslashreplace").splitlines() for content in (before, after)
    )
    return list(
        difflib.unified_diff(now, planned, f"{name} (now)", f"{name} (planned)", lineterm="")
    )
