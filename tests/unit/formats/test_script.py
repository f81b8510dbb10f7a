"""What dhclient-script makes of resolv.conf; the real one is asked in the integration ring."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.formats.dhclient import leases, records, script
from dnsguard.formats.dhclient.records import DhclientEvent, Reason

FILE = b"# theirs\nsearch old.example\nnameserver 192.0.2.1\n nameserver 192.0.2.2\nNameServer x"


def _told(reason: Reason = Reason.RENEW, /, **values: str) -> DhclientEvent:
    content = "".join(f"{key} {value}\n" for key, value in values.items())
    found = records.parse(
        f"dnsguard-dhclient 1\nreason {reason}\ninterface eth0\n{content}".encode()
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"nameservers": "10.99.0.2 ::1"}, b"nameserver 10.99.0.2\nnameserver ::1\n"),
        (
            {"domain": "a.b", "nameservers": "1.1.1.1"},
            b"domain a.b\nsearch a.b\nnameserver 1.1.1.1\n",
        ),
        (
            {"domain": "a.b", "search": "c. a.b.", "nameservers": "1.1.1.1"},
            b"domain a.b\nsearch c. a.b.\nnameserver 1.1.1.1\n",
        ),
        (
            {"domain": "a.b", "search": "c.", "nameservers": "1.1.1.1"},
            b"domain a.b\nsearch a.b c.\nnameserver 1.1.1.1\n",
        ),
        ({"domain": "a b"}, b"domain a\nsearch a b\nnameserver 192.0.2.1\nNameServer x"),
        ({"search": "a b"}, b"search a b\nnameserver 192.0.2.1\nNameServer x"),
    ],
)
def test_ipv4_rewrites_the_whole_file(values: dict[str, str], expected: bytes) -> None:
    """Only nameservers are kept, and only where there are no new ones."""
    assert script.make_resolv_conf(_told(**values), FILE) == expected


def test_ipv6_gives_link_local_servers_their_zone() -> None:
    """Those below fe80::/64, by their text."""
    nameservers = "fe80::1 fe80:1::1 ::ffff:1.2.3.4 ::1.2.3.4 ::1"
    found = script.make_resolv_conf(
        _told(Reason.BOUND6, nameservers=nameservers, search="a."), FILE
    )
    assert found == (
        b"search a.\nnameserver fe80::1%eth0\nnameserver fe80:1::1\n"
        b"nameserver ::ffff:1.2.3.4\nnameserver ::1.2.3.4\nnameserver ::1\n"
    )


@pytest.mark.parametrize("reason", ["EXPIRE", "FAIL", "RELEASE", "STOP", "DEPREF6", "STOP6"])
def test_a_lease_that_goes_leaves_the_file(reason: str) -> None:
    """Its nameservers stay, whether they are reachable or not."""
    assert script.make_resolv_conf(_told(Reason(reason), nameservers="1.1.1.1"), FILE) is None


def test_who_says_nothing_leaves_the_file() -> None:
    """A server without any of these options."""
    assert script.make_resolv_conf(_told(routers="10.99.0.1"), FILE) is None
    assert script.make_resolv_conf(_told(Reason.BOUND6), FILE) is None


def test_a_poisoned_lease_poisons_the_file() -> None:
    """The incident, foretold."""
    (lease,) = leases.parse(b"""lease { interface "eth0"; fixed-address 10.99.0.58;
        option domain-name-servers 169.254.25.10; option domain-name "cluster.local";
        option domain-search "default.svc.cluster.local.", "svc.cluster.local."; }""")
    assert script.make_resolv_conf(records.from_lease(lease), FILE) == (
        b"domain cluster.local\n"
        b"search cluster.local default.svc.cluster.local. svc.cluster.local.\n"
        b"nameserver 169.254.25.10\n"
    )
    assert ip_address("169.254.25.10") in records.from_lease(lease).nameservers


@given(st.binary(max_size=200))
def test_any_file_will_do(current: bytes) -> None:
    """What is kept of it are whole lines of it."""
    found = script.make_resolv_conf(_told(search="a"), current)
    assert found is not None
    assert set(found.removeprefix(b"search a\n").split(b"\n")) <= {b"", *current.split(b"\n")}
