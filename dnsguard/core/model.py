"""The values that pass between looking, deciding and doing.

DESIGN.md's words, one type each. All are frozen: a decision can be replayed.
Times called ``now`` or ``..._at`` are seconds of CLOCK_MONOTONIC, ``wall`` and
``seen`` are seconds since the epoch, for people and for the state on disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Answer, Query
from dnsguard.core.hold import Hold
from dnsguard.core.sources.dhclient.told import Told
from dnsguard.core.tramples import Tramples
from dnsguard.core.writers import Trace

if TYPE_CHECKING:
    from dnsguard.core.inform import Informed
    from dnsguard.core.pods import PodsFile


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


class Source(StrEnum):
    """Where a candidate was learned. The order here is the rank, best first."""

    CONFIG = "config"  # upstream.servers
    RESOLV_CONF = "resolv.conf"  # as someone else wrote it last
    DHCP = "dhcp"  # what dhclient was told, by our own enter hook
    REMEMBERED = "remembered"  # answered earlier, kept in the state
    LEASE = "lease"  # dhclient's leases, the initramfs's, and what dhclient.conf itself names
    BACKUP = "backup"  # a copy of resolv.conf that some tool left
    INTERFACES = "interfaces"  # interfaces(5): dns-nameservers
    NETWORKD = "networkd"  # systemd-networkd's leases and .network files
    NETWORK_MANAGER = "NetworkManager"
    COREFILE = "Corefile"  # forward . of a CoreDNS on this node
    RESOLVED = "resolved"  # systemd-resolved's own upstreams
    DHCPCD = "dhcpcd"
    CLOUD_INIT = "cloud-init"
    INFORM = "dhcp-server"  # the DHCP server itself, asked (RFC 2131, 3.4)
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

    @property
    def rank(self) -> tuple[int, int]:
        return RANK[self.source], self.tier


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLease:
    """The newest DHCPv4 lease of an interface, whichever client holds it."""

    interface: str
    address: IPAddress | None
    """The node's, as leased."""
    nameservers: tuple[IPAddress, ...]
    servers: frozenset[IPAddress]
    """The DHCP servers that this interface has had leases from."""
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """A local stub resolver, and whom it asks in turn."""

    addresses: frozenset[IPAddress]
    asks: tuple[IPAddress, ...]
    origin: str
    """The file that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What our enter hook wrote down of an interface."""

    told: Told
    written: float
    """When; seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one look at the node's files came to."""

    candidates: tuple[Candidate, ...] = ()
    leases: tuple[HeldLease, ...] = ()
    stubs: tuple[Stub, ...] = ()


class HandoverMode(StrEnum):
    """``handover.mode``."""

    AUTO = "auto"  # only when pods can't inherit the loop
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator wants; the defaults are dnsguard.toml's. Durations in seconds."""

    servers: tuple[IPAddress, ...] = ()
    fallback: tuple[IPAddress, ...] = ()
    nodelocal: tuple[IPAddress, ...] = ()
    cluster: frozenset[IPAddress] = frozenset()
    """Every cluster address, the node-local ones included."""
    told: frozenset[IPAddress] = frozenset()
    """Those of them that kubelet names itself."""
    cluster_domain: str = "cluster.local"
    nodelocal_question: str = ""
    """The name that NodeLocalDNS must know; empty: the cluster's own."""
    upstream_question: str = "."
    """The name whose NS records any real resolver knows."""
    health_url: str = ""
    """NodeLocalDNS's own word on its health; empty: not asked for."""
    require_binding: bool = True
    """Whether an answer counts only where the node-local address is bound."""
    asks_dhcp: bool = True
    """Whether DHCP servers may be asked."""
    handover: HandoverMode = HandoverMode.AUTO
    successes: int = 3
    failures: int = 2
    fast: float = 0.2
    """Between two questions to NodeLocalDNS while its health changes."""
    slow: float = 5.0
    """The same while nothing changes; upstreams in use are asked as often."""
    heartbeat: float = 1.0
    """The same for the one question that tells a hang: the cluster's name over UDP."""
    timeout: float = 1.0
    """Until a question counts as unanswered."""
    hold_down: float = 1.0
    """From NodeLocalDNS's break to the next handover, doubled with each further break."""


STOPPING = "dnsguard is stopped, and nobody else watches NodeLocalDNS"
"""Why the node is not handed over at the last look."""
PROOF_AWAITED = "waiting for a fresh (uncached) lookup to succeed"
"""Against a handover for the milliseconds that the question takes."""


class Trouble(StrEnum):
    """Why the file could not be read as a file of text."""

    MISSING = "missing"
    TOO_BIG = "too-big"  # over MAX_FILE bytes
    NOT_A_FILE = "not-a-file"  # a directory, FIFO, device or socket
    NOT_RESOLV_CONF = "not-resolv-conf"  # a link leads to another kind of text
    NOT_READ = "not-read"  # the kernel could not just now: EMFILE, ENOMEM, EIO
    UNREADABLE = "unreadable"  # open(2) or read(2) failed


