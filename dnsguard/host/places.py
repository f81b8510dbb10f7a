"""The places on a node where nameservers are named, and who reads them: one table."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from dnsguard.core.model import Source
from dnsguard.core.observation import MAX_FILE
from dnsguard.formats import cloudinit, dhcp, nameservers
from dnsguard.formats.dhclient import leases
from dnsguard.formats.nameservers import NamedServersList
from dnsguard.host import yaml_text

RESOLVED = "run/systemd/resolve/resolv.conf"
"""systemd-resolved's own upstreams."""


def _network_config(content: bytes) -> NamedServersList:
    return nameservers.network_config(yaml_text.load(content))


def _cloud_config(content: bytes) -> NamedServersList:
    return nameservers.cloud_config(yaml_text.load(content))


def _configmap(content: bytes) -> NamedServersList:
    return nameservers.configmap(yaml_text.load(content))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceSpec:
    """Files of one kind."""

    source: Source
    read: Callable[[bytes], NamedServersList]
    patterns: tuple[str, ...]
    """Below the root; of the same rank, whichever matches. ``{pod}`` is a pod of kube-system:
    what other pods mount, their authors have written."""
    tier: int = 0
    limit: int = MAX_FILE + 1
    """How much of a file is read."""
    tail: bool = False
    """From its end."""
    names: re.Pattern[str] | None = None
    """How a file's name tells the interface, or its index."""
    is_kept: bool = False
    """Whether its directory is left to a program that is to say who serves the node, and that
    need not be root. Elsewhere only what root alone can have written is believed."""
    is_current: bool = False
    """Whether a file is there, and says so, only while its manager holds to it."""


def _place(  # noqa: PLR0913 -- a row of the table below
    source: Source,
    read: Callable[[bytes], NamedServersList],
    *patterns: str,
    tier: int = 0,
    limit: int = MAX_FILE + 1,
    tail: bool = False,
    names: str = "",
    is_kept: bool = False,
    is_current: bool = False,
) -> SourceSpec:
    return SourceSpec(
        source=source,
        read=read,
        patterns=patterns,
        tier=tier,
        limit=limit,
        tail=tail,
        names=re.compile(names) if names else None,
        is_kept=is_kept,
        is_current=is_current,
    )


_LEASES = leases.MAX_BYTES + 1  # so the parser knows that the top is cut off
_JSON = cloudinit.MAX_BYTES + 1  # so it knows that there is more
_OF_INTERFACE = r"(.+?)(?:\.[^.]+)?"
"""``eth0.dhcp``, as resolvconf(8) and dhcpcd's hooks have it; openresolv has ``eth0``, too."""
_UUID = "[0-9a-f-]{36}"
_NETWORKS = tuple(
    f"{one}lib/systemd/network/*.network{more}"
    for one in ("usr/local/", "usr/", "")
    for more in ("", ".d/*.conf")
)
_NM = "NetworkManager"
_VOLUME = "var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~configmap/config-volume"

