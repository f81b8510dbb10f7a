"""What would be done now, as text: decided by the same policy, applied by nobody."""

import asyncio
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from dnsguard.core.decide import decide
from dnsguard.core.model import Observation, Plan, ReplaceFile, ReplacePodFile
from dnsguard.core.report import candidates
from dnsguard.cycle import Cycle
from dnsguard.diff import diff


def preview(cycle: Cycle) -> dict[str, object]:
    """Return the plan of a look at this instant. Only reads."""
    seen = cycle.observe()
    _, plan = decide(cycle.memory, seen, cycle.policy)
    return _describe(cycle, seen, plan)


def candidates_alone(cycle: Cycle) -> dict[str, object]:
    """Return the candidates where no daemon runs: what one would start with."""
    _take_in(cycle)
    seen = cycle.observe()
    memory, plan = decide(cycle.memory, seen, cycle.policy)
    return {"upstreams": candidates(memory, seen, plan, cycle.policy)}


def _take_in(cycle: Cycle) -> None:
    """Look at everything that is looked at without asking anybody."""
    # Here, not above: the daemon's first look must not wait for pyroute2.
    from dnsguard.host.addresses import Addresses, Unknown

    with suppress(OSError), closing(Addresses()) as addresses:
        bound = addresses.bound()
        cycle.bind(None if isinstance(bound, Unknown) else bound)
    cycle.search()
    cycle.refresh()


async def preview_alone(cycle: Cycle) -> dict[str, object]:
    """Return the plan where no daemon runs: look, ask, and decide as one would."""
    from dnsguard.query import ask

    _take_in(cycle)
    seen = cycle.observe()
    memory = cycle.memory
    memory, plan = decide(memory, seen, cycle.policy)
    for _ in range(cycle.policy.successes + 2):  # who is there, the streak, the proof
        asked = [ask(query, cycle.policy) for query in plan.questions]
        if not asked:
            break
        answers = tuple(await asyncio.gather(*asked))
        seen = replace(cycle.observe(), answers=answers)
        memory, plan = decide(memory, seen, cycle.policy)
        if not plan.questions and memory.health.address is not None:
            await asyncio.sleep(cycle.policy.fast)
            seen = cycle.observe()
            memory, plan = decide(memory, seen, cycle.policy)
    return _describe(cycle, seen, plan)


def _describe(cycle: Cycle, seen: Observation, plan: Plan) -> dict[str, object]:
    changes: list[str] = []
    for action in plan.actions:
        if isinstance(action, ReplaceFile):
            changes += _changes(cycle.paths.resolv_conf, seen.file.content, action.content)
        elif isinstance(action, ReplacePodFile):
            changes += _changes(cycle.paths.pod_file, seen.pod_file or b"", action.content)
    return {
        "mode": plan.mode,
        "because": [list(pair) for pair in plan.because],
        "actions": [action.describe() for action in plan.actions],
        "diff": "\n".join(changes),
        "at": round(time.time(), 3),
    }


def _changes(path: Path, before: bytes, after: bytes) -> list[str]:
    return diff(before, after, f"{path} (now)", f"{path} (planned)")
