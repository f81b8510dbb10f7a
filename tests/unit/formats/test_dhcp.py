"""DHCP messages: the question, and which answers are taken."""

import struct
from dataclasses import replace
from ipaddress import IPv4Address, ip_address

import pytest

from dnsguard.formats import dhcp, dhcpcd
from dnsguard.formats.dhcp import Expected, Refusal, Refused, Reply
from dnsguard.formats.domain_list import read_domains

OURS = Expected(
    xid=0x12345678, hardware=bytes.fromhex("525400123456"), address=IPv4Address("10.99.0.58")
)
SERVER = IPv4Address("10.99.0.1")
OPTIONS = (
    b"\x35\x01\x05"  # acknowledgement
    b"\x36\x04\x0a\x63\x00\x01"  # server identifier
    b"\x06\x08\x0a\x63\x00\x02\x0a\x63\x00\x03"
    b"\x0f\x0creal.example"
    b"\x03\x04\x0a\x63\x00\x01"
)


def reply(options: bytes = OPTIONS, **changed: object) -> bytes:
    """Return a server's message; ``changed`` are fields of the fixed part."""
    fields: dict[str, object] = {
        "op": 2, "htype": 1, "hlen": 6, "hops": 0, "xid": OURS.xid, "secs": 0, "flags": 0,
        "ciaddr": int(OURS.address), "yiaddr": 0, "siaddr": 0, "giaddr": 0,
        "chaddr": OURS.hardware, "sname": b"", "file": b"", "cookie": b"\x63\x82\x53\x63",
    }  # fmt: skip
    fields |= changed
    return struct.pack("!BBBBIHHIIII16s64s128s4s", *fields.values()) + options


def test_the_question_is_a_dhcpinform() -> None:
    """With our address in ciaddr, and the options we want (RFC 2131, 4.4.3)."""
    question = dhcp.make_inform(OURS)
    assert len(question) >= 300
    message = dhcp.decode(question)
    assert isinstance(message, dhcp.Message)
    assert (message.op, message.type, message.xid) == (1, 8, OURS.xid)
    assert (message.hardware, message.client) == (OURS.hardware, OURS.address)
    assert message.option(55) == bytes([6, 15, 119, 3, 54])
    assert message.option(57) == (1472).to_bytes(2, "big")
    with pytest.raises(ValueError, match="17 bytes"):
        dhcp.make_inform(replace(OURS, hardware=bytes(17)))


def test_a_good_reply_is_taken() -> None:
    """Whole."""
    assert dhcp.accept(reply(OPTIONS + b"\xff"), OURS) == Reply(
        nameservers=(IPv4Address("10.99.0.2"), IPv4Address("10.99.0.3")),
        domain="real.example",
        routers=(SERVER,),
        server=SERVER,
    )


