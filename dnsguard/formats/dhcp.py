"""DHCP messages (RFC 2131, RFC 2132): a question for the nameservers, and its answer judged.

DHCPINFORM asks for configuration without touching a lease (RFC 2131, 3.4). Nothing
authenticates a reply, so whatever is odd about one refuses it as a whole: better no
answer than half of a forged one.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from dnsguard.formats.address import IPAddress
from dnsguard.formats.domain_list import read_domains

SERVER_PORT = 67
CLIENT_PORT = 68
MAX_BYTES = 1 << 14
"""No message is longer."""
LONGEST_REPLY = 1472
"""What we tell a server that we take (RFC 2132, 9.10): a datagram of an Ethernet."""
MOST_SERVERS = 16
"""More nameservers than these are no configuration."""

_HEADER = struct.Struct("!BBBBIHHIIII16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_SHORTEST = 300
"""A BOOTP message has at least these; some servers and relays drop shorter ones."""
_BOOTREQUEST, _BOOTREPLY = 1, 2
_INFORM, _ACK = 8, 5
ROUTERS, NAMESERVERS, DOMAIN, SEARCH = 3, 6, 15, 119
SERVER_ID = 54
_PAD, _OVERLOAD, _TYPE, _REQUESTED, _MAX_SIZE, _END = 0, 52, 53, 55, 57, 255
ASKED = (NAMESERVERS, DOMAIN, SEARCH, ROUTERS, SERVER_ID)


class Refusal(StrEnum):
    """Why a message is not taken."""

    TOO_LONG = "too long"
    TOO_SHORT = "too short"  # not even the fixed fields
    NO_COOKIE = "not DHCP"  # BOOTP, or anything else
    NOT_A_REPLY = "not a reply"  # op
    WRONG_TRANSACTION = "of another transaction"  # xid
    WRONG_HARDWARE = "for another interface"  # htype, hlen, chaddr
    WRONG_ADDRESS = "for another address"  # ciaddr, yiaddr
    BAD_OPTIONS = "malformed options"
    NOT_AN_ACK = "not an acknowledgement"
    NO_SERVER = "from nobody"  # no server identifier
    WRONG_SERVER = "from another server"
    NO_NAMESERVER = "names no nameserver"
    TOO_MANY = "names too many nameservers"


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is not taken."""

    reason: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A DHCP message as it came."""

    op: int
    xid: int
    hardware: bytes
    """The hardware address (chaddr), as long as it says it is."""
    hardware_type: int
    client: IPv4Address
    """ciaddr"""
    offered: IPv4Address
    """yiaddr"""
    type: int | None
    options: tuple[tuple[int, bytes], ...]
    """Each code once, its parts joined (RFC 3396), in the order of its first part."""

    def option(self, code: int) -> bytes | None:
        return next((value for known, value in self.options if known == code), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a DHCP server says about DNS."""

    nameservers: tuple[IPv4Address, ...] = ()
    domain: str | None = None
    search: tuple[str, ...] = ()
    routers: tuple[IPv4Address, ...] = ()
    server: IPv4Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What only the reply to our own question can know."""

    xid: int
    hardware: bytes
    address: IPv4Address
    """Of the interface that asked."""
    servers: frozenset[IPAddress] | None = None
    """Whose word counts: those of the interface's leases; None for any server's."""
    hardware_type: int = 1


def make_inform(expected: Expected) -> bytes:
    """Return the DHCPINFORM whose reply :func:`accept` takes (RFC 2131, 4.4.3).

    :raises ValueError: the hardware address is longer than 16 bytes.
    """
    if len(expected.hardware) > 16:
        raise ValueError(f"a hardware address of {len(expected.hardware)} bytes")
    header = _HEADER.pack(
        _BOOTREQUEST,
        expected.hardware_type,
        len(expected.hardware),
        0,
        expected.xid,
        0,
        0,
        int(expected.address),
        0,
        0,
        0,
        expected.hardware,
        b"",
        b"",
        _COOKIE,
    )
    size = LONGEST_REPLY.to_bytes(2, "big")
    options = [_TYPE, 1, _INFORM, _MAX_SIZE, 2, *size, _REQUESTED, len(ASKED), *ASKED, _END]
    return (header + bytes(options)).ljust(_SHORTEST, b"\0")


def decode(message: bytes, *, most: int = MAX_BYTES) -> Message | Refused:
    """Read any bytes as a DHCP message; ``most`` is how many it may have."""
    if len(message) > most:
        return Refused(Refusal.TOO_LONG)
    if len(message) < _HEADER.size:
        return Refused(Refusal.TOO_SHORT)
    fields = _HEADER.unpack_from(message)
    op, hardware_type, hardware_length, _, xid, _, _, client, offered = fields[:9]
    hardware, sname, file, cookie = fields[11:]
    if cookie != _COOKIE:
        return Refused(Refusal.NO_COOKIE)
    options = _read_all_options(message[_HEADER.size :], file, sname)
    if options is None or hardware_length > len(hardware):
        return Refused(Refusal.BAD_OPTIONS)
    kind = options.get(_TYPE, b"")
    return Message(
        op=op,
        xid=xid,
        hardware=hardware[:hardware_length],
        hardware_type=hardware_type,
        client=IPv4Address(client),
        offered=IPv4Address(offered),
        type=kind[0] if len(kind) == 1 else None,
        options=tuple(options.items()),
    )


def accept(message: bytes, expected: Expected) -> Reply | Refused:
    """Return what a reply to our DHCPINFORM says, or why it is none."""
    decoded = decode(message, most=LONGEST_REPLY)
    if isinstance(decoded, Refused):
        return decoded
    reason = _find_mismatch(decoded, expected)
    if reason is not None:
        return Refused(reason)
    reply = read_offer(decoded)
    if isinstance(reply, Refused):
        return reply
    if reply.server is None:
        return Refused(Refusal.NO_SERVER)
    if expected.servers is not None and reply.server not in expected.servers:
        return Refused(Refusal.WRONG_SERVER)
    return reply if reply.nameservers else Refused(Refusal.NO_NAMESERVER)


def read_offer(message: Message) -> Reply | Refused:
    """Return what a message says about DNS, whoever sent it."""
    nameservers = _read_addresses(message.option(NAMESERVERS))
    routers = _read_addresses(message.option(ROUTERS))
    server = _read_addresses(message.option(SERVER_ID))
    search = read_domains(message.option(SEARCH) or b"")
    if nameservers is None or routers is None or server is None or search is None:
        return Refused(Refusal.BAD_OPTIONS)
    if len(server) > 1:
        return Refused(Refusal.BAD_OPTIONS)
    if len(nameservers) > MOST_SERVERS:
        return Refused(Refusal.TOO_MANY)
    return Reply(
        nameservers=nameservers,
        domain=_decode(message.option(DOMAIN)),
        search=search,
        routers=routers,
        server=server[0] if server else None,
    )


def _find_mismatch(message: Message, expected: Expected) -> Refusal | None:
    """Return what shows that a message is no reply to our question (RFC 2131, 4.3.5)."""
    if message.op != _BOOTREPLY:
        return Refusal.NOT_A_REPLY
    if message.xid != expected.xid:
        return Refusal.WRONG_TRANSACTION
    if (message.hardware_type, message.hardware) != (expected.hardware_type, expected.hardware):
        return Refusal.WRONG_HARDWARE
    # A server should copy ciaddr and must leave yiaddr alone; not all do either.
    if not {message.client, message.offered} <= {expected.address, IPv4Address(0)}:
        return Refusal.WRONG_ADDRESS
    return None if message.type == _ACK else Refusal.NOT_AN_ACK


def _read_all_options(options: bytes, file: bytes, sname: bytes) -> dict[int, bytes] | None:
    """Join the options of all fields that carry some (RFC 2131, 4.1; RFC 3396, 5).

    None if one of them is malformed.
    """
    joined: dict[int, bytes] = {}
    if not _read_options(options, joined, is_main=True):
        return None
    overload = joined.get(_OVERLOAD, b"\0")
    if len(overload) != 1 or overload[0] > 3:
        return None
    for bit, field in ((1, file), (2, sname)):
        if overload[0] & bit and not _read_options(field, joined, is_main=False):
            return None
    return joined


def _read_options(field: bytes, joined: dict[int, bytes], *, is_main: bool) -> bool:
    """Add one field's options; False if one of them doesn't fit into it."""
    parts: dict[int, list[bytes]] = {}
    at = 0
    while at < len(field) and field[at] != _END:
        code = field[at]
        at += 1
        if code == _PAD:
            continue
        length = field[at] if at < len(field) else 0xFF
        at += 1
        if at + length > len(field) or (code == _OVERLOAD and not is_main):
            return False
        parts.setdefault(code, []).append(field[at : at + length])
        at += length
    for code, values in parts.items():
        joined[code] = joined.get(code, b"") + b"".join(values)
    return True


def _read_addresses(value: bytes | None) -> tuple[IPv4Address, ...] | None:
    """Return the addresses of an option, None if it isn't made of addresses."""
    if value is None:
        return ()
    if not value or len(value) % 4:
        return None
    count = min(len(value) // 4, MOST_SERVERS + 1)
    return tuple(IPv4Address(value[4 * index : 4 * index + 4]) for index in range(count))


def _decode(value: bytes | None) -> str | None:
    """Return a domain name; some servers end it with a NUL (RFC 2132, 2). None if it is none."""
    text = (value or b"").rstrip(b"\0").decode("ascii", "replace")
    is_name = all(letter.isalnum() or letter in "-._" for letter in text) and text.isascii()
    return text if text and is_name and len(text) <= 253 else None
