"""What a file says of nameservers, in one form whatever its own is: :class:`NamedServers`.

A function here is the reader of one format; each takes any bytes (or any tree, of YAML)
and none judges what it reads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dnsguard.formats import (
    cloudinit,
    dhcp,
    dhcpcd,
    forwarders,
    ifupdown,
    networkd,
    networkmanager,
    resolvconf,
    shell_variables,
)
from dnsguard.formats import corefile as corefiles
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient import conf, leases
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.formats.endpoint import Endpoint

MAX_BYTES = 1 << 16
"""Of a resolv.conf: the guard edits none that is longer."""
MOST_SERVERS = 16
"""Of one note; more are no configuration."""

_KLIBC = "IPV4DNS0", "IPV4DNS1", "IPV6DNS0", "IPV6DNS1"
_OPENRESOLV = ("prepend_nameservers", "name_servers", "name_servers_append", "append_nameservers")
_MARKER = b"# Ansible entries BEGIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedServers:
    """Nameservers that a file names together."""

    nameservers: tuple[IPAddress, ...] = ()
    interface: str | None = None
    line: int | None = None
    tier: int = 0
    """How much worse than the best of the file."""
    is_marked: bool = False
    """Kubespray has been at the file: its block is there."""
    lease: Lease | None = None
    """The lease that it is; networkd's and dhcpcd's have no expiry, they go with their file."""


@dataclass(frozen=True, slots=True)
class NamedServersList:
    """All that one file says."""

    notes: tuple[NamedServers, ...] = ()
    includes: tuple[str, ...] = ()
    """Names and patterns of files that count as if they stood in it."""


def _from(*notes: NamedServers, includes: Iterable[str] = ()) -> NamedServersList:
    return NamedServersList(
        tuple(note for note in notes if note.nameservers or note.lease), tuple(includes)
    )


def _make(
    servers: Sequence[IPAddress],
    interface: str | None = None,
    line: int | None = None,
    *,
    tier: int = 0,
) -> NamedServers:
    return NamedServers(
        nameservers=tuple(dict.fromkeys(servers))[:MOST_SERVERS],
        interface=interface,
        line=line,
        tier=tier,
    )


def _from_endpoints(servers: Iterable[Endpoint]) -> list[IPAddress]:
    """Return those that can stand in resolv.conf."""
    return [server.address for server in servers if server.is_plain]


def resolv_conf(content: bytes) -> NamedServersList:
    """Read a resolv.conf or a copy of it; what is too long to be one names nobody."""
    if len(content) > MAX_BYTES:
        return NamedServersList()
    note = _make(resolvconf.find_meant(content))
    return _from(replace(note, is_marked=_MARKER in content))


def dhclient_leases(content: bytes) -> NamedServersList:
    return _from(*(_from_lease(lease) for lease in leases.parse(content)))


def _from_lease(lease: Lease) -> NamedServers:
    return NamedServers(
        nameservers=lease.nameservers[:MOST_SERVERS],
        interface=lease.interface,
        line=lease.line or None,
        lease=lease,
    )


def _from_client(
    said: networkd.Lease | networkmanager.Lease | dhcp.Reply,
    *,
    version: int,
    address: IPAddress | None,
) -> NamedServers:
    """Return what a client has written down of the lease that it holds."""
    return _from_lease(
        Lease(
            version=version,
            line=0,
            address=address,
            nameservers=said.nameservers,
            routers=said.routers,
            server=said.server,
        )
    )


def dhclient_conf(content: bytes) -> NamedServersList:
    """Read what a dhclient.conf names itself, whatever dhclient makes of it."""
    said = conf.parse(content)
    return _from(
        *(_make(one.addresses, one.interface, one.line) for one in said.statements),
        *(_make(lease.nameservers, lease.interface, lease.line) for lease in said.leases),
        includes=said.includes,
    )


def interfaces(content: bytes) -> NamedServersList:
    said = ifupdown.parse(content)
    return _from(
        *(_make(iface.nameservers, iface.name, iface.line) for iface in said.ifaces),
        includes=(*said.sources, *(f"{directory}/*" for directory in said.directories)),
    )


def networkd_lease(content: bytes) -> NamedServersList:
    said = networkd.parse_lease(content)
    return _from(_from_client(said, version=4, address=said.address))


def networkd_link(content: bytes) -> NamedServersList:
    """Read what networkd knows of a link: routers' advertisements stand nowhere else."""
    return _from(_make(networkd.parse_lease(content).nameservers))