# fmt: off
PLACES = (
    _place(Source.LEASE, nameservers.dhclient_leases, "var/lib/dhcp/*.leases", "var/lib/dhclient/*.leases",
           limit=_LEASES, tail=True, names=r"dhclient6?\.(.+)\.leases"),
    _place(Source.LEASE, nameservers.dhclient_leases, f"var/lib/{_NM}/dhclient*.lease*",
           limit=_LEASES, tail=True, names=rf"dhclient6?-{_UUID}-(.+)\.leases?"),
    # From before the first client of the node ran; also cloud-init reads them.
    _place(Source.LEASE, nameservers.klibc, "run/net-*.conf", "run/net6-*.conf", tier=49, names=r"net6?-(.+)\.conf"),
    _place(Source.LEASE, nameservers.resolv_conf, "proc/net/pnp", tier=49),  # the kernel's own ip=dhcp
    _place(Source.LEASE, nameservers.dhclient_conf, "etc/dhcp/dhclient.conf", tier=50),
    # dhclient reads this one only where the other is missing, and never a backup.
    _place(Source.LEASE, nameservers.dhclient_conf, "etc/dhclient.conf", tier=51),
    _place(Source.LEASE, nameservers.dhclient_conf, "etc/dhcp/dhclient.conf*~", "etc/dhclient.conf*~", tier=52),
    _place(Source.INTERFACES, nameservers.interfaces, "etc/network/interfaces"),
    _place(Source.INTERFACES, nameservers.interfaces, "etc/network/interfaces.d/*", tier=1),
    # systemd-network's.
    _place(Source.NETWORKD, nameservers.networkd_lease, "run/systemd/netif/leases/*", names=r"([0-9]+)", is_kept=True),
    _place(Source.NETWORKD, nameservers.networkd_link, "run/systemd/netif/links/*", tier=1, names=r"([0-9]+)",
           is_kept=True, is_current=True),
    _place(Source.NETWORKD, nameservers.network, "etc/systemd/network/*.network", "etc/systemd/network/*.network.d/*.conf",
           "run/systemd/network/*.network", "run/systemd/network/*.network.d/*.conf", tier=1),
    _place(Source.NETWORKD, nameservers.network, *_NETWORKS, tier=2),
    _place(Source.NETWORK_MANAGER, nameservers.resolv_conf, f"run/{_NM}/no-stub-resolv.conf"),
    _place(Source.NETWORK_MANAGER, nameservers.resolv_conf, f"run/{_NM}/resolv.conf", tier=1),
    _place(Source.NETWORK_MANAGER, nameservers.device, f"run/{_NM}/devices/*", tier=2, names=r"([0-9]+)"),
    _place(Source.NETWORK_MANAGER, nameservers.networkd_lease, f"var/lib/{_NM}/internal*.lease", tier=2,
           names=rf"internal6?-{_UUID}-(.+)\.lease"),
    _place(Source.NETWORK_MANAGER, nameservers.global_dns, f"etc/{_NM}/conf.d/*.conf", f"run/{_NM}/conf.d/*.conf",
           f"etc/{_NM}/NetworkManager.conf", f"usr/lib/{_NM}/conf.d/*.conf",
           f"var/lib/{_NM}/NetworkManager-intern.conf", tier=3),
    _place(Source.NETWORK_MANAGER, nameservers.connection, f"etc/{_NM}/system-connections/*",
           f"run/{_NM}/system-connections/*", tier=4),
    _place(Source.NETWORK_MANAGER, nameservers.global_dns, f"etc/{_NM}/conf.d/*.conf*~", tier=5),
    # kubelet makes volumes 0777, below a directory that is root's alone; containers have them read-only.
    _place(Source.COREFILE, nameservers.corefile, f"{_VOLUME}/Corefile", f"{_VOLUME}/Corefile.base", is_kept=True),
    # Kubespray leaves /etc/kubernetes to the user "kube", and kubelet's manifests are in there.
    _place(Source.COREFILE, _configmap, "etc/kubernetes/*dns*-config.y*ml", tier=1, is_kept=True),
    # systemd-resolve's.
    _place(Source.RESOLVED, nameservers.resolv_conf, RESOLVED, is_kept=True),
    _place(Source.RESOLVED, nameservers.resolved_conf, "etc/systemd/resolved.conf", "etc/systemd/resolved.conf.d/*.conf",
           "run/systemd/resolved.conf.d/*.conf", "usr/local/lib/systemd/resolved.conf.d/*.conf",
           "usr/lib/systemd/resolved.conf.d/*.conf", tier=1),
    _place(Source.FORWARDER, nameservers.dnsmasq, "etc/dnsmasq.conf", "etc/dnsmasq.d/*", f"etc/{_NM}/dnsmasq.d/*"),
    _place(Source.FORWARDER, nameservers.unbound, "etc/unbound/unbound.conf", "etc/unbound/unbound.conf.d/*.conf"),
    _place(Source.DHCPCD, nameservers.dhcpcd_lease, "var/lib/dhcpcd*/*.lease", limit=dhcp.MAX_BYTES + 1,
           names=r"(?:dhcpcd-)?(?P<with_ssid>.+)\.lease", is_kept=True),
    _place(Source.DHCPCD, nameservers.dhcpcd_lease6, "var/lib/dhcpcd*/*.lease6", limit=dhcp.MAX_BYTES + 1,
           names=r"(?:dhcpcd-)?(?P<with_ssid>.+)\.lease6", is_kept=True),
    _place(Source.DHCPCD, nameservers.resolv_conf, "run/dhcpcd/hook-state/resolv.conf/*", "run/dhcpcd/resolv.conf/*",
           tier=1, names=_OF_INTERFACE, is_current=True),
    _place(Source.DHCPCD, nameservers.dhcpcd_conf, "etc/dhcpcd.conf", tier=1),
    _place(Source.CLOUD_INIT, nameservers.network_data, "run/cloud-init/*.json",
           "var/lib/cloud/instances/*/network-config.json", limit=_JSON),
    _place(Source.CLOUD_INIT, _network_config, "etc/netplan/*.yaml", "run/netplan/*.yaml", "lib/netplan/*.yaml",
           "etc/cloud/cloud.cfg.d/*net*.cfg", "var/lib/cloud/seed/*/network-config", tier=1),
    _place(Source.CLOUD_INIT, _cloud_config, "var/lib/cloud/instances/*/cloud-config.txt", "etc/cloud/cloud.cfg",
           "etc/cloud/cloud.cfg.d/*.cfg", "var/lib/cloud/seed/*/user-data", tier=2),
)
# fmt: on
"""In the order of rank; :class:`~dnsguard.core.model.Source` ranks first, then the tier."""

