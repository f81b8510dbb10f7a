"""Addresses as the kernel takes them (ip(7), ipv6(7))."""

import errno
import os
import socket
from ipaddress import IPv6Address

from dnsguard.formats.address import IPAddress

Sockaddr = tuple[str, int] | tuple[str, int, int, int]


def make_sockaddr(address: IPAddress, port: int) -> Sockaddr:
    if not isinstance(address, IPv6Address):
        return str(address), port
    return str(address).partition("%")[0], port, 0, _find_zone_index(address.scope_id)


def _find_zone_index(zone: str | None) -> int:
    """Return the index of the link that a zone names, 0 where there is no zone (RFC 4007).

    :raises OSError: ENODEV, there is no such link.
    """
    if zone is None or zone.isdecimal():
        return int(zone or 0)
    try:
        return socket.if_nametoindex(zone)
    except OSError as error:
        # Python 3.11 raises it without a number.
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from error
