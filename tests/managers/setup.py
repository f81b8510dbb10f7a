"""What a node set-up is: a network manager, its configuration, and how Kubespray poisons it.

A new manager is one value of :class:`Setup` in :mod:`managers.setups`; every test is run on it.
"""

from dataclasses import dataclass, field

from boot.tree import Recipe

from managers.asking import BY_FILE, Way
from managers.outside import FIRST, FIRST6, SECOND, SECOND6

RESOLV_CONF = "/etc/resolv.conf"
STUB = "127.0.0.53"
UPLINK = "/run/systemd/resolve/resolv.conf"
"""Whom the stub asks."""
"""systemd-resolved's."""


@dataclass(frozen=True, slots=True)
class File:
    """A file in the tree."""

    path: str
    text: str = ""
    mode: int = 0o644
    link: str | None = None
    """It is a symbolic link, and this is its target."""
    is_appended: bool = False
    """What stands there stays in front of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What becomes of the poisoned node without dnsguard."""

    dead: frozenset[Way]
    """The ways in which nothing resolves."""
    loops: bool
    """Whether a CoreDNS with the file that kubelet gives to pods dies of it, now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One kind of node."""

    name: str
    tree: Recipe
    resolv_conf: File
    """As the installer, or the manager's package, leaves it."""
    files: tuple[File, ...]
    """The manager's configuration on a node that Kubespray never saw."""
    enabled: tuple[str, ...] = ()
    """Units that the packages do not enable themselves."""
    disabled: tuple[str, ...] = ()
    poison: tuple[File, ...]
    """What Kubespray leaves, one reboot before the incident."""
    kubelet_reads: str = RESOLV_CONF
    """kubelet's resolvConf."""
    owned: tuple[str, ...] = ()
    """Globs of what is the manager's, beside /etc/resolv.conf: compared byte for byte."""
    raced: tuple[str, ...] = ()
    """Of these, what /etc/resolv.conf leads to where two programs write it in no sure order."""
    ways: frozenset[Way] = BY_FILE
    """In which a program on the node asks."""
    healthy_ways: frozenset[Way] | None = None
    """Those that work on the healthy node; None: all."""
    nameservers: tuple[str, ...] = (FIRST,)
    """What resolv.conf names on a healthy node."""
    control: Control
    renew: tuple[str, ...] = ()
    """The command that renews the lease; none: the client does it by its own timer."""
    has_lease: bool = True
    needs_gate: bool = False
    """Whether a node with no memory of better days resolves from the first moment only where
    kubelet waits for dnsguard-wait.service: the lease is the first to name an upstream, and its
    client sets the route before it tells of it (dhcpcd, NetworkManager: some 20 ms), or
    systemd-resolved is restarted for it (0.2 s)."""
    families: frozenset[int] = field(default_factory=lambda: frozenset({4}))
    """The families of the addresses that the network gives."""

    def __str__(self) -> str:
        return self.name

    @property
    def first(self) -> str:
        """The nameserver that the network hands out."""
        return FIRST if 4 in self.families else FIRST6

    @property
    def second(self) -> str:
        """The one that a renewal brings."""
        return SECOND if 4 in self.families else SECOND6

    @property
    def cluster_ways(self) -> frozenset[Way]:
        """Those that can resolve the cluster's names while upstreams stand behind NodeLocalDNS.

        musl asks all servers of the file at once, and the upstream's NXDOMAIN may come first;
        where the file names a stub alone, that is the stub's to solve.
        """
        is_stub = self.nameservers == (STUB,)
        return self.ways if is_stub else self.ways - {Way.MUSL}

    @property
    def works_when_healthy(self) -> frozenset[Way]:
        return self.ways if self.healthy_ways is None else self.healthy_ways
