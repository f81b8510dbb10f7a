"""systemd-networkd's leases and .network files, and resolved.conf."""

from ipaddress import ip_address

import pytest

from dnsguard.formats import networkd
from dnsguard.formats.endpoint import Endpoint, parse_endpoint

LEASE = b"""\
# This is private data. Do not parse.
ADDRESS=10.99.0.58
NETMASK=255.255.255.0
ROUTER=10.99.0.1
SERVER_ADDRESS=10.99.0.1
T1=1800
T2=3150
LIFETIME=3600
DNS=10.99.0.2 10.99.0.3
DOMAINNAME=real.example
DOMAIN_SEARCH_LIST=a.example b.example
CLIENTID=ffca53095a00020000ab11
"""


def test_a_lease_is_told() -> None:
    """As systemd 252 writes it."""
    assert networkd.parse_lease(LEASE) == networkd.Lease(
        servers=(
            Endpoint(address=ip_address("10.99.0.2")),
            Endpoint(address=ip_address("10.99.0.3")),
        ),
        routers=(ip_address("10.99.0.1"),),
        server=ip_address("10.99.0.1"),
        address=ip_address("10.99.0.58"),
    )


def test_a_lease_cut_in_half_keeps_what_is_whole() -> None:
    """A half address is none."""
    cut = LEASE[: LEASE.index(b".0.3")]
    assert networkd.parse_lease(cut).nameservers == (ip_address("10.99.0.2"),)


def test_a_link_has_servers_that_resolv_conf_can_not_name() -> None:
    """At another port, and behind TLS."""
    link = networkd.parse_lease(b"DNS=10.0.0.1:5353 10.0.0.2 10.0.0.3:53#dot.example\n")
    assert [str(one.address) for one in link.servers] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert [str(one) for one in link.nameservers] == ["10.0.0.2", "10.0.0.3"]


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("1.1.1.1", Endpoint(address=ip_address("1.1.1.1"))),
        ("1.1.1.1:853", Endpoint(address=ip_address("1.1.1.1"), port=853)),
        (
            "1.1.1.1:53%eth0#one.example",
            Endpoint(address=ip_address("1.1.1.1"), port=53, interface="eth0", name="one.example"),
        ),
        ("1.1.1.1#x", Endpoint(address=ip_address("1.1.1.1"), name="x")),
        ("2001:db8::53", Endpoint(address=ip_address("2001:db8::53"))),
        ("[2001:db8::53]:53", Endpoint(address=ip_address("2001:db8::53"), port=53)),
        ("fe80::1%eth0", Endpoint(address=ip_address("fe80::1%eth0"), interface="eth0")),
        (
            "[fe80::1%eth0]:54",
            Endpoint(address=ip_address("fe80::1%eth0"), port=54, interface="eth0"),
        ),
        (
            "[fe80::1]:54%eth0#x",
            Endpoint(address=ip_address("fe80::1%eth0"), port=54, interface="eth0", name="x"),
        ),
        ("tls://9.9.9.9", Endpoint(address=ip_address("9.9.9.9"), scheme="tls")),
        ("dns://[::1]:53", Endpoint(address=ip_address("::1"), port=53, scheme="dns")),
        ("1.1.1", None),
        ("010.1.1.1", None),
        ("1.1.1.1:", None),
        ("1.1.1.1:70000", None),
        ("2001:db8::53:g", None),
        ("[1.1.1.1", None),
        ("ns.example", None),
        ("/etc/resolv.conf", None),
        ("1.1.1.1 ", None),
        ("\u0661.1.1.1", None),
        ("", None),
    ],
)
def test_an_endpoint_is_read(text: str, endpoint: Endpoint | None) -> None:
    """In the notations of systemd and CoreDNS; whatever else is none."""
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("1.1.1.1", True),
        ("dns://1.1.1.1:53", True),
        ("1.1.1.1:5353", False),
        ("tls://1.1.1.1", False),
    ],
)
def test_resolv_conf_has_room_for_plain_dns_only(text: str, is_plain: bool) -> None:  # noqa: FBT001
    """It knows no port and no TLS."""
    endpoint = parse_endpoint(text)
    assert endpoint is not None
    assert endpoint.is_plain is is_plain


def test_a_network_file_is_told() -> None:
    """Several lines add up, an empty one clears; other sections have DNS of their own."""
    found = networkd.parse_network(
        b"[Match]\nName=en* eth0\n\n"
        b"[Network]\nDHCP=ipv4\nDNS=9.9.9.9\nDNS=\n"
        b"DNS=1.1.1.1 nonsense\n# DNS=2.2.2.2\nDNS=8.8.8.8:53%eth0#x \\\n; comment\n  [::1]:54\n"
        b"Domains=~. a.example\n"
        b"[DHCPv4]\nUseDNS=no\nDNS=3.3.3.3\n"
    )
    assert found.interfaces == ("en*", "eth0")
    assert [str(one.address) for one in found.servers] == ["1.1.1.1", "8.8.8.8", "::1"]


def test_resolved_conf_is_told() -> None:
    """As Kubespray's drop-in has it."""
    found = networkd.parse_resolved(
        b"# Ansible managed\n[Resolve]\nDNS=169.254.25.10 10.99.0.2\nFallbackDNS=\n"
        b"Domains=default.svc.cluster.local svc.cluster.local\n#LLMNR=yes\nCache=no-negative\n"
    )
    assert [str(one.address) for one in found.servers] == ["169.254.25.10", "10.99.0.2"]
    assert found.fallback == ()
