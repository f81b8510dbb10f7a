"""dhcpcd's leases: ``/var/lib/dhcpcd/*.lease`` (dhcpcd5 in older releases), the message as it came.

dhcpcd writes the server's DHCPACK into the file byte for byte, and for IPv6 its Reply
into ``*.lease6`` (``src/common.c``: dhcp_writefile()). What an administrator wrote is in dhcpcd.conf(5).
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

from dnsguard.formats import dhcp
from dnsguard.formats.address import IPAddress, parse_nameserver
from dnsguard.formats.domain_list import read_domains

_HEADER6 = 4
_OPTION6 = struct.Struct("!HH")
_NAMESERVERS6, _SEARCH6 = 23, 24
_REPLY6 = (2, 7)
"""Advertise and Reply (RFC 8415, 7.3)."""


MAX_CONF = 1 << 16
"""Of dhcpcd.conf, read from the top; what stands behind is not."""
MOST_STATIC = 64
"""Statements of a dhcpcd.conf, and servers of each."""
_STATIC = frozenset({"domain_name_servers", "dhcp6_name_servers"})
_BLOCKS = frozenset({"ssid", "profile", "arping"})
"""What begins a block that holds on no interface that can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """One ``static domain_name_servers=`` of dhcpcd.conf."""

    line: int
    interface: str | None
    nameservers: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply6:
    """What a DHCPv6 server says about DNS (RFC 3646)."""

    nameservers: tuple[IPv6Address, ...] = ()
    search: tuple[str, ...] = ()


def parse_lease(content: bytes) -> dhcp.Reply | dhcp.Refused:
    """Read a ``.lease`` file; any bytes will do."""
    message = dhcp.decode(content)
    return message if isinstance(message, dhcp.Refused) else dhcp.read_offer(message)


def parse_lease6(content: bytes) -> Reply6 | dhcp.Refused:
    """Read a ``.lease6`` file; any bytes will do."""
    if len(content) > dhcp.MAX_BYTES:
        return dhcp.Refused(dhcp.Refusal.TOO_LONG)
    if len(content) < _HEADER6:
        return dhcp.Refused(dhcp.Refusal.TOO_SHORT)
    if content[0] not in _REPLY6:
        return dhcp.Refused(dhcp.Refusal.NOT_A_REPLY)
    options: dict[int, bytes] = {}
    at = _HEADER6
    while at < len(content):
        code, length = _OPTION6.unpack(content[at : at + _OPTION6.size].ljust(4, b"\xff"))
        at += _OPTION6.size
        if at + length > len(content):
            return dhcp.Refused(dhcp.Refusal.BAD_OPTIONS)
        options[code] = options.get(code, b"") + content[at : at + length]
        at += length
    return _read_offer6(options.get(_NAMESERVERS6, b""), options.get(_SEARCH6, b""))


def _read_offer6(nameservers: bytes, search: bytes) -> Reply6 | dhcp.Refused:
    domains = read_domains(search)
    if domains is None or len(nameservers) % 16:
        return dhcp.Refused(dhcp.Refusal.BAD_OPTIONS)
    if len(nameservers) > 16 * dhcp.MOST_SERVERS:
        return dhcp.Refused(dhcp.Refusal.TOO_MANY)
    places = range(0, len(nameservers), 16)
    return Reply6(
        nameservers=tuple(IPv6Address(nameservers[at : at + 16]) for at in places), search=domains
    )


def parse_conf(content: bytes) -> tuple[Static, ...]:
    """Read a dhcpcd.conf; any bytes will do."""
    interface: str | None = None
    found: list[Static] = []
    lines = content[:MAX_CONF].decode("utf-8", "surrogateescape").split("\n")
    for number, line in enumerate(lines, start=1):
        match line.split(None, 1):
            case ["interface", name]:
                interface = name.strip()
            case [block, *_] if block in _BLOCKS:
                interface = None
            case ["static", value] if len(found) < MOST_STATIC:
                name, _, servers = value.partition("=")
                if name.strip() in _STATIC:
                    named = _read_addresses(servers)
                    found.append(Static(line=number, interface=interface, nameservers=named))
            case _:
                continue
    return tuple(found)


def _read_addresses(text: str) -> tuple[IPAddress, ...]:
    words = text.partition("#")[0].replace(",", " ").strip("\"' \t").split()[:MOST_STATIC]
    found = (parse_nameserver(word) for word in words)
    return tuple(one for one in found if one is not None)
