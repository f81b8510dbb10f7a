"""Addresses as the kernel takes them (ip(7), ipv6(7))."""

import errno
import os
import socket
from ipaddress import IPv6Address

from dnsguard.formats.address import IPAddress

_DIGITS = len(str(1 << 31))
"""Of an index: an int of the kernel's."""

Sockaddr = tuple[str, int] | tuple[str, int, int, int]


def make_sockaddr(address: IPAddress, port: int) -> Sockaddr:
    if not isinstance(address, IPv6Address):
        return str(address), port
    return str(address).partition("%")[0], port, 0, find_zone_index(address.scope_id)


def find_zone_index(zone: str | None) -> int:
    """Return the index of the link that a zone names, 0 where there is no zone (RFC 4007).

    :raises OSError: ENODEV, there is no such link.
    """
    if zone is None:
        return 0
    if zone.isdecimal() and len(zone) < _DIGITS:
        return int(zone)
    try:
        return socket.if_nametoindex(zone)
    except (OSError, ValueError) as error:
        # Python 3.11 raises it without a number, and refuses what is no name at all.
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from error
