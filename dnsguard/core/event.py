"""What is worth a line in the journal, as a value.

Names are past-tense snake_case constants; a line is written when something changed,
and a storm of the same line is collapsed without losing the count.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from dnsguard.core.model import NodeLocal, Plan

BURST = 5
"""Lines about the same thing that are written within WINDOW."""
WINDOW = 60.0


class Level(StrEnum):
    """syslog(3)'s words, as structlog's methods are called."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line."""

    name: str
    level: Level = Level.INFO
    details: tuple[tuple[str, object], ...] = ()


@dataclass(slots=True)
class Repeats:
    """Counts what is held back. The one mutable thing here; ``now`` is monotonic."""

    _seen: dict[object, tuple[float, int]] = field(default_factory=dict)

    def allow(self, key: object, now: float) -> int | None:
        """Return None to hold a line back, else how many were held back before it."""
        since, count = self._seen.get(key, (now, 0))
        if now - since < WINDOW:
            self._seen[key] = (since, count + 1)
            return None if count >= BURST else 0
        self._seen[key] = (now, 1)
        return max(0, count - BURST)


def changes(before: Plan | None, after: Plan) -> tuple[Event, ...]:
    """Return the lines that tell how one plan differs from the one before."""
    because = dict(after.because)
    events = []
    if before is None or before.mode is not after.mode:
        events.append(
            Event(
                name="mode_changed",
                details=(("mode", after.mode), *_nameservers(after), *after.because),
            )
        )
    elif before.nodelocal is not after.nodelocal is not NodeLocal.UNKNOWN:
        events.append(
            Event(name="nodelocal_changed", details=(("nodelocal", because["nodelocal"]),))
        )
    elif dict(before.because).get("handover") != because.get("handover"):
        events.append(Event(name="handover_reason_changed", details=after.because))
    if before is None or before.upstream is not after.upstream:
        events.append(_upstream(after))
    return tuple(events)


def _upstream(plan: Plan) -> Event:
    level = {"verified": Level.INFO, "unverified": Level.WARNING, "none": Level.ERROR}
    remedy = {
        "verified": (),
        "unverified": (("means", "no upstream answers; the best known one is used"),),
        "none": (
            ("means", "no source names a real nameserver"),
            ("remedy", "set upstream.servers in /etc/dnsguard/dnsguard.toml"),
        ),
    }
    return Event(
        name="upstream_changed",
        level=level[plan.upstream],
        details=(("upstream", plan.upstream), *_nameservers(plan), *remedy[plan.upstream]),
    )


def _nameservers(plan: Plan) -> tuple[tuple[str, object], ...]:
    return (("nameservers", " ".join(str(address) for address in plan.wanted) or "none"),)
