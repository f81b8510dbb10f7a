"""The real dhclient decides whether ours is a reading of its leases."""

import fcntl
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address

import pytest
from lab.wait import readable
from unit.formats.samples import REAL

from dnsguard.formats import dhcp
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient import conf, leases, script
from dnsguard.formats.dhclient import records as told
from integration.dhclient_oracle.client import Lab, servers_of

pytestmark = pytest.mark.integration


SIOCGIFHWADDR = 0x8927  # netdevice(7); Python has no name for it


@pytest.mark.parametrize(
    "text",
    [
        "",
        "supersede domain-name-servers 169.254.25.10;",
        r'supersede host-name "a\"};{\\"; supersede root-path "\001\377$`";',
        'supersede domain-search "x.example", "x.example", "y.x.example";',
    ],
)
def test_dhclients_leases_are_read(lab: Lab, text: str) -> None:
    """What it writes down is what the hook was told."""
    environ = lab.client.ask(b"also request domain-search; " + text.encode())
    (lease,) = leases.parse(lab.client.leases.read_bytes())
    assert tuple(map(str, lease.nameservers)) == servers_of(environ)
    assert lease.search == tuple(environ["new_domain_search"].split())
    assert (lease.interface, lease.domain) == ("eth0", environ["new_domain_name"])
    assert str(lease.address) == environ["new_ip_address"]
    assert str(lease.server) == environ["new_dhcp_server_identifier"]
    assert tuple(map(str, lease.routers)) == servers_of(environ, "new_routers")
    assert lease.expires == float(environ["new_expiry"])


NAMES = (
    "a b",
    "a  b ",
    " a",
    "a.b.",
    "a..b",
    ".",
    ".a",
    "-a",
    "a-",
    "a-.b",
    "a_b",
    "_a",
    "a/b",
    "a,b",
    "\\303\\274",
    r"a\nb",
    r"a\"b",
    "a" * 63,
    "a" * 64,
    ".".join(["a" * 63] * 4),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_lease_tells_what_the_script_is_told(lab: Lab, name: str) -> None:
    """Of a domain that is none dhclient says nothing, but its lease has it."""
    text = f'supersede domain-name "{name}"; also request domain-search;'
    environ = lab.client.ask(text.encode())
    (lease,) = leases.parse(lab.client.leases.read_bytes())
    found = told.from_lease(lease)
    assert found.domain == environ.get("new_domain_name")
    assert " ".join(found.search) == environ["new_domain_search"]
    assert found.nameservers == tuple(map(ip_address, servers_of(environ)))


def test_the_script_is_told_ipv6_addresses_as_we_write_them(lab: Lab) -> None:
    """IPv4 in them is dotted, as inet_ntop(3) has it."""
    servers = "::ffff:1.2.3.4, ::1.2.3.4, ::1, ::1:0, fe80::1, fe80:1::1, 2001:db8:0:0:1::"
    environ = lab.client.ask(f"supersede dhcp6.name-servers {servers};".encode(), version=6)
    (lease,) = leases.parse(lab.client.leases.read_bytes())
    assert script.make_resolv_conf(told.from_lease(lease), b"") == b"".join(
        f"nameserver {server}{'%eth0' if server == 'fe80::1' else ''}\n".encode()
        for server in servers_of(environ, "new_dhcp6_name_servers")
    )


def test_without_a_server_the_lease_counts_and_not_the_configuration(lab: Lab) -> None:
    """The TIMEOUT path: a poisoned lease poisons the node even after dhclient.conf is clean."""
    lab.client.ask(b"supersede domain-name-servers 169.254.25.10;")
    with lab.server.silent():
        environ = lab.client.ask_again(
            b"reboot 1; timeout 1; initial-interval 1; prepend domain-name-servers 1.1.1.1;"
        )
    assert environ["reason"] == "TIMEOUT"
    newest = leases.parse(lab.client.leases.read_bytes())[-1]
    assert tuple(map(str, newest.nameservers)) == servers_of(environ) == ("169.254.25.10",)


def test_a_lease_of_the_configuration_is_the_last_resort(lab: Lab) -> None:
    """``lease {}`` in dhclient.conf, when no server answers."""
    content = b"""timeout 1; lease {
        interface "eth0"; fixed-address 10.99.0.60; option subnet-mask 255.255.255.0;
        option domain-name-servers 10.99.0.7; renew never; rebind never; expire never; }"""
    with lab.server.silent():
        environ = lab.client.ask(content)
    (lease,) = conf.parse(content).leases
    assert environ["reason"] == "TIMEOUT"
    assert tuple(map(str, lease.nameservers)) == servers_of(environ) == ("10.99.0.7",)


def test_the_server_answers_our_question_truly(lab: Lab) -> None:
    """DHCPINFORM beside a running dhclient that holds a poisoned lease on the same port."""
    lab.client.leases.write_bytes(b"")
    with lab.client.running(b"supersede domain-name-servers 169.254.25.10;"):
        lease = leases.parse(lab.client.leases.read_bytes())[-1]
        before = lab.client.leases.read_bytes()
        assert isinstance(lease.address, IPv4Address)
        assert lease.server is not None
        with lab.node.inside(), _address(lease.address):
            got = _inform(lease.address, frozenset({lease.server}))
        assert lab.client.leases.read_bytes() == before
    assert got == dhcp.Reply(
        nameservers=(IPv4Address(REAL[0]), IPv4Address(REAL[1])),
        domain="real.example",
        search=("a.example", "b.example"),
        routers=(IPv4Address("10.99.0.1"),),
        server=IPv4Address("10.99.0.1"),
    )


@contextmanager
def _address(address: IPv4Address) -> Iterator[None]:
    """Have the address on eth0, as dhclient-script would."""
    command = ["ip", "address", "add", f"{address}/24", "dev", "eth0"]
    subprocess.run(command, check=True)
    try:
        yield
    finally:
        command[2] = "del"
        subprocess.run(command, check=True)


def _inform(address: IPv4Address, servers: frozenset[IPAddress]) -> dhcp.Reply | dhcp.Refused:
    """Ask by a plain UDP socket on the client's port, and return the first word on it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        asking.bind(("", dhcp.CLIENT_PORT))
        hardware = fcntl.ioctl(asking, SIOCGIFHWADDR, struct.pack("16s16x", b"eth0"))[18:24]
        expected = dhcp.Expected(xid=0x2A, hardware=hardware, address=address, servers=servers)
        asking.sendto(dhcp.make_inform(expected), ("255.255.255.255", dhcp.SERVER_PORT))
        assert readable(asking)
        return dhcp.accept(asking.recv(4096), expected)
