"""The values that pass between looking, deciding and doing.

The words of dnsguard(8), one type each. All are frozen: a decision can be replayed.
Times called ``now`` or ``..._at`` are seconds of CLOCK_MONOTONIC, ``wall`` and
``seen`` are seconds since the epoch, for people and for the state on disk.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.records import DhclientEvent


class Mode(StrEnum):
    """Who serves the node."""

    GUARDING = "guarding"  # real upstreams, no cluster address
    HANDED_OVER = "handed-over"  # NodeLocalDNS first, upstreams behind it
    HELD = "held"  # as an operator has pinned it


class NodeLocal(StrEnum):
    """What is known of NodeLocalDNS."""

    UNKNOWN = "unknown"  # nobody has looked yet: the first milliseconds
    ABSENT = "absent"  # no node-local address is bound
    SILENT = "silent"  # bound, no answer
    WARMING = "warming"  # answers, the streak is too short
    HEALTHY = "healthy"


class UpstreamState(StrEnum):
    """How far the upstreams in use can be trusted."""

    VERIFIED = "verified"  # one of them answered lately
    UNVERIFIED = "unverified"  # candidates, none has answered yet
    NONE = "none"  # no source names any


class Doubt(Enum):
    """Why no upstream is verified though some are named."""

    NOT_ASKED = auto()  # some were not asked yet
    SILENT = auto()  # none answers
    MAYBE_CLUSTER = auto()  # one answers, and may be cluster DNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How far the upstreams can be trusted, and why no further."""

    state: UpstreamState
    doubt: Doubt | None = None
    """Only where the state is unverified."""
    doubted: IPAddress | None = None
    """Who may be cluster DNS."""

    @property
    def reason(self) -> str:
        """Return why it is no more, for people; empty where nothing is missing."""
        if self.state is UpstreamState.NONE:
            return "no source names a real nameserver"
        match self.doubt:
            case Doubt.NOT_ASKED:
                return "not asked yet"
            case Doubt.SILENT:
                return "none of the known ones answers"
            case Doubt.MAYBE_CLUSTER:
                return f"{self.doubted} answers, but may be cluster DNS"
            case None:
                return ""

    def describe(self) -> str:
        return f"{self.state}: {self.reason}" if self.reason else str(self.state)


class Source(StrEnum):
    """Where a candidate was learned. The order here is the rank, best first."""

    CONFIG = "config"  # upstream.servers
    RESOLV_CONF = "resolv.conf"  # as someone else wrote it last
    DHCP = "dhcp"  # what dhclient was told, by our own enter hook
    INFORM = "dhcp-server"  # the DHCP server itself, asked (RFC 2131, 3.4)
    REMEMBERED = "remembered"  # answered earlier, kept in the state
    LEASE = "lease"  # dhclient's leases, the initramfs's, and what dhclient.conf itself names
    BACKUP = "backup"  # a copy of resolv.conf that some tool left
    INTERFACES = "interfaces"  # interfaces(5): dns-nameservers
    NETWORKD = "networkd"  # systemd-networkd's leases and .network files
    NETWORK_MANAGER = "NetworkManager"
    COREFILE = "Corefile"  # forward . of a CoreDNS on this node
    RESOLVED = "resolved"  # systemd-resolved's own upstreams
    FORWARDER = "forwarder"  # whom dnsmasq or unbound on this node asks in its turn
    DHCPCD = "dhcpcd"
    CLOUD_INIT = "cloud-init"
    GUESS = "guess"  # routers and DHCP servers: used only once they answered
    FALLBACK = "fallback"  # upstream.fallback
    DELETED = "deleted"  # a person took it out of resolv.conf: the last resort


RANK = {source: rank for rank, source in enumerate(Source)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A nameserver that some source names."""

    address: IPAddress
    source: Source
    origin: str
    """The file, key or earlier source, for people."""
    seen: float
    """When the source said so."""
    tier: int = 0
    """How much worse than its source's best: an older lease, a later backup. Candidates of
    one source and tier are peers."""
    interface: str | None = None
    """The interface it was learned on."""
    answered: float | None = None
    """When it last answered, as far as it is remembered; seconds since the epoch."""
    leased: IPAddress | None = None
    """The node's address by the lease that names it, where that is its interface's newest."""
    is_in_force: bool = False
    """Somebody holds to it now: that lease's address is the node's, or a manager that runs says
    so. Of a remembered one: so it was when it was learned."""
    is_replaced: bool = False
    """It is remembered, and what is in force on its interface has named others since."""

    @property
    def rank(self) -> tuple[int, int]:
        """What is in force stands ahead of memory, which is for the time before anybody speaks.

        Behind a renewal the retired server stayed first for as long as it answered (issue 15).
        """
        if self.is_in_force:
            return RANK[Source.INFORM], 1 + RANK[self.source]
        return RANK[self.source], self.tier


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentLease:
    """The newest DHCPv4 lease of an interface, whichever client holds it."""

    interface: str
    address: IPAddress | None
    """The node's, as leased."""
    nameservers: tuple[IPAddress, ...]
    servers: frozenset[IPAddress]
    """The DHCP servers that this interface has had leases from."""
    origin: str
    expires: float | None = None
    """When it ends (seconds since the epoch), where that is told: each renewal puts it off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """A local stub resolver, and whom it asks in turn."""

    addresses: frozenset[IPAddress]
    asks: tuple[IPAddress, ...]
    origin: str
    """The file that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRecord:
    """What our enter hook wrote down of an interface."""

    told: DhclientEvent
    written: float
    """When; seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one look at the node's files came to."""

    candidates: tuple[Candidate, ...] = ()
    leases: tuple[CurrentLease, ...] = ()
    stubs: tuple[Stub, ...] = ()
