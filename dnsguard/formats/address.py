"""Nameserver addresses, read the way glibc reads them.

``resolv.conf`` is read by glibc with ``inet_aton_exact`` and ``inet_pton``
(``resolv/res_init.c``), so ``nameserver 2852133130`` is 169.254.25.10 and
``::ffff:169.254.25.10`` reaches the same socket. A guard that compared strings
would let both through.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

IPAddress = IPv4Address | IPv6Address

_BASES = {"0x": 16, "0X": 16}
_IPV4_MAX = 0xFFFFFFFF


def _read_number(part: str) -> int:
    """Read one part of a dotted IPv4 address in C notation (inet_aton(3))."""
    if part[:2] in _BASES:
        digits, base = part[2:], 16
    elif part.startswith("0"):
        digits, base = part, 8
    else:
        digits, base = part, 10
    # int() takes signs, underscores and non-ASCII digits; strtoul's callers don't.
    if not (digits.isascii() and digits.isalnum()):
        raise ValueError(part)
    return int(digits, base)


def inet_aton(text: str) -> IPv4Address | None:
    """Read an IPv4 address in all the forms that C does, None where C refuses.

    The manual is inet(3), the forms are a.b.c.d, a.b.c, a.b and a, in any base.
    """
    parts = text.split(".")
    if len(parts) > 4:
        return None
    try:
        *heads, last = [_read_number(part) for part in parts]
    except ValueError:
        return None
    if any(head > 0xFF for head in heads) or last >> (8 * (4 - len(heads))):
        return None
    value = last
    for index, head in enumerate(heads):
        value |= head << (8 * (3 - index))
    return IPv4Address(value) if value <= _IPV4_MAX else None


def parse_nameserver(text: str) -> IPAddress | None:
    """Return the address of a ``nameserver`` line's value, None where glibc ignores it."""
    if ":" not in text:
        return inet_aton(text)
    address, _, zone = text.partition("%")
    try:
        return zoned(IPv6Address(f"{address}%{zone}" if zone and "%" not in zone else address))
    except ValueError:
        return None


def plain(address: IPAddress) -> IPAddress:
    """Return the IPv4 address inside an IPv4-mapped one (RFC 4291, 2.5.5.2), else itself.

    Without a zone that means nothing, see :func:`zoned`.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return zoned(address)


def zoned(address: IPAddress) -> IPAddress:
    """Return the address with its zone only where that says where it is: link-local.

    RA clients write ``2001:db8:1::53%eth0``. glibc drops the zone of a global address
    (res_init.c, __inet6_scopeid_pton); CoreDNS can't dial it (coredns#6635), and compared
    with a cluster address it would be another one.
    """
    if isinstance(address, IPv6Address) and address.scope_id and not address.is_link_local:
        return IPv6Address(int(address))
    return address


def is_asker(address: IPAddress) -> bool:
    """Tell whether whoever asks this address asks itself: a pod the pod, the node the node."""
    return address.is_loopback or address.is_unspecified


def is_unique_local(address: IPAddress) -> bool:
    """Tell whether it is one of fc00::/7 (RFC 4193)."""
    return address.version == 6 and address.packed[0] & 0xFE == 0xFC


def parse_address(text: str) -> IPAddress:
    """Return the address that a person wrote in a configuration.

    :raises ValueError: it is none; unlike glibc, no octal or single-number forms.
    """
    return ip_address(text)
