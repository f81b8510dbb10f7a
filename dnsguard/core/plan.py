"""What a decision has come to: actions as values that describe themselves, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dnsguard.core.answers import Probe
from dnsguard.core.attribution import Tramples
from dnsguard.core.blocker import Blocker
from dnsguard.core.hold import Hold
from dnsguard.core.model import Candidate, CurrentLease, Mode, NodeLocal, Trust, UpstreamState
from dnsguard.core.observation import FileObservation
from dnsguard.formats.address import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceFile:
    """Make resolv.conf say this, if it still is what was observed."""

    content: bytes
    seen: FileObservation
    wanted: tuple[IPAddress, ...]

    def describe(self) -> str:
        servers = ", ".join(str(address) for address in self.wanted) or "no nameserver"
        return f"write {servers} to resolv.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreLink:
    """Give resolv.conf back to the manager whose link it was, if it still is what was observed."""

    link: str
    seen: FileObservation
    wanted: tuple[IPAddress, ...]

    def describe(self) -> str:
        return f"put the link to {self.link} back"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepForeign:
    """Keep what someone else wrote last."""

    content: bytes

    def describe(self) -> str:
        return f"keep the foreign resolv.conf ({len(self.content)} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacePodFile:
    """Make the file for kubelet say this."""

    content: bytes
    wanted: tuple[IPAddress, ...]

    def describe(self) -> str:
        servers = ", ".join(str(address) for address in self.wanted)
        return f"write {servers} to the file for kubelet"


@dataclass(frozen=True, slots=True, kw_only=True)
class CureResolved:
    """Make our part of systemd-resolved's configuration say this; None: there is none."""

    content: bytes | None
    wanted: tuple[IPAddress, ...]

    @property
    def told(self) -> str:
        """What it is told, for people, to be read after its name."""
        if self.content is None:
            return "is left to its own configuration"
        servers = ", ".join(str(address) for address in self.wanted)
        return f"is told to ask {servers or 'the servers of its links'}"

    def describe(self) -> str:
        return f"see that systemd-resolved {self.told}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remember:
    """Keep this across reboots."""

    candidates: tuple[Candidate, ...]
    cluster_resolvers: Mapping[IPAddress, float] = field(default_factory=dict)
    """Who was shown to be cluster DNS, and when (seconds since the epoch)."""
    kubernetes: frozenset[IPAddress] = frozenset()
    """What NodeLocalDNS said of the cluster's own name."""
    deleted: Mapping[IPAddress, float] = field(default_factory=dict)
    """Whom a person took out of resolv.conf, and when (seconds since the epoch)."""
    links_bring: bool = False
    """Whether systemd-resolved's links have real servers of their own."""

    def describe(self) -> str:
        known = ", ".join(str(candidate.address) for candidate in self.candidates)
        return f"remember {known}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndHold:
    """Forget the pin: its time is up."""

    hold: Hold

    def describe(self) -> str:
        return f"end what was {self.hold.describe()}"


Action = (
    ReplaceFile | RestoreLink | KeepForeign | ReplacePodFile | CureResolved | Remember | EndHold
)


@dataclass(frozen=True, slots=True)
class PreparedRepair:
    """What to put in place, at once, should the file ever say ``poisoned`` again, or the like."""

    poisoned: bytes
    content: bytes
    block: bytes = b""
    """The nameserver lines of ``poisoned``, one after another; empty where they are scattered."""
    guarded: bytes = b""
    """The same lines in ``content``."""

    def content_for(self, text: bytes) -> bytes | None:
        """Return what a text is to become, None where that has to be decided.

        Who is named decides who is written: a text with the same nameserver lines, and no
        other, gets what ``poisoned`` got, whatever else it says. On the hot path: a text that
        is read line by line takes 0.1 ms behind a pause, when no cache of the CPU is warm.
        """
        if text == self.poisoned:
            return self.content
        if not self.block or b"dnsguard" in text:
            return None
        before, block, after = text.partition(self.block)
        if not block or before[-1:] not in b"\n" or after[:1] not in b"\n":
            return None
        if b"nameserver" in before or b"nameserver" in after:
            return None
        return before + self.guarded + after


class UnusedKind(StrEnum):
    """Why a nameserver of the foreign file is not used."""

    NODELOCAL = "nodelocal"  # waits until NodeLocalDNS is healthy
    REFUSED = "refused"  # is no upstream at all
    SILENT = "silent"  # does not answer
    SPARE = "spare"  # others are used
    DELETED = "deleted"  # was taken out by hand
    BACK = "back"  # the same, but is used for want of another


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """A nameserver of the foreign file that is not used, for people."""

    kind: UnusedKind
    address: IPAddress
    why: str
    otherwise: str
    """How to have it otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now, and why."""

    mode: Mode
    hold: Hold | None
    nodelocal: NodeLocal
    trust: Trust
    """How far the upstreams can be trusted."""
    wanted: tuple[IPAddress, ...]
    """The nameservers that belong into resolv.conf now."""
    write: ReplaceFile | RestoreLink | None
    """What was to be done to resolv.conf at once."""
    deferred: tuple[Action, ...]
    """What could wait for that."""
    blockers: tuple[Blocker, ...]
    """What stands against a handover."""
    because: tuple[tuple[str, str], ...]
    """The decision's trace: fact and value, in the order they counted."""
    questions: tuple[Probe, ...]
    """To be asked now, side by side."""
    dhcp_queries: tuple[CurrentLease, ...]
    """Whose DHCP servers are to be asked now."""
    prepared: PreparedRepair | None
    cures_resolved: bool
    """Whether systemd-resolved's list is the guard's."""
    is_heard: bool
    """Whether it asks whom it is told to ask."""
    unused: tuple[Unused, ...]
    """What is to be told of the foreign file's nameservers, and was not yet."""
    tramples: Tramples
    delay: float
    """Seconds that a fight for the file puts repairs off by; 0 in peace."""
    is_settled: bool
    """Whether resolv.conf is as it should be once the actions are done."""
    look_at: float
    """When to look again, whatever happens (CLOCK_MONOTONIC)."""
    quiet_until: float
    """The same, if NodeLocalDNS goes on answering what it is asked meanwhile."""

    def explain(self, fact: str) -> str:
        """Return what the trace says of a fact; empty where it says nothing."""
        return dict(self.because).get(fact, "")

    @property
    def upstream(self) -> UpstreamState:
        return self.trust.state

    @property
    def actions(self) -> tuple[Action, ...]:
        """Return all that there is to do, in its order."""
        return self.deferred if self.write is None else (self.write, *self.deferred)