def network(content: bytes) -> NamedServersList:
    """Read a .network file; its interface is known only where it names a single one."""
    said = networkd.parse_network(content)
    names = [name for name in said.interfaces if not set(name) & set("*?[!")]
    interface = names[0] if len(names) == len(said.interfaces) == 1 else None
    return _from(_make(_from_endpoints(said.servers), interface))


def resolved_conf(content: bytes) -> NamedServersList:
    """Read a resolved.conf: ``DNS=`` first, ``FallbackDNS=`` where somebody set it."""
    said = networkd.parse_resolved(content)
    return _from(
        _make(_from_endpoints(said.servers)), _make(_from_endpoints(said.fallback), tier=1)
    )


def global_dns(content: bytes) -> NamedServersList:
    return _from(_make(_from_endpoints(networkmanager.parse(content).servers)))


def connection(content: bytes) -> NamedServersList:
    said = networkmanager.parse_connection(content)
    return _from(_make(_from_endpoints(said.servers), said.interface))


def device(content: bytes) -> NamedServersList:
    """Read what NetworkManager knows of a device: what DHCP has told it."""
    told = networkmanager.parse_device(content)
    return _from(*(_from_client(one, version=one.version, address=one.address) for one in told))


def corefile(content: bytes) -> NamedServersList:
    return _from(_make(_from_endpoints(corefiles.find_upstreams(corefiles.parse(content)))))


def configmap(tree: object) -> NamedServersList:
    return _from(_make(_from_endpoints(corefiles.find_upstreams(corefiles.parse_configmap(tree)))))


def dnsmasq(content: bytes) -> NamedServersList:
    """Read a dnsmasq.conf, or the resolv.conf that it names."""
    said = forwarders.parse_dnsmasq(content)
    named = _make((*said.servers, *resolvconf.read_addresses(content)))
    return _from(named, includes=said.files)


def unbound(content: bytes) -> NamedServersList:
    return _from(_make(forwarders.parse_unbound(content)))


def dhcpcd_lease(content: bytes) -> NamedServersList:
    message = dhcp.decode(content)
    if isinstance(message, dhcp.Refused):
        return NamedServersList()
    said = dhcp.read_offer(message)
    if isinstance(said, dhcp.Refused):
        return NamedServersList()
    return _from(_from_client(said, version=4, address=message.offered))


def dhcpcd_lease6(content: bytes) -> NamedServersList:
    said = dhcpcd.parse_lease6(content)
    return NamedServersList() if isinstance(said, dhcp.Refused) else _from(_make(said.nameservers))


def dhcpcd_conf(content: bytes) -> NamedServersList:
    """Read what a dhcpcd.conf names itself."""
    said = dhcpcd.parse_conf(content)
    return _from(*(_make(one.nameservers, one.interface, one.line) for one in said))


def klibc(content: bytes) -> NamedServersList:
    """Read what the initramfs was told, by DHCP or on the kernel's command line (ipconfig)."""
    return _from(_make(shell_variables.find_nameservers(content, *_KLIBC)))


def openresolv(content: bytes) -> NamedServersList:
    """Read what resolvconf.conf(5) puts before and behind what the interfaces have."""
    return _from(_make(shell_variables.find_nameservers(content, *_OPENRESOLV)))


def network_data(content: bytes) -> NamedServersList:
    """Read cloud-init's JSON."""
    return _from_cloud(cloudinit.parse_json(content))


def network_config(tree: object) -> NamedServersList:
    """Read cloud-init's or netplan's YAML."""
    return _from_cloud(cloudinit.parse(tree))


def cloud_config(tree: object) -> NamedServersList:
    return _from_cloud(cloudinit.parse_config(tree))


def _from_cloud(said: tuple[cloudinit.Nameserver, ...]) -> NamedServersList:
    return _from(*(_make((one.address,), one.interface) for one in said))
