"""A DNS message (RFC 1035, 4.1): whether it replies to a query, and what its answers are."""

import struct
from ipaddress import IPv4Address, IPv6Address

from dnsguard.formats.address import IPAddress

_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")
"""Of a record, behind its name: type, class, TTL, length (RFC 1035, 3.2.1)."""
_MOST_RECORDS = 64
_A, _AAAA = 1, 28
_IS_REPLY, _OPCODE, _RCODE = 0x8000, 0x7800, 0xF
"""In a message's flags (RFC 1035, 4.1.1)."""
_FORMERR, _SERVFAIL, _NOTIMP, _REFUSED = 1, 2, 4, 5
_TERSE = frozenset({_FORMERR, _SERVFAIL, _NOTIMP, _REFUSED})
"""What may be said without the question: the server may not have understood it."""


def is_reply(query: bytes, wire: bytes) -> bool:
    """Tell whether a message is the reply to this query (RFC 5452, 9.1).

    A question is not compressed, having nothing before it, and case makes no difference
    (RFC 4343): a length is never over 63, so that no byte of one is a letter's.
    """
    if len(wire) < _HEADER.size:
        return False
    number, flags, questions, *_ = _HEADER.unpack_from(wire)
    if number != _HEADER.unpack_from(query)[0] or not flags & _IS_REPLY:
        return False
    if flags & _OPCODE:  # no plain query, whose code is 0
        return False
    if questions == 0:
        return flags & _RCODE in _TERSE
    end = _skip_name(query, _HEADER.size) + 4
    asked, told = query[_HEADER.size : end], wire[_HEADER.size : end]
    return questions == 1 and asked.lower() == told.lower()


def read_rcode(number: bytes, wire: bytes) -> int | None:
    """Return the response code of a reply with this id, by its header; None if it is none."""
    if len(wire) < _HEADER.size or wire[:2] != number:
        return None
    flags = read_flags(wire)
    return flags & _RCODE if flags & _IS_REPLY else None


def read_flags(wire: bytes) -> int:
    """Return the flags of a message that is one."""
    return int(_HEADER.unpack_from(wire)[1])


def read_answers(wire: bytes) -> tuple[frozenset[int], frozenset[IPAddress]]:
    """Return the types and addresses in the answer section (RFC 1035, 4.1).

    What is cut off or mangled counts as far as it goes.
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
