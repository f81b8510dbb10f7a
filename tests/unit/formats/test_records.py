"""The records of our dhclient hook: what they say, and what they can't be made to say."""

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.formats.dhclient import leases, records
from dnsguard.formats.dhclient.records import DhclientEvent, Reason

RECORD = b"""\
dnsguard-dhclient 1
reason BOUND
interface eth0
address 10.99.0.58
nameservers 10.99.0.2 10.99.0.3
domain real.example
search a.example. b.example.
routers 10.99.0.1
server 10.99.0.1
expiry 1795482354
"""
TOLD = DhclientEvent(
    reason=Reason.BOUND,
    interface="eth0",
    address=ip_address("10.99.0.58"),
    nameservers=(ip_address("10.99.0.2"), ip_address("10.99.0.3")),
    domain="real.example",
    search=("a.example.", "b.example."),
    routers=(ip_address("10.99.0.1"),),
    server=ip_address("10.99.0.1"),
    expires=1795482354.0,
)


def test_a_record_is_told_whole() -> None:
    """With all that a candidate's provenance needs."""
    assert records.parse(RECORD) == TOLD
    assert (TOLD.version, TOLD.is_gone) == (4, False)


def test_ipv6_has_its_version_from_its_reason() -> None:
    """And a link-local nameserver its zone, for without it nobody can reach it."""
    record = records.parse(
        b"dnsguard-dhclient 1\nreason RENEW6\ninterface eth0\n"
        b"nameservers fe80::1 febf::1 2001:db8::1 ::ffff:1.2.3.4\n"
    )
    assert record is not None
    assert record.version == 6
    assert record.nameservers == (
        IPv6Address("fe80::1%eth0"),
        IPv6Address("febf::1%eth0"),
        IPv6Address("2001:db8::1"),
        IPv6Address("::ffff:1.2.3.4"),
    )


@pytest.mark.parametrize("reason", Reason)
def test_a_lease_is_gone_or_it_is_not(reason: Reason) -> None:
    """A deprecated address is still there, and its lease may be renewed."""
    record = records.parse(f"dnsguard-dhclient 1\nreason {reason}\ninterface x\n".encode())
    assert record is not None
    gone = reason.removesuffix("6") in ("EXPIRE", "FAIL", "RELEASE", "STOP")
    assert record.is_gone == gone
    assert record.nameservers == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n" + RECORD,
        RECORD.replace(b"client 1", b"client 2"),
        RECORD.replace(b"BOUND", b"PREINIT"),
        RECORD.replace(b"BOUND", b""),
        RECORD.replace(b"eth0", b""),
        RECORD.replace(b"eth0", b"../eth0"),
        RECORD.replace(b"eth0", b"eth0\r"),
        RECORD.replace(b"eth0", b"e" * 65),
        RECORD.replace(b"\n", b"\r\n"),
        RECORD + b"x" * records.MAX_BYTES,
    ],
)
def test_what_our_hook_did_not_write_is_no_record(content: bytes) -> None:
    """Another version's is none, too: its words may mean something else."""
    assert records.parse(content) is None


@pytest.mark.parametrize("name", ["eth0:1", ".x", "eth0.6", "@", "a%b", "wlan-é"])
def test_links_may_have_any_name(name: str) -> None:
    """All but a slash and blanks; where the name makes no zone, there is none."""
    record = records.parse(RECORD.replace(b"eth0", name.encode()) + b"nameservers fe80::1\n")
    assert record is not None
    assert record.interface == name


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"nameservers 1.2.3 x 300.1.1.1", "nameservers"),
        (b"address no", "address"),
        (b"domain a\x0bnameserver", "domain"),
        (b"domain a\\012b", "domain"),
        (b"domain -a", "domain"),
        (b"search a.example a..example", "search"),
        (b"search " + b"a" * 64 + b".b", "search"),
        (b"expiry -1", "expires"),
        (b"expiry " + b"9" * 400, "expires"),
        ("expiry ²".encode(), "expires"),
    ],
)
def test_a_value_that_is_none_is_left_out(line: bytes, name: str) -> None:
    """And the others stay."""
    key = line.partition(b" ")[0]
    lines = [line if other.startswith(key) else other for other in RECORD.split(b"\n")]
    record = records.parse(b"\n".join(lines))
    assert record is not None
    assert not getattr(record, name)
    assert record.routers == TOLD.routers


def test_the_first_line_of_a_key_counts() -> None:
    """The hook writes each once, so a second one was not written by it."""
    assert records.parse(RECORD + b"nameservers 6.6.6.6\nreason STOP\n") == TOLD


@given(st.binary(max_size=300), st.integers(0, len(RECORD)))
def test_any_bytes_will_do(junk: bytes, at: int) -> None:
    """Alone, and in the midst of a record."""
    records.parse(junk)
    records.parse(RECORD[:at] + junk + RECORD[at:])
    records.parse(RECORD[:at])


def test_a_lease_tells_what_the_hook_does() -> None:
    """What is bad in it dhclient would not tell."""
    (lease,) = leases.parse(b"""lease { interface "eth0"; fixed-address 10.99.0.58;
        option domain-name-servers 10.99.0.2,10.99.0.3; option domain-name "real.example";
        option domain-search "a.example.", "b.example."; option routers 10.99.0.1;
        option dhcp-server-identifier 10.99.0.1; expire epoch 1795482354; }""")
    assert records.from_lease(lease) == TOLD
    (lease,) = leases.parse(b"""lease6 { interface "eth0"; ia-na 0:0:0:1 { iaaddr 2001:db8::50 { } }
        option dhcp6.name-servers fe80::1; option dhcp6.domain-search "a b"; }""")
    assert records.from_lease(lease, reason=Reason.REBIND6) == DhclientEvent(
        reason=Reason.REBIND6,
        interface="eth0",
        address=ip_address("2001:db8::50"),
        nameservers=(IPv6Address("fe80::1%eth0"),),
        search=("a", "b"),
    )
