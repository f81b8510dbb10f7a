"""What one decision hands to the next: a frozen value, returned and never changed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from dnsguard.core.attribution import Tramples, Writer
from dnsguard.core.backoff import FlapDamping, RepairBackoff
from dnsguard.core.dhcp_query import Informs
from dnsguard.core.health import Health
from dnsguard.core.hold import Hold, Serves
from dnsguard.core.model import Candidate, HookRecord, Mode
from dnsguard.core.observation import Identity
from dnsguard.core.plan import UnusedKind
from dnsguard.core.probe_record import ProbeRecord
from dnsguard.formats.address import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """How it stands with systemd-resolved, where that is cured (:mod:`.resolved`)."""

    links_bring: bool = False
    """Its links have real servers of their own, now or, until ``links_due``, in the last boot."""
    links_due: float | None = None
    serves: Serves | None = None
    """Who serves whom it serves, by what it has heard; None where it is not cured."""
    unheard_since: float | None = None
    """Since when it has not done what our part of its configuration says."""
    remind_at: float = math.inf

    def is_heard_of(self, serves: Serves) -> bool:
        return self.serves is serves and self.unheard_since is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """All that the guard knows beside what it sees right now."""

    serves: Serves = Serves.UPSTREAM
    """Who serves the node."""
    hold: Hold | None = None
    mode_since: float | None = None
    identity: Identity | None = None
    """The version of the file that the last look found."""
    written: bytes | None = None
    """The file as the last decision left it; None before the first."""
    foreign: bytes | None = None
    """The file as someone else wrote it last."""
    unfinished_since: float | None = None
    """Since when the file has been empty, missing or open for writing."""
    learned: tuple[Candidate, ...] = ()
    """Candidates that the foreign file names, and that an editor of our text has left in it."""
    deleted: Mapping[IPAddress, float] = field(default_factory=dict)
    """Whom a person took out of resolv.conf, and when (seconds since the epoch)."""
    told_unused: frozenset[tuple[IPAddress, UnusedKind]] = frozenset()
    """Of whom it was told why they are not used, and the kind of reason."""
    records: tuple[HookRecord, ...] = ()
    """What dhclient had been told by the last look."""
    dhcp_answers: Informs = field(default_factory=dict)
    """What DHCP servers said when asked."""
    remembered: tuple[Candidate, ...] = ()
    probe_records: Mapping[IPAddress, ProbeRecord] = field(default_factory=dict)
    cluster_resolvers: Mapping[IPAddress, float] = field(default_factory=dict)
    """Who was shown to be cluster DNS and not cleared of it since, in this boot or an earlier
    one, and when (seconds since the epoch)."""
    kubernetes: frozenset[IPAddress] = frozenset()
    """What NodeLocalDNS said last of the cluster's own name."""
    health: Health = field(default_factory=Health)
    nodelocal: IPAddress | None = None
    """Whose address stands first in the file while NodeLocalDNS serves."""
    copying: str | None = None
    """The file for pods that came to name cluster DNS while the node was handed over: somebody
    makes it of resolv.conf."""
    link_flaps: FlapDamping = field(default_factory=FlapDamping)
    """How often a file of ours had to take the place of a link."""
    flaps: FlapDamping = field(default_factory=FlapDamping)
    cure: Cure = field(default_factory=Cure)
    bound: frozenset[IPAddress] | None = None
    fight: RepairBackoff = field(default_factory=RepairBackoff)
    tramples: Tramples = field(default_factory=Tramples)
    writer: Writer | None = None
    """Who wrote ``foreign``."""

    @property
    def mode(self) -> Mode:
        """Return who serves the node, and whether an operator says so."""
        if self.hold is not None:
            return Mode.HELD
        serves = self.cure.serves or self.serves
        return Mode.GUARDING if serves is Serves.UPSTREAM else Mode.HANDED_OVER
