"""The plan as text: what would be done now, and why."""

from pathlib import Path

from dnsguard.core.observation import Observation
from dnsguard.core.plan import Plan, ReplaceFile, ReplacePodFile
from dnsguard.paths import Paths
from dnsguard.text_diff import make_diff


def describe(paths: Paths, seen: Observation, plan: Plan, later: float) -> dict[str, object]:
    """Return the plan as ``dnsguard plan --json`` has it.

    :param later: seconds after which the write is due.
    """
    changes: list[str] = []
    for action in plan.actions:
        if isinstance(action, ReplaceFile):
            changes += _changes(paths.resolv_conf, seen.file.content, action.content)
        elif isinstance(action, ReplacePodFile):
            changes += _changes(paths.pod_file, seen.pod_file or b"", action.content)
    return {
        "verdict": _verdict(plan),
        "later": round(later, 1) if plan.write is not None else 0.0,
        "mode": plan.mode,
        "because": [list(pair) for pair in plan.because],
        "actions": [action.describe() for action in plan.actions],
        "diff": "\n".join(changes),
        "at": round(seen.wall, 3),
    }


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