MAX_FILE = 64 * 1024
"""A foreign resolv.conf over this many bytes is set aside, not edited."""
MAX_GUARDED = 4 * MAX_FILE
"""What becomes of one below that is never longer: a shortest nameserver line ("nameserver 1",
13 bytes with its end) that is held back grows by 24; an options line to three times its size."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What stat(2) says of one version of a file, for compare-and-swap."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSeen:
    """resolv.conf at one look."""

    content: bytes = b""
    trouble: Trouble | None = None
    detail: str = ""
    """What the kernel said of the trouble, for people."""
    identity: Identity | None = None
    """None only where nothing is there."""
    being_written: bool = False
    """Some process still has the file open for writing."""
    link: str | None = None
    """readlink(2) of the path, where it is a symbolic link."""
    leads_away: bool = False
    """The link leads out of resolv.conf's own directory: into another program's place."""
    is_readable: bool = True
    """Whether every user may read it (mode 0444)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything seen in one look, failures included."""

    now: float
    wall: float
    file: FileSeen
    behind: FileSeen | None = None
    """What the link leads to whose place a file of ours has taken; None where there is none."""
    pod_file: bytes | None = None
    """/var/lib/dnsguard/resolv.conf, None where it can't be read."""
    found: Found = field(default_factory=Found)
    """What the node's files name."""
    records: tuple[Record, ...] = ()
    """What dhclient was told lately, an interface each."""
    informed: "tuple[Informed, ...]" = ()
    """What DHCP servers said when asked; each is in exactly one observation."""
    bound: frozenset[IPAddress] | None = None
    """The node's addresses; None while or where they can't be listed."""
    listening: frozenset[IPAddress] | None = None
    """The node-local addresses on which a UDP socket listens; None where nobody can tell."""
    answers: tuple[Answer, ...] = ()
    """Each answer is in exactly one observation."""
    repaired: bytes | None = None
    """What the spare has put in the file's place already, before this was decided."""
    pods: "PodsFile | None" = None
    """The file that kubelet hands to pods; None where no kubelet is configured."""
    pods_doubt: str | None = None
    """Why there may be a kubelet all the same, for people; None where there is none."""
    hold: Hold | None = None
    """What an operator has pinned; it may be over."""
    traces: tuple[Trace, ...] = ()
    """What was touched lately in the directories of resolv.conf and of the leases."""
    is_last: bool = False
    """The guard ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceFile:
    """Make resolv.conf say this, if it still is what was observed."""

    content: bytes
    seen: FileSeen
    wanted: tuple[IPAddress, ...]

    def describe(self) -> str:
        servers = ", ".join(str(address) for address in self.wanted) or "no nameserver"
        return f"write {servers} to resolv.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreLink:
    """Give resolv.conf back to the manager whose link it was, if it still is what was observed."""

    link: str
    seen: FileSeen
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
class Remember:
    """Keep this across reboots."""

    candidates: tuple[Candidate, ...]
    convicts: Mapping[IPAddress, float] = field(default_factory=dict)
    """Who was shown to be cluster DNS, and when (seconds since the epoch)."""
    kubernetes: frozenset[IPAddress] = frozenset()
    """What NodeLocalDNS said of the cluster's own name."""
    deleted: Mapping[IPAddress, float] = field(default_factory=dict)
    """Whom a person took out of resolv.conf, and when (seconds since the epoch)."""

    def describe(self) -> str:
        known = ", ".join(str(candidate.address) for candidate in self.candidates)
        return f"remember {known}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndHold:
    """Forget the pin: its time is up."""

    hold: Hold

    def describe(self) -> str:
        return f"end what was {self.hold.describe()}"


Action = ReplaceFile | RestoreLink | KeepForeign | ReplacePodFile | Remember | EndHold


@dataclass(frozen=True, slots=True)
class Remedy:
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
        at = text.find(self.block) if self.block else -1
        if at < 0 or b"dnsguard" in text:
            return None
        end = at + len(self.block)
        are_lines = text[at - 1 : at] in (b"", b"\n") and text[end : end + 1] in (b"", b"\n")
        if not are_lines or text.count(b"nameserver") != self.block.count(b"nameserver"):
            return None
        return text[:at] + self.guarded + text[end:]


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
    upstream: UpstreamState
    wanted: tuple[IPAddress, ...]
    """The nameservers that belong into resolv.conf now."""
    actions: tuple[Action, ...]
    because: tuple[tuple[str, str], ...]
    """The decision's trace: fact and value, in the order they counted."""
    questions: tuple[Query, ...]
    """To be asked now, side by side."""
    informs: tuple[HeldLease, ...]
    """Whose DHCP servers are to be asked now."""
    remedy: Remedy | None
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