COPIES = _place(Source.BACKUP, nameservers.resolv_conf)
"""Of resolv.conf, wherever that is: :mod:`dnsguard.formats.backups`."""
ELSEWHERE = (
    "etc/.resolv.conf.systemd-resolved.bak",  # Debian's package of it
    "etc/resolv.pre-tailscale-backup.conf",  # Tailscale (net/dns/direct.go)
    "run/vpnc/resolv.conf-backup",  # OpenConnect, vpnc (vpnc-script)
    "run/connman/resolv.conf",
    "run/dnsmasq/resolv.conf",
    "etc/ppp/resolv.conf",  # pppd's usepeerdns
)
"""Copies with names of their own, and what other programs would have there."""
RESOLVCONF = _place(
    Source.BACKUP,
    nameservers.resolv_conf,
    "run/resolvconf/interface/*",
    "run/resolvconf/interfaces/*",  # openresolv
    "run/resolvconf/keys/*",  # openresolv since 3.14
    names=_OF_INTERFACE,
)
ORIGINALS = (
    *(
        _place(Source.BACKUP, nameservers.resolv_conf, f"etc/resolvconf/resolv.conf.d/{name}")
        for name in ("original", "base", "head", "tail")
    ),
    # Of dhcpcd and openresolv: what is to stand before and behind all else.
    _place(Source.BACKUP, nameservers.resolv_conf, "etc/resolv.conf.head"),
    _place(Source.BACKUP, nameservers.openresolv, "etc/resolvconf.conf"),
    _place(Source.BACKUP, nameservers.resolv_conf, "etc/resolv.conf.tail"),
)


def _find_directories() -> frozenset[str]:
    """Return where the files of these places lie, as far as patterns don't tell where."""
    places = (*PLACES, RESOLVCONF, *ORIGINALS)
    directories = {pattern.rpartition("/")[0] for one in places for pattern in one.patterns}
    return frozenset(one for one in directories if not set(one) & set("*?[{")) - _SHARED


_SHARED = frozenset({"etc", "run", "proc/net"})
"""Where others write all the time, and the kernel's, which tell of nothing (inotify(7))."""
APPENDED = frozenset({"var/lib/dhcp", "var/lib/dhclient"})
"""dhclient keeps its leases open, and closes nothing when it writes one more: a renewal was
noticed by chance, up to 5 s late (issue 15)."""
DIRECTORIES = _find_directories() | {"var/lib/dhcpcd"}
"""To be watched; below the root."""