@pytest.mark.parametrize("end", [b"", b"\xff", b"\0\0\0", b"\0\xff\0\0garbage"])
def test_the_end_of_the_options_may_vary(end: bytes) -> None:
    """Pads, an end, what is behind it, or nothing."""
    assert isinstance(dhcp.accept(reply(OPTIONS + end), OURS), Reply)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", Refusal.TOO_SHORT),
        (reply(b"")[:-5], Refusal.TOO_SHORT),
        (reply() + bytes(1473 - len(reply())), Refusal.TOO_LONG),
        (reply(cookie=b"\x63\x82\x53\x64"), Refusal.NO_COOKIE),
        (reply(op=1), Refusal.NOT_A_REPLY),
        (dhcp.make_inform(OURS), Refusal.NOT_A_REPLY),
        (reply(xid=OURS.xid ^ 1), Refusal.WRONG_TRANSACTION),
        (reply(chaddr=b"\x52\x54\x00\x12\x34\x57"), Refusal.WRONG_HARDWARE),
        (reply(hlen=5), Refusal.WRONG_HARDWARE),
        (reply(htype=6), Refusal.WRONG_HARDWARE),
        (reply(hlen=255), Refusal.BAD_OPTIONS),
        (reply(ciaddr=1), Refusal.WRONG_ADDRESS),
        (reply(yiaddr=1), Refusal.WRONG_ADDRESS),
        (reply(b""), Refusal.NOT_AN_ACK),
        (reply(OPTIONS.replace(b"\x35\x01\x05", b"\x35\x01\x06")), Refusal.NOT_AN_ACK),
        (reply(OPTIONS.replace(b"\x35\x01\x05", b"\x35\x02\x05\x05")), Refusal.NOT_AN_ACK),
        (reply(b"\x35\x01\x05\x06\x04\x0a\x00\x00\x01"), Refusal.NO_SERVER),
        (reply(b"\x35\x01\x05\x36\x04\x0a\x63\x00\x01"), Refusal.NO_NAMESERVER),
        (reply(OPTIONS + b"\x06"), Refusal.BAD_OPTIONS),
        (reply(OPTIONS + b"\x06\x05\x0a"), Refusal.BAD_OPTIONS),
        (reply(OPTIONS + b"\x06\x03\x0a\x00\x00"), Refusal.BAD_OPTIONS),
        (reply(b"\x06\x00" + OPTIONS[:9]), Refusal.BAD_OPTIONS),
        (reply(OPTIONS + b"\x36\x04\x0a\x63\x00\x02"), Refusal.BAD_OPTIONS),
        (reply(OPTIONS + b"\x77\x02\xc0\x00"), Refusal.BAD_OPTIONS),
        (reply(OPTIONS + b"\x34\x01\x04"), Refusal.BAD_OPTIONS),
        (reply(OPTIONS + b"\x34\x02\x01\x01"), Refusal.BAD_OPTIONS),
        (reply(OPTIONS + b"\x34\x01\x01", file=b"\x06\xff"), Refusal.BAD_OPTIONS),
        (reply(OPTIONS + b"\x34\x01\x01", file=b"\x34\x01\x02"), Refusal.BAD_OPTIONS),
        (reply(OPTIONS + b"\x06\xfc" + b"\x0a\0\0\1" * 63), Refusal.TOO_MANY),
        (reply(OPTIONS + (b"\x06\xfc" + b"\x0a\0\0\1" * 63) * 4), Refusal.TOO_MANY),
        (reply(OPTIONS + (b"\x06\xfc" + b"\x0a\0\0\1" * 63) * 16), Refusal.TOO_LONG),
    ],
)  # fmt: skip
def test_an_odd_reply_is_refused(message: bytes, reason: Refusal) -> None:
    """As a whole, and the reason is told."""
    assert dhcp.accept(message, OURS) == Refused(reason)


def test_only_the_expected_server_counts() -> None:
    """Where one is expected; anybody on the wire may answer."""
    assert isinstance(dhcp.accept(reply(), replace(OURS, servers=frozenset({SERVER}))), Reply)
    other = frozenset({ip_address("10.99.0.9")})
    assert dhcp.accept(reply(), replace(OURS, servers=other)) == Refused(Refusal.WRONG_SERVER)


@pytest.mark.parametrize("changed", [{"ciaddr": 0}, {"yiaddr": int(OURS.address)}])
def test_careless_servers_are_understood(changed: dict[str, int]) -> None:
    """Some leave ciaddr out, some fill yiaddr in: our own address does no harm."""
    assert isinstance(dhcp.accept(reply(OPTIONS, **changed), OURS), Reply)


