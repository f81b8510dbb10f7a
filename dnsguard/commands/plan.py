"""What would be done now, as text: decided by the same policy, applied by nobody."""

import asyncio
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from dnsguard.commands.diff import diff
from dnsguard.core.decide import decide
from dnsguard.core.memory import Memory
from dnsguard.core.model import (
    Observation,
    Plan,
    Policy,
    ReplaceFile,
    ReplacePodFile,
    RestoreLink,
)
from dnsguard.guard import Guard
from dnsguard.reporting.status import candidates

MOMENT = 0.5
"""Seconds for which a write is put off while the file's writer is likely on the way."""


def preview(guard: Guard) -> dict[str, object]:
    """Return the plan of a look at this instant. Only reads."""
    seen = guard.observe()
    _, plan, later = decide_in_the_end(guard.memory, seen, guard.policy)
    return {"daemon": True, **_describe(guard, seen, plan, later)}


def decide_in_the_end(
    memory: Memory, seen: Observation, policy: Policy
) -> tuple[Memory, Plan, float]:
    """Decide as the looks of the next moments would, and return after how many seconds.

    A file that is empty, missing or being written may be so for a moment only, so its
    repair is put off: that is not the same as none.
    """
    after, plan = decide(memory, seen, policy)
    began, then = seen.now, seen.now + MOMENT
    while not plan.is_settled and not _writes(plan) and seen.now < plan.look_at <= then:
        seen = replace(seen, now=plan.look_at, answers=(), informed=())
        after, plan = decide(after, seen, policy)
    return after, plan, seen.now - began


def _writes(plan: Plan) -> bool:
    return any(isinstance(action, ReplaceFile | RestoreLink) for action in plan.actions)


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
    if not _writes(plan):
        _, plan, later = decide_in_the_end(memory, replace(seen, answers=()), guard.policy)
    return {"daemon": False, **_describe(guard, seen, plan, later)}


def _describe(guard: Guard, seen: Observation, plan: Plan, later: float = 0.0) -> dict[str, object]:
    changes: list[str] = []
    for action in plan.actions:
        if isinstance(action, ReplaceFile):
            changes += _changes(guard.paths.resolv_conf, seen.file.content, action.content)
        elif isinstance(action, ReplacePodFile):
            changes += _changes(guard.paths.pod_file, seen.pod_file or b"", action.content)
    return {
        "verdict": _verdict(plan),
        "later": round(later, 1) if _writes(plan) else 0.0,
        "mode": plan.mode,
        "because": [list(pair) for pair in plan.because],
        "actions": [action.describe() for action in plan.actions],
        "diff": "\n".join(changes),
        "at": round(time.time(), 3),
    }


def _verdict(plan: Plan) -> str:
    """Return in a line what would become of resolv.conf."""
    if not plan.actions:
        return "nothing to do"
    if not _writes(plan):
        return "resolv.conf stays as it is"
    named = ", ".join(map(str, plan.wanted)) or "nobody"
    return f"resolv.conf would be written: it would name {named}"


def _changes(path: Path, before: bytes, after: bytes) -> list[str]:
    return diff(before, after, f"{path} (now)", f"{path} (planned)")
