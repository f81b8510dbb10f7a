"""NetworkManager's DNS: of a connection (nm-settings-keyfile(5)), of a device, the global one.

The last (NetworkManager.conf(5)) replaces what connections and their leases say.
"""

import re
from dataclasses import dataclass

from dnsguard.formats.address import IPAddress
from dnsguard.formats.endpoint import Endpoint, parse_endpoints
from dnsguard.formats.ini import read_entries

_EVERY_NAME = frozenset({"global-dns-domain-*", ".intern.global-dns-domain-*"})
"""The second is NetworkManager's own note of what it was told over D-Bus (nm-config-base.h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """The nameservers that one file names."""

    interface: str | None = None
    """A connection's ``interface-name``, where it has one."""
    servers: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What DHCP has told a device, as NetworkManager 1.42 writes it down.

    Its own lease file (``internal-*.lease``) has the address and nothing else.
    """

    version: int
    nameservers: tuple[IPAddress, ...] = ()
    routers: tuple[IPAddress, ...] = ()
    server: IPAddress | None = None
    address: IPAddress | None = None


def parse(content: bytes) -> Dns:
    """Read a NetworkManager.conf or a file of its ``conf.d``; any bytes will do.

    A later ``servers`` replaces an earlier one, ``servers+`` adds to it. The servers of a
    single domain are not for other names.
    """
    words: list[str] = []
    for section, key, value in read_entries(content):
        if section in _EVERY_NAME and key in ("servers", "servers+"):
            words = words if key == "servers+" else []
            words += _split_words(value)
    return Dns(servers=parse_endpoints(words))


def parse_connection(content: bytes) -> Dns:
    """Read a ``.nmconnection`` file, for IPv4 and IPv6 together; any bytes will do."""
    # Of two values of a key the later counts.
    values = {(section, key): value for section, key, value in read_entries(content)}
    words = [
        word
        for family in ("ipv4", "ipv6")
        for word in _split_words(values.get((family, "dns"), ""))
    ]
    return Dns(
        interface=values.get(("connection", "interface-name")) or None,
        servers=parse_endpoints(words),
    )


def parse_device(content: bytes) -> tuple[Lease, ...]:
    """Read a file of ``/run/NetworkManager/devices``; any bytes will do.

    A device has a lease of DHCPv4, of DHCPv6, of both or of none.
    """
    values = {(section, key): value for section, key, value in read_entries(content)}
    sections = {section for section, _ in values}

    def addresses(section: str, key: str) -> tuple[IPAddress, ...]:
        words = _split_words(values.get((section, f"{section}.{key}"), ""))
        return tuple(one.address for one in parse_endpoints(words))

    def make(version: int, section: str, nameservers: str, address: str) -> Lease:
        return Lease(
            version=version,
            nameservers=addresses(section, nameservers),
            routers=addresses(section, "routers"),
            server=next(iter(addresses(section, "dhcp_server_identifier")), None),
            address=next(iter(addresses(section, address)), None),
        )

    # DHCPv6 names its server by a DUID, and routers advertise themselves.
    kinds = (
        (4, "dhcp4", "domain_name_servers", "ip_address"),
        (6, "dhcp6", "dhcp6_name_servers", "ip6_address"),
    )
    return tuple(make(*kind) for kind in kinds if kind[1] in sections)


def _split_words(value: str) -> list[str]:
    return [word for word in re.split(r"[,;\s]+", value) if word]
