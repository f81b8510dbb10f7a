"""What is worth a line in the journal, as a value.

Names are past-tense snake_case constants; a line is written when something changed,
and a storm of the same line is collapsed without losing the count.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from dnsguard.core.model import PROOF_AWAITED, NodeLocal, Plan, UpstreamState
from dnsguard.core.upstreams import NOT_ASKED

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
    details: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Repeats:
    """Holds repeated lines back and keeps their count; ``now`` is monotonic seconds."""

    _seen: dict[Event, tuple[float, int]] = field(default_factory=dict)

    def allows(self, event: Event, now: float) -> bool:
        """Tell whether to write the line now: BURST times in WINDOW, then no more."""
        since, count = self._seen.get(event, (now, 0))
        self._seen[event] = (since, count + 1)
        return count < BURST

    def due(self, now: float) -> tuple[Event, ...]:
        """Return the lines whose window has closed, each with the count held back."""
        over = [event for event, (since, _) in self._seen.items() if now - since >= WINDOW]
        closed = [(event, self._seen.pop(event)[1]) for event in over]
        return tuple(
            Event(
                name="repeats_held_back",
                details=(("event", event.name), ("lines", str(count - BURST)), *event.details),
            )
            for event, count in closed
            if count > BURST
        )


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
            Event(
                name="nodelocal_changed",
                details=tuple((key, because[key]) for key in ("nodelocal", "handover")),
            )
        )
    elif because["handover"] not in (dict(before.because)["handover"], PROOF_AWAITED):
        events.append(Event(name="handover_reason_changed", details=after.because))
    if before is None or dict(before.because)["upstream"] != because["upstream"]:
        events += _upstream(after, because["upstream"])
    if after.delay and not (before is not None and before.delay):
        events.append(_fight(after))
    return tuple(events)


def _fight(plan: Plan) -> Event:
    return Event(
        name="resolv_conf_fought_over",
        level=Level.WARNING,
        details=(
            ("tramples", str(plan.tramples)),
            ("means", "a program rewrites resolv.conf again and again; repairs are now delayed"),
            ("remedy", "stop it from writing resolv.conf; its text is in resolv.conf.foreign"),
        ),
    )


def _upstream(plan: Plan, state: str) -> tuple[Event, ...]:
    """Tell of the upstreams, but not of those that just have not been asked yet."""
    told = (("upstream", state),)
    servers = (*told, *_nameservers(plan))
    if state.endswith(NOT_ASKED):
        return ()
    if plan.upstream is UpstreamState.VERIFIED:
        return (Event(name="upstream_changed", details=servers),)
    if plan.upstream is UpstreamState.UNVERIFIED:
        means = ("means", "the best known one is used all the same")
        return (Event(name="upstream_changed", level=Level.WARNING, details=(*servers, means)),)
    remedy = ("remedy", "set upstream.servers in /etc/dnsguard/dnsguard.toml")
    return (Event(name="upstream_changed", level=Level.ERROR, details=(*told, remedy)),)


def _nameservers(plan: Plan) -> tuple[tuple[str, str], ...]:
    return (("nameservers", " ".join(str(address) for address in plan.wanted) or "none"),)