def test_options_may_be_split_and_overloaded() -> None:
    """Parts are joined in the order of options, file and sname (RFC 3396, 5)."""
    options = b"\x35\x01\x05\x34\x01\x03\x06\x04\x0a\x00\x00\x01\x06\x02\x0a\x00"
    file = b"\x06\x02\x00\x02\x36\x02\x0a\x63\xff\x06\x04ignored"
    sname = b"\0\x36\x02\x00\x01\x06\x04\x0a\x00\x00\x03\xff"
    got = dhcp.accept(reply(options, file=file, sname=sname), OURS)
    assert isinstance(got, Reply)
    assert [str(one) for one in got.nameservers] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert got.server == SERVER


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        (b"a.example", "a.example"),
        (b"a.example\0", "a.example"),
        (b"", None),
        (b"a b", None),
        (b"a\nnameserver 1.1.1.1", None),
        (b"\xff", None),
        (b"a" * 254, None),
    ],
)
def test_a_domain_is_a_domain(value: bytes, domain: str | None) -> None:
    """What could not stand in resolv.conf is left out, the nameservers stay."""
    options = OPTIONS.replace(b"\x0f\x0creal.example", bytes([15, len(value)]) + value)
    got = dhcp.accept(reply(options), OURS)
    assert isinstance(got, Reply)
    assert got.domain == domain


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (b"", ()),
        (b"\x01a\x07example\x00\x01b\xc0\x02", ("a.example", "b.example")),
        (b"\x01a\x00\xc0\x00", ("a", "a")),
        (b"\x00", ()),
        (b"\x01a", None),
        (b"\x01a\xc0\x00", None),
        (b"\xc0\x02\x01a\x00", None),
        (b"\xc0", None),
        (b"\x05a", None),
        (b"\x02a\n\x00", None),
        (b"\x41" + b"a" * 65 + b"\x00", None),
        (b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 4 + b"\x00", None),
        (b"\x01a\x00" * 100, ("a",) * 32),
        (b"\x01a\x00" + b"".join(struct.pack("!H", 0xC000 | max(0, 3 + 2 * n - 2)) for n in range(40)), None),
    ],
)  # fmt: skip
def test_a_search_list_is_decompressed(value: bytes, names: tuple[str, ...] | None) -> None:
    """RFC 3397; loops, pointers forward and what is no name make it malformed."""
    assert read_domains(value) == names


def test_dhcpcds_leases_are_messages() -> None:
    """The message as it came, whoever it was for."""
    offer = OPTIONS.replace(b"\x35\x01\x05", b"\x35\x01\x02")
    got = dhcpcd.parse_lease(reply(offer, xid=1, yiaddr=5))
    assert isinstance(got, Reply)
    assert got.nameservers == (IPv4Address("10.99.0.2"), IPv4Address("10.99.0.3"))
    assert dhcpcd.parse_lease(b"") == Refused(Refusal.TOO_SHORT)


def test_dhcpcds_leases_of_ipv6_are_messages() -> None:
    """Options 23 and 24 of a Reply (RFC 3646)."""
    servers = ip_address("2001:db8::53").packed + ip_address("fe80::1").packed
    message = (
        b"\x07\x01\x02\x03" + struct.pack("!HH", 1, 2) + b"ab"
        + struct.pack("!HH", 23, 32) + servers
        + struct.pack("!HH", 24, 4) + b"\x02v6\x00"
    )  # fmt: skip
    got = dhcpcd.parse_lease6(message)
    assert got == dhcpcd.Reply6(
        nameservers=(ip_address("2001:db8::53"), ip_address("fe80::1")),  # type: ignore[arg-type]
        search=("v6",),
    )
    for cut in range(5, len(message)):
        assert dhcpcd.parse_lease6(message[:cut]) != got
    assert dhcpcd.parse_lease6(b"\x01\0\0\0") == Refused(Refusal.NOT_A_REPLY)
    assert dhcpcd.parse_lease6(b"\x07\0\0") == Refused(Refusal.TOO_SHORT)
    assert dhcpcd.parse_lease6(b"\x07\0\0\0" + struct.pack("!HH", 23, 15) + bytes(15)) == Refused(
        Refusal.BAD_OPTIONS
    )
    many = struct.pack("!HH", 23, 16 * 1000) + bytes(16 * 1000)
    assert dhcpcd.parse_lease6(b"\x07\0\0\0" + many) == Refused(Refusal.TOO_MANY)
