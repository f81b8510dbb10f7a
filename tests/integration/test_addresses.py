"""The node's addresses and their changes, in a network namespace with the real kernel."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from lab.netns import Namespace
from lab.wait import readable

from dnsguard.host.addresses import Addresses, Unknown

pytestmark = pytest.mark.integration

SO_RCVBUFFORCE = 33  # socket(7); Python has no name for it
LOOPBACK = frozenset({IPv4Address("127.0.0.1"), IPv6Address("::1")})
NODELOCAL = IPv4Address("169.254.25.10")


@pytest.fixture
def addresses(node: Namespace) -> Iterator[Addresses]:
    made = Addresses()
    yield made
    made.close()


def test_an_address_on_a_link_that_is_down_is_bound(node: Namespace, addresses: Addresses) -> None:
    """NodeLocalDNS never sets its link up, and answers all the same."""
    assert addresses.find_bound() == LOOPBACK
    node.bridge("nodelocaldns", f"{NODELOCAL}/32")
    assert readable(addresses)
    assert addresses.drain()
    bound = addresses.find_bound()
    assert isinstance(bound, frozenset)
    assert NODELOCAL in bound


@pytest.mark.parametrize(
    "how", ["address del {address}/32 dev nodelocaldns", "link del nodelocaldns"]
)
def test_an_address_that_goes_away_is_seen(node: Namespace, addresses: Addresses, how: str) -> None:
    """By itself or together with its link."""
    node.bridge("nodelocaldns", f"{NODELOCAL}/32")
    addresses.drain()
    addresses.find_bound()
    assert not addresses.drain()
    node.ip(how.format(address=NODELOCAL))
    assert readable(addresses)
    assert addresses.drain()
    assert addresses.find_bound() == LOOPBACK


def test_an_ipv6_address_comes_and_goes(node: Namespace, addresses: Addresses) -> None:
    """The same for a node-local address of IPv6."""
    node.bridge("nodelocaldns", "fd00::10/128")
    assert addresses.drain()
    assert IPv6Address("fd00::10") in _bound(addresses)
    node.ip("address del fd00::10/128 dev nodelocaldns")
    assert addresses.drain()
    assert IPv6Address("fd00::10") not in _bound(addresses)


def test_a_link_that_changes_is_a_hint(node: Namespace, addresses: Addresses) -> None:
    """A link that comes up may be the way to an upstream."""
    node.bridge("br0")
    addresses.drain()
    node.ip("link set br0 up")
    assert readable(addresses)
    assert addresses.drain()


def test_nothing_new_is_no_hint(addresses: Addresses) -> None:
    """drain() on a quiet socket returns at once, and says so."""
    assert not addresses.drain()
    assert not readable(addresses, within=0)


def test_on_a_point_to_point_link_the_local_end_is_ours(
    node: Namespace, addresses: Addresses
) -> None:
    """IFA_ADDRESS is the peer's there; taking it would make the peer's address ours."""
    node.bridge("ppp0")
    node.ip("address add 10.9.0.1 peer 10.9.0.2/32 dev ppp0")
    node.ip("address add fd00::1 peer fd00::2/128 dev ppp0 nodad")
    bound = _bound(addresses)
    assert {ip_address("10.9.0.1"), ip_address("fd00::1")} <= bound
    assert not {ip_address("10.9.0.2"), ip_address("fd00::2")} & bound


def test_a_link_local_address_has_its_zone(node: Namespace, addresses: Addresses) -> None:
    """fe80::1 on Docker's bridge is not fe80::1%eth0, the router; after a rename neither."""
    node.bridge("docker0", "fe80::1/64")
    assert IPv6Address("fe80::1%docker0") in _bound(addresses)
    node.ip("link set docker0 name docker1")
    assert addresses.drain()
    bound = _bound(addresses)
    assert IPv6Address("fe80::1%docker1") in bound
    assert IPv6Address("fe80::1%docker0") not in bound


