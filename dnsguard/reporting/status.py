"""What ``dnsguard status`` says, as values.

Each becomes an object of the JSON with the same keys in the same order, so a field here is a
promise to whoever reads that. A new one goes into :mod:`dnsguard.reporting.wire`, as the
commands read it, and into ``docs/status.schema.json``; ``tests/static/test_status.py`` tells.
Times are seconds since the epoch, durations seconds. :mod:`dnsguard.reporting.survey` makes
the values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dnsguard.core.answers import ProbeKind
from dnsguard.core.hold import Serves
from dnsguard.core.model import Mode, NodeLocal, Source, UpstreamState
from dnsguard.formats.address import IPAddress
from dnsguard.reporting.problem import Problem

if TYPE_CHECKING:  # its parsers cost 30 ms, and who asks for a plan needs none of them
    from dnsguard.formats.dhclient.hazards import Hazard

Addresses = tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldStatus:
    """What an operator has pinned."""

    serves: Serves
    by: str
    since: float
    seconds_left: float | None
    """None: until it is released."""
    until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvConf:
    """The file as it is."""

    nameservers: Addresses
    written_by: Mapping[IPAddress, str]
    """Who put each of them there."""
    held_back: Addresses
    held_back_options: tuple[str, ...]
    """Of the options line, while NodeLocalDNS shares the file."""
    in_place_of: str | None
    """Where the link leads whose place the file has taken until that is clean."""
    trouble: str | None
    """Why it can't be read as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFile:
    """The file for kubelet that is always safe."""

    nameservers: Addresses


class LegState(StrEnum):
    """How one way to ask NodeLocalDNS goes."""

    ANSWERS = "answers"
    FAILS = "fails"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegStatus:
    """One way to ask NodeLocalDNS."""

    asked: ProbeKind
    protocol: str
    state: LegState
    in_a_row: int
    rtt_ms: float | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLocalStatus:
    """NodeLocalDNS, as its probes see it."""

    address: IPAddress | None
    state: NodeLocal
    detail: str
    rtt_ms: float | None
    legs: tuple[LegStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A nameserver that some source names."""

    address: IPAddress
    source: Source
    origin: str
    interface: str | None
    rank: tuple[int, int]
    seen: float
    answered: float | None
    """When it last answered, as far as it is remembered."""
    answered_ago: float | None
    """Seconds since it answered this daemon."""
    usable: bool
    rtt_ms: float | None
    detail: str
    refused: str | None
    in_use: bool
    why_not: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamStatus:
    """The nameservers outside the cluster that can be used at all, best first."""

    state: UpstreamState
    servers: tuple[Server, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrampleStatus:
    """The last foreign write."""

    at: float
    writer: str
    """Who it was, as far as what is left tells, or "unknown"."""
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TramplesStatus:
    """Foreign writes since the daemon started."""

    count: int
    by_writer: Mapping[str, int]
    last: TrampleStatus | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletStatus:
    """Which resolv.conf new pods get, and where that is set."""

    pods_file: str
    set_in: str
    needs_restart: bool
    """It is configured to another file by now, and a restart is all that is missing."""
    restart: str
    """The command that restarts it."""
    nameservers: Addresses | None
    """What that file names now; None: it can't be read."""


class HookState(StrEnum):
    """How our enter hook for dhclient is."""

    ACTIVE = "active"
    AT_REST = "at rest"  # dhclient writes resolv.conf itself
    NOT_INSTALLED = "not installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DhclientStatus:
    """What dhclient would do at the next lease."""

    hook: HookState
    hazards: "tuple[Hazard, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemStatus:
    """What is so, and what helps; empty where the problem says so itself."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedStatus:
    """systemd-resolved."""

    told: Addresses | None
    """Whom it is told to ask beside the servers of its links; None: it is left to itself."""
    hears: bool
    """Whether it asks whom it is told to ask."""
    asks: Addresses | None
    """None: it does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All of it."""

    dnsguard: str
    """Version of the daemon."""
    pid: int
    looked_at: float
    """When the daemon looked last."""
    uptime_seconds: float
    mode: Mode
    mode_seconds: float
    mode_since: float
    hold: HoldStatus | None
    next: tuple[str, ...]
    """What would have to happen for the mode to change."""
    because: tuple[tuple[str, str], ...]
    """The decision's trace: fact and value, in the order they counted."""
    degraded: tuple[Problem, ...]
    """What is wrong, the worst first, each as a line."""
    problems: tuple[ProblemStatus, ...]
    """The same, each with its remedy apart."""
    resolv_conf: ResolvConf
    pod_file: PodFile
    nodelocal: NodeLocalStatus
    upstream: UpstreamStatus
    tramples: TramplesStatus
    kubelet: KubeletStatus | None
    dhclient: DhclientStatus
    resolved: ResolvedStatus | None
    """None where it is not installed."""
