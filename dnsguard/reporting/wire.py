"""The JSON of the control socket, typed, as the commands read it.

The same as :mod:`dnsguard.reporting.status` (a test compares the two) for whoever can't wait
for that: a dict as it came costs ``status`` and ``check`` nothing, fifteen dataclasses and
what they are made of half as much again as all else.
"""

from typing import Literal, TypedDict


class HoldJson(TypedDict):
    """What an operator has pinned."""

    serves: Literal["upstream", "nodelocal"]
    by: str
    since: float
    seconds_left: float | None
    until: float | None


class ResolvConfJson(TypedDict):
    """The file as it is."""

    nameservers: list[str]
    written_by: dict[str, str]
    held_back: list[str]
    held_back_options: list[str]
    in_place_of: str | None
    trouble: str | None


class PodFileJson(TypedDict):
    """The file for kubelet that is always safe."""

    nameservers: list[str]


class LegJson(TypedDict):
    """One way to ask NodeLocalDNS."""

    asked: Literal["cluster", "external", "http"]
    protocol: str
    state: Literal["answers", "fails", "not asked"]
    in_a_row: int
    rtt_ms: float | None
    detail: str


class NodeLocalJson(TypedDict):
    """NodeLocalDNS, as its probes see it."""

    address: str | None
    state: Literal["unknown", "absent", "silent", "warming", "healthy"]
    detail: str
    rtt_ms: float | None
    legs: list[LegJson]


class ServerJson(TypedDict):
    """A nameserver that some source names."""

    address: str
    source: str
    origin: str
    interface: str | None
    rank: list[int]
    seen: float
    answered: float | None
    answered_ago: float | None
    usable: bool
    rtt_ms: float | None
    detail: str
    refused: str | None
    in_use: bool
    why_not: str | None


class UpstreamJson(TypedDict):
    """The nameservers outside the cluster, best first."""

    state: Literal["verified", "unverified", "none"]
    servers: list[ServerJson]


class TrampleJson(TypedDict):
    """The last foreign write."""

    at: float
    writer: str
    evidence: str


class TramplesJson(TypedDict):
    """Foreign writes since the daemon started."""

    count: int
    by_writer: dict[str, int]
    last: TrampleJson | None


class KubeletJson(TypedDict):
    """Which resolv.conf new pods get, and where that is set."""

    pods_file: str
    set_in: str
    needs_restart: bool
    restart: str
    nameservers: list[str] | None


class HazardJson(TypedDict):
    """A place in dhclient's files that is a danger to resolv.conf."""

    path: str
    line: int
    what: str
    interface: str | None
    kind: str
    defused: bool
    why: str


class DhclientJson(TypedDict):
    """What dhclient would do at the next lease."""

    hook: Literal["active", "at rest", "not installed"]
    hazards: list[HazardJson]


class ProblemJson(TypedDict):
    """What is so, and what helps."""

    what: str
    remedy: str


class ResolvedJson(TypedDict):
    """systemd-resolved."""

    told: list[str] | None
    hears: bool
    asks: list[str] | None


class StatusJson(TypedDict):
    """All of it."""

    dnsguard: str
    pid: int
    looked_at: float
    uptime_seconds: float
    mode: Literal["guarding", "handed-over", "held"]
    mode_seconds: float
    mode_since: float
    hold: HoldJson | None
    next: list[str]
    because: list[list[str]]
    degraded: list[str]
    problems: list[ProblemJson]
    resolv_conf: ResolvConfJson
    pod_file: PodFileJson
    nodelocal: NodeLocalJson
    upstream: UpstreamJson
    tramples: TramplesJson
    kubelet: KubeletJson | None
    dhclient: DhclientJson
    resolved: ResolvedJson | None


class PlanJson(TypedDict):
    """What would be done now."""

    daemon: bool
    verdict: str
    later: float
    mode: str
    because: list[list[str]]
    actions: list[str]
    diff: str
    at: float


def explain(status: StatusJson, fact: str) -> str:
    """Return what the decision's trace says of a fact; empty where it says nothing."""
    return next((value for key, value in status["because"] if key == fact), "")
