"""What a file says of nameservers, in one form whatever its own is: :class:`Note`.

A function here is the reader of one format; each takes any bytes (or any tree, of YAML)
and none judges what it reads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dnsguard.formats import (
    cloudinit,
    dhcp,
    dhcpcd,
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
_MARKER = b"# Ansible entries BEGIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
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
class Notes:
    """All that one file says."""

    notes: tuple[Note, ...] = ()
    includes: tuple[str, ...] = ()
    """Names and patterns of files that count as if they stood in it."""


def _of(*notes: Note, includes: Iterable[str] = ()) -> Notes:
    return Notes(tuple(note for note in notes if note.nameservers or note.lease), tuple(includes))


def _note(
    servers: Sequence[IPAddress],
    interface: str | None = None,
    line: int | None = None,
    *,
    tier: int = 0,
) -> Note:
    return Note(
        nameservers=tuple(dict.fromkeys(servers))[:MOST_SERVERS],
        interface=interface,
        line=line,
        tier=tier,
    )


def _endpoints(servers: Iterable[Endpoint]) -> list[IPAddress]:
    """Return those that can stand in resolv.conf."""
    return [server.address for server in servers if server.is_plain]


def resolv_conf(content: bytes) -> Notes:
    """Read a resolv.conf or a copy of it; what is too long to be one names nobody."""
    if len(content) > MAX_BYTES:
        return Notes()
    note = _note(resolvconf.addresses(content))
    return _of(replace(note, is_marked=_MARKER in content))


def dhclient_leases(content: bytes) -> Notes:
    return _of(*(_leased(lease) for lease in leases.parse(content)))


def _leased(lease: Lease) -> Note:
    return Note(
        nameservers=lease.nameservers[:MOST_SERVERS],
        interface=lease.interface,
        line=lease.line or None,
        lease=lease,
    )


def dhclient_conf(content: bytes) -> Notes:
    """Read what a dhclient.conf names itself, whatever dhclient makes of it."""
    said = conf.parse(content)
    return _of(
        *(_note(one.addresses, one.interface, one.line) for one in said.statements),
        *(_note(lease.nameservers, lease.interface, lease.line) for lease in said.leases),
        includes=said.includes,
    )


def interfaces(content: bytes) -> Notes:
    said = ifupdown.parse(content)
    return _of(
        *(_note(iface.nameservers, iface.name, iface.line) for iface in said.ifaces),
        includes=(*said.sources, *(f"{directory}/*" for directory in said.directories)),
    )


def networkd_lease(content: bytes) -> Notes:
    said = networkd.parse_lease(content)
    return _of(
        _leased(
            Lease(
                version=4,
                line=0,
                address=said.address,
                nameservers=said.nameservers,
                routers=said.routers,
                server=said.server,
            )
        )
    )


def networkd_link(content: bytes) -> Notes:
    """Read what networkd knows of a link: routers' advertisements stand nowhere else."""
    return _of(_note(networkd.parse_lease(content).nameservers))


def network(content: bytes) -> Notes:
    """Read a .network file; its interface is known only where it names a single one."""
    said = networkd.parse_network(content)
    names = [name for name in said.interfaces if not set(name) & set("*?[!")]
    interface = names[0] if len(names) == len(said.interfaces) == 1 else None
    return _of(_note(_endpoints(said.servers), interface))


def resolved_conf(content: bytes) -> Notes:
    """Read a resolved.conf: ``DNS=`` first, ``FallbackDNS=`` where somebody set it."""
    said = networkd.parse_resolved(content)
    return _of(_note(_endpoints(said.servers)), _note(_endpoints(said.fallback), tier=1))


def global_dns(content: bytes) -> Notes:
    return _of(_note(_endpoints(networkmanager.parse(content).servers)))


def connection(content: bytes) -> Notes:
    said = networkmanager.parse_connection(content)
    return _of(_note(_endpoints(said.servers), said.interface))


def corefile(content: bytes) -> Notes:
    return _of(_note(_endpoints(corefiles.upstreams(corefiles.parse(content)))))


def configmap(tree: object) -> Notes:
    return _of(_note(_endpoints(corefiles.upstreams(corefiles.parse_configmap(tree)))))


def dhcpcd_lease(content: bytes) -> Notes:
    message = dhcp.decode(content)
    if isinstance(message, dhcp.Refused):
        return Notes()
    said = dhcp.told(message)
    if isinstance(said, dhcp.Refused):
        return Notes()
    return _of(
        _leased(
            Lease(
                version=4,
                line=0,
                address=message.offered,
                nameservers=said.nameservers,
                routers=said.routers,
                server=said.server,
            )
        )
    )


def dhcpcd_lease6(content: bytes) -> Notes:
    said = dhcpcd.parse_lease6(content)
    return Notes() if isinstance(said, dhcp.Refused) else _of(_note(said.nameservers))


def dhcpcd_conf(content: bytes) -> Notes:
    """Read what a dhcpcd.conf names itself."""
    said = dhcpcd.parse_conf(content)
    return _of(*(_note(one.nameservers, one.interface, one.line) for one in said))


def klibc(content: bytes) -> Notes:
    """Read what the initramfs was told, by DHCP or on the kernel's command line (ipconfig)."""
    return _of(_note(shell_variables.nameservers(content, *_KLIBC)))


def openresolv(content: bytes) -> Notes:
    """Read what resolvconf.conf(5) puts before and behind what the interfaces have."""
    return _of(_note(shell_variables.nameservers(content, "name_servers", "name_servers_append")))


def network_data(content: bytes) -> Notes:
    """Read cloud-init's JSON."""
    return _cloud(cloudinit.parse_json(content))


def network_config(tree: object) -> Notes:
    """Read cloud-init's or netplan's YAML."""
    return _cloud(cloudinit.parse(tree))


def cloud_config(tree: object) -> Notes:
    return _cloud(cloudinit.parse_config(tree))


def _cloud(said: tuple[cloudinit.Nameserver, ...]) -> Notes:
    return _of(*(_note((one.address,), one.interface) for one in said))
