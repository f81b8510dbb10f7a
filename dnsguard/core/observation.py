"""What one look has seen, failures included: frozen values without a judgement."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from dnsguard.core.answers import Answer, Outcome
from dnsguard.core.attribution import FileTouch
from dnsguard.core.hold import Hold
from dnsguard.core.model import CurrentLease, Found, HookRecord
from dnsguard.formats.address import IPAddress
from dnsguard.formats.resolved import Configuration, read_configuration

if TYPE_CHECKING:  # 3 ms that the first look need not wait for
    from dnsguard.formats.dhcp import Reply


REMEDY = "dnsguard kubelet adopt --restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpAnswer:
    """What asking on one interface came to."""

    lease: CurrentLease
    """The one that was asked about."""
    outcome: Outcome
    detail: str
    """For people, to be read after the interface: "names 10.0.0.2"."""
    at: float
    """When this was known, in seconds of CLOCK_MONOTONIC."""
    reply: "Reply | None" = None
    """Only where it answered."""

    @property
    def interface(self) -> str:
        return self.lease.interface


@dataclass(frozen=True, slots=True, kw_only=True)
class PodsFile:
    """The file that kubelet hands to pods, as it is now."""

    path: str
    nameservers: tuple[IPAddress, ...] | None = ()
    """None where it can't be read."""
    follows: bool = False
    """It says what resolv.conf says: the same file, a link to it, or made from it by
    systemd-resolved in its foreign mode."""
    is_resolveds: bool = False
    """systemd-resolved makes it, of whom it asks itself."""
    remedy: str = REMEDY
    """How pods get another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """systemd-resolved: whom it is told to ask, and whom it asks."""

    configured: Configuration
    """By its files, ours left out."""
    drop_in: bytes | None = None
    """Our own, as it is."""
    asks: tuple[IPAddress, ...] | None = None
    """As it has written it down; None where it does not run."""
    links: tuple[IPAddress, ...] = ()
    """Those that systemd-networkd gives it for its links."""
    is_asked: bool = False
    """nsswitch.conf or dhclient.conf sends this node's programs to it."""

    @property
    def told(self) -> tuple[IPAddress, ...]:
        """Whom our part of its configuration names."""
        return read_configuration([self.drop_in or b""]).servers


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
class FileObservation:
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
    place_of: str | None = None
    """The link whose place a file of ours had taken, which its manager has now written over."""
    is_readable: bool = True
    """Whether every user may read it (mode 0444)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything seen in one look, failures included."""

    now: float
    wall: float
    file: FileObservation
    link_target: FileObservation | None = None
    """What the link leads to whose place a file of ours has taken; None where there is none."""
    pod_file: bytes | None = None
    """/var/lib/dnsguard/resolv.conf, None where it can't be read."""
    found: Found = field(default_factory=Found)
    """What the node's files name."""
    records: tuple[HookRecord, ...] = ()
    """What dhclient was told lately, an interface each."""
    dhcp_answers: tuple[DhcpAnswer, ...] = ()
    """What DHCP servers said when asked; each is in exactly one observation."""
    bound: frozenset[IPAddress] | None = None
    """The node's addresses; None while or where they can't be listed."""
    listening: frozenset[IPAddress] | None = None
    """The node-local addresses on which a UDP socket listens; None where nobody can tell."""
    answers: tuple[Answer, ...] = ()
    """Each answer is in exactly one observation."""
    repaired: bytes | None = None
    """What the prepared repair has put in the file's place already, before this was decided."""
    pods: PodsFile | None = None
    """The file that kubelet hands to pods; None where no kubelet is configured."""
    pods_doubt: str | None = None
    """Why there may be a kubelet all the same, for people; None where there is none."""
    resolved: Resolved | None = None
    """None where it is not installed."""
    hold: Hold | None = None
    """What an operator has pinned; it may be over."""
    touches: tuple[FileTouch, ...] = ()
    """What was touched lately in the directories of resolv.conf and of the leases."""
    is_last: bool = False
    """The guard ends."""
