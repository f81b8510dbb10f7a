"""The answer section of a DNS message (RFC 1035, 4.1): its types and its addresses."""

import struct
from ipaddress import IPv4Address, IPv6Address

from dnsguard.formats.address import IPAddress

_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")
"""Of a record, behind its name: type, class, TTL, length (RFC 1035, 3.2.1)."""
_MOST_RECORDS = 64
_A, _AAAA = 1, 28


def read_answers(wire: bytes) -> tuple[frozenset[int], frozenset[IPAddress]]:
    """Return the types and addresses in the answer section (RFC 1035, 4.1).

    What is cut off or mangled counts as far as it goes. Read by hand: for records
    dnspython loads a module a type, 20 ms in the middle of the loop.
    """
    types: set[int] = set()
    addresses: set[IPAddress] = set()
    _, _, questions, answers, _, _ = _HEADER.unpack_from(wire)
    try:
        at = _HEADER.size
        for _ in range(questions):
            at = _skip_name(wire, at) + 4
        for _ in range(min(answers, _MOST_RECORDS)):
            at = _skip_name(wire, at)
            rdtype, _, _, length = _FIXED.unpack_from(wire, at)
            at += _FIXED.size + length
            types.add(rdtype)
            if (rdtype, length) == (_A, 4):
                addresses.add(IPv4Address(wire[at - 4 : at]))
            elif (rdtype, length) == (_AAAA, 16):
                addresses.add(IPv6Address(wire[at - 16 : at]))
    except (struct.error, IndexError, ValueError):
        pass
    return frozenset(types), frozenset(addresses)


def _skip_name(wire: bytes, at: int) -> int:
    """Return the place behind a name: labels, up to an empty one or a pointer."""
    while length := wire[at]:
        if length >= 0xC0:
            return at + 2
        at += length + 1
    return at + 1