def test_many_addresses_come_in_many_datagrams(node: Namespace, addresses: Addresses) -> None:
    """As on a node with many services in IPVS mode."""
    many = [IPv4Address(0x0A000001 + number) for number in range(1000)]
    node.bridge("kube-ipvs0")
    batch = "".join(f"address add {address}/32 dev kube-ipvs0\n" for address in many)
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
    assert set(many) < _bound(addresses)
    assert set(many) < _bound(addresses)


def test_lost_events_are_a_hint(node: Namespace, addresses: Addresses) -> None:
    """When the kernel drops events (ENOBUFS) anything may have changed, and it goes on."""
    addresses._events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    node.bridge("br0")
    batch = "".join(f"address add 10.0.0.{host}/32 dev br0\n" for host in range(1, 200))
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
    _read_up_to_the_loss(addresses)
    node.ip("address add 10.1.0.1/32 dev br0")
    assert addresses.drain()
    assert not addresses.drain()
    assert IPv4Address("10.0.0.199") in _bound(addresses)
    node.ip("address add 10.1.0.2/32 dev br0")
    assert addresses.drain()


def test_a_flood_of_events_does_not_hold_the_loop(node: Namespace, addresses: Addresses) -> None:
    """One drain reads a bounded number of events; the descriptor stays readable for more."""
    addresses._events.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    node.bridge("br0")
    batch = "".join(f"address add 10.0.{n // 250}.{n % 250 + 1}/32 dev br0\n" for n in range(900))
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
    assert addresses.drain()
    assert readable(addresses, within=0)
    while addresses.drain():
        pass
    assert not readable(addresses, within=0)


def test_it_works_inside_a_running_loop(node: Namespace, addresses: Addresses) -> None:
    """Which IPRoute of pyroute2 0.9 doesn't."""

    async def watch() -> frozenset[IPv4Address | IPv6Address]:
        loop = asyncio.get_running_loop()
        hint = asyncio.Event()
        loop.add_reader(addresses, hint.set)
        node.bridge("nodelocaldns", f"{NODELOCAL}/32")
        async with asyncio.timeout(2):
            await hint.wait()
        loop.remove_reader(addresses)
        return _bound(addresses)

    assert NODELOCAL in asyncio.run(watch())


def test_no_descriptor_left_is_an_observation(addresses: Addresses) -> None:
    """A failed dump is a value that says why, not an exception."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        bound = addresses.find_bound()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert bound == Unknown(24)
    assert str(bound) == "Too many open files"


def test_the_rest_of_pyroute2_is_not_loaded() -> None:
    """The package is imported in part, and whoever wants the whole still gets it."""
    check = (
        "import sys, dnsguard.host.addresses as a;"
        "assert not [m for m in sys.modules if m.startswith('pyroute2')];"
        "import pyroute2; assert pyroute2.IPRoute;"
        "made = a.Addresses(); assert made.find_bound(); made.close()"
    )
    _run(check)


def test_pyroute2_loaded_before_is_left_alone() -> None:
    """Where someone imported the whole library, its parts are used and stay."""
    _run(
        "import sys, pyroute2; whole = sys.modules['pyroute2'];"
        "import dnsguard.host.addresses as a; assert sys.modules['pyroute2'] is whole;"
        "made = a.Addresses(); assert made.find_bound(); made.close()"
    )


def _read_up_to_the_loss(addresses: Addresses) -> None:
    """Read what came before the kernel dropped events, and its report of that: no more."""
    with pytest.raises(OSError, match="No buffer space"):
        list(iter(partial(addresses._events.recv, 1 << 16), b""))


def _run(check: str) -> None:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", check], check=True, env=environ)


def _bound(addresses: Addresses) -> frozenset[IPv4Address | IPv6Address]:
    bound = addresses.find_bound()
    assert isinstance(bound, frozenset)
    return bound
