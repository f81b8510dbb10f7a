"""The plan as text: what would be done now, and why."""

from dataclasses import dataclass
from pathlib import Path

from dnsguard.core.model import Mode
from dnsguard.core.observation import Observation
from dnsguard.core.plan import Plan, ReplaceFile, ReplacePodFile
from dnsguard.paths import Paths
from dnsguard.text_diff import make_diff


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What ``dnsguard plan`` says; an object of JSON with these keys."""

    daemon: bool
    """Whether there is one to do it."""
    verdict: str
    later: float
    """Seconds after which the write is due."""
    mode: Mode
    because: tuple[tuple[str, str], ...]
    actions: tuple[str, ...]
    diff: str
    at: float
    """When that was so; seconds since the epoch."""


def describe(
    paths: Paths, seen: Observation, plan: Plan, later: float, *, has_daemon: bool
) -> PlanReport:
    """Return the plan for people.

    :param later: seconds after which the write is due.
    """
    changes: list[str] = []
    for action in plan.actions:
        if isinstance(action, ReplaceFile):
            changes += _changes(paths.resolv_conf, seen.file.content, action.content)
        elif isinstance(action, ReplacePodFile):
            changes += _changes(paths.pod_file, seen.pod_file or b"", action.content)
    return PlanReport(
        daemon=has_daemon,
        verdict=_verdict(plan),
        later=round(later, 1) if plan.write is not None else 0.0,
        mode=plan.mode,
        because=plan.because,
        actions=tuple(action.describe() for action in plan.actions),
        diff="\n".join(changes),
        at=round(seen.wall, 3),
    )


def _verdict(plan: Plan) -> str:
    """Return in a line what would become of resolv.conf."""
    if not plan.actions:
        return "nothing to do"
    if plan.write is None:
        return "resolv.conf stays as it is"
    named = ", ".join(map(str, plan.wanted)) or "nobody"
    return f"resolv.conf would be written: it would name {named}"


def _changes(path: Path, before: bytes, after: bytes) -> list[str]:
    return make_diff(before, after, f"{path} (now)", f"{path} (planned)")
