"""What is worth a line in the journal, as a value.

Names are past-tense snake_case constants; a line is written when something changed,
and a storm of the same line is collapsed without losing the count.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from dnsguard.core.blocker import BlockerKind
from dnsguard.core.model import Doubt, NodeLocal, UpstreamState
from dnsguard.core.plan import Plan, Unused
from dnsguard.formats.address import IPAddress
from dnsguard.formats.writers import UNKNOWN

BURST = 5
"""Lines about the same thing that are written within WINDOW."""
MOST = 20
"""Lines of one name that are."""
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


Key = tuple[str, ...]


@dataclass(slots=True)
class _Window:
    """What came under one key since it was opened."""

    since: float
    count: int = 0
    last: Event | None = None
    """The last one that was held back."""
    held_back: int = 0


@dataclass(slots=True)
class Repeats:
    """Holds repeated lines back and keeps their count; ``now`` is monotonic seconds.

    Lines with the same name and first detail are repeats, and a name with ever new
    details is held back, too.
    """

    _windows: dict[Key, _Window] = field(default_factory=dict)

    def allows(self, event: Event, now: float) -> bool:
        """Tell whether to write the line now."""
        first = event.details[:1]
        same: Key = (event.name, *(first[0] if first else ("",)))
        keys = ((same, BURST), ((event.name,), MOST))
        windows = [(self._windows.setdefault(key, _Window(now)), most) for key, most in keys]
        full = next((window for window, most in windows if window.count >= most), None)
        if full is not None:
            full.last, full.held_back = event, full.held_back + 1
            return False
        for window, _ in windows:
            window.count += 1
        return True

    def due(self, now: float) -> tuple[Event, ...]:
        """Return the last of the lines held back, of each window that has closed, with the count."""
        over = [key for key, window in self._windows.items() if now - window.since >= WINDOW]
        closed = [self._windows.pop(key) for key in over]
        return tuple(
            replace(
                window.last,
                details=(*window.last.details, ("lines_held_back", str(window.held_back))),
            )
            for window in closed
            if window.last is not None
        )


def describe_changes(before: Plan | None, after: Plan) -> tuple[Event, ...]:
    """Return the lines that tell how one plan differs from the one before."""
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
                details=tuple((key, after.explain(key)) for key in ("nodelocal", "handover")),
            )
        )
    elif after.explain("handover") != before.explain("handover") and not _is_passing(after):
        events.append(Event(name="handover_reason_changed", details=after.because))
    if before is None or before.trust != after.trust:
        events += _upstream(after)
    if after.tramples.count > (0 if before is None else before.tramples.count):
        events.append(_trample(after))
    if after.delay and not (before is not None and before.delay):
        events.append(_fight(after))
    events += [_unused(one) for one in after.unused]
    return tuple(events)


def _is_passing(plan: Plan) -> bool:
    """Tell whether only the first answer to a one-time name is missing, for milliseconds.

    Or the guard ends: the event "stopped" says so.
    """
    kinds = [one.kind for one in plan.blockers]
    return kinds == [BlockerKind.UNPROVEN] or kinds[:1] == [BlockerKind.STOPPING]


def _unused(one: Unused) -> Event:
    what = ("server", str(one.address)), ("kind", one.kind)
    details = (*what, ("why", one.why), ("otherwise", one.otherwise))
    return Event(name="nameserver_unused", details=details)


def _trample(plan: Plan) -> Event:
    evidence = "" if plan.tramples.last is None else plan.tramples.last.writer.evidence
    return Event(
        name="resolv_conf_trampled",
        details=(
            ("writer", _writer(plan)),
            ("evidence", evidence),
            ("tramples", str(plan.tramples.count)),
        ),
    )


def _writer(plan: Plan) -> str:
    return UNKNOWN if plan.tramples.last is None else plan.tramples.last.writer.name


def _fight(plan: Plan) -> Event:
    return Event(
        name="resolv_conf_fought_over",
        level=Level.WARNING,
        details=(
            ("tramples", str(plan.tramples.count)),
            ("writer", _writer(plan)),
            ("means", "a program rewrites resolv.conf again and again; repairs are now delayed"),
            ("remedy", "stop it from writing resolv.conf; its text is in resolv.conf.foreign"),
        ),
    )


def _upstream(plan: Plan) -> tuple[Event, ...]:
    """Tell of the upstreams, but not of those that just have not been asked yet."""
    if plan.trust.doubt is Doubt.NOT_ASKED:
        return ()
    told = (("upstream", plan.trust.describe()),)
    servers = (*told, *_nameservers(plan))
    match plan.upstream:
        case UpstreamState.VERIFIED:
            level, details = Level.INFO, servers
        case UpstreamState.UNVERIFIED:
            used = "the best known one is used all the same" if plan.wanted else "nobody is named"
            means = ("means", plan.explain("write") or used)
            level, details = Level.WARNING, (*servers, means)
        case UpstreamState.NONE:
            remedy = "set upstream.servers in /etc/dnsguard/dnsguard.toml"
            level, details = Level.ERROR, (*told, ("remedy", remedy))
    return (Event(name="upstream_changed", level=level, details=details),)


def name_servers(plan: Plan | None) -> str:
    """Return whom the file names."""
    return " ".join(map(str, plan.wanted if plan else ())) or "none"


def _nameservers(plan: Plan) -> tuple[tuple[str, str], ...]:
    return list_nameservers(plan.wanted)


def list_nameservers(addresses: Iterable[IPAddress]) -> tuple[tuple[str, str], ...]:
    """Return the detail that names them."""
    return (("nameservers", " ".join(map(str, addresses)) or "none"),)
