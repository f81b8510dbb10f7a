"""The DHCP server is asked beside the real dhclient, which does not notice."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from lab.dhclient import PATIENCE
from lab.dhcp import World, world
from lab.dhcp_question import (
    ACK,
    EVIL,
    INFORM,
    POISON,
    REAL,
    SERVER,
    asked,
    held,
    named,
    open_files,
    tap,
)
from lab.dnsmasq import OFFER, Server
from lab.netns import Namespace, cable, namespace
from lab.wait import until

from dnsguard.core.answers import Outcome
from dnsguard.core.model import CurrentLease
from dnsguard.core.observation import DhcpAnswer
from dnsguard.formats import dhcp
from dnsguard.host.dhcp_query import query

pytestmark = pytest.mark.integration

TREE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return a world in which dhclient holds a poisoned lease."""
    with world(tmp_path_factory.mktemp("dhcp")) as made, made.machine.dhclient(POISON) as client:
        client.wait_for("BOUND")
        yield made


LEASE = CurrentLease(
    interface="eth0",
    address=IPv4Address("10.99.0.5"),
    nameservers=(),
    servers=frozenset({SERVER}),
    origin="nowhere",
)


@pytest.fixture
def link() -> Iterator[tuple[Namespace, Namespace]]:
    """Return a node that has LEASE's address, and what it is wired to; no DHCP in between."""
    with namespace() as node, namespace() as other:
        cable(node, other)
        node.ip(f"address add {LEASE.address}/24 dev eth0")
        yield node, other


def test_the_server_tells_what_the_lease_does_not(poisoned: World) -> None:
    """Options 6 and 15 as the server has them, though nothing on the node does."""
    lease = held(poisoned.machine)
    assert lease.nameservers == (ip_address("169.254.25.10"),)
    before = time.monotonic()
    got = asked(poisoned.machine.where, lease)
    print(f"answered in {1e3 * (got.at - before):.1f} ms")
    assert got.reply == dhcp.Reply(
        nameservers=REAL,
        domain="real.example",
        search=("a.example", "b.example"),
        routers=(SERVER,),
        server=SERVER,
    )
    assert (got.outcome, got.interface) == (Outcome.ANSWERED, "eth0")
    assert got.detail == "DHCP server 10.99.0.1 names 10.99.0.2, 10.99.0.3"
    assert before < got.at <= time.monotonic()


def test_one_question_is_one_datagram_each_way(poisoned: World) -> None:
    """The process of dhclient, its lease file and its silence are as before."""
    machine = poisoned.machine
    lease, runs = machine.lease_file().read_bytes(), machine.events()
    with tap(poisoned.outside) as seen:
        for _ in range(20):
            assert named(asked(machine.where, held(machine))) == REAL
        assert seen.drain() == [INFORM, ACK] * 20
    assert machine.lease_file().read_bytes() == lease
    assert machine.events() == runs


def test_dhclient_renews_all_the_while(tmp_path: Path) -> None:
    """Each asks on port 68 and each gets its own answer."""
    offer = (*OFFER, "--dhcp-option=option:T1,3")  # dnsmasq takes nothing shorter
    with world(tmp_path, offer=offer) as made, made.machine.dhclient(POISON) as client:
        address = client.wait_for("BOUND").environ["new_ip_address"]
        lease = held(made.machine)
        count = 0

        def has_renewed_twice() -> bool:
            nonlocal count
            assert named(asked(made.machine.where, lease)) == REAL
            count += 1
            return len(client.events()) >= 4

        until(has_renewed_twice, within=PATIENCE)
        reasons = [event.reason for event in client.events()]
        renewed = client.wait_for("RENEW", times=2)
        assert client.process.poll() is None
    print(f"{count} questions during two renewals")
    assert reasons == ["PREINIT", "BOUND", "RENEW", "RENEW"]
    assert renewed.environ["new_ip_address"] == address
    assert held(made.machine).address == lease.address


QUESTION = """
import asyncio, json, re, sys
from ipaddress import ip_address
from pathlib import Path
from dnsguard.core.model import CurrentLease
from dnsguard.host.dhcp_query import query
lease = CurrentLease(interface="eth0", address=ip_address(sys.argv[1]), nameservers=(),
                     servers=frozenset(), origin="")
got = asyncio.run(query(lease, timeout=5))
capabilities = re.findall(r"Cap(?:Eff|Prm|Bnd):\\s*(\\w+)", Path("/proc/self/status").read_text())
print(json.dumps([got.outcome, got.detail, *capabilities]))
"""


@pytest.mark.parametrize(
    ("kept", "mask", "outcome", "detail"),
    [
        ("-all,+net_bind_service", 1 << 10, Outcome.ANSWERED, "DHCP server 10.99.0.1 names"),
        ("-all", 0, Outcome.UNREACHABLE, "port 68 needs CAP_NET_BIND_SERVICE (EACCES)"),
    ],
)
def test_one_capability_is_enough(
    poisoned: World, kept: str, mask: int, outcome: Outcome, detail: str
) -> None:
    """The one that the port needs; without it, that is what is said."""
    privileges = ["--bounding-set", kept, "--inh-caps=-all", "--no-new-privs"]
    command = ["setpriv", *privileges, sys.executable, "-c", QUESTION]
    with poisoned.machine.where.inside():
        done = subprocess.run(
            [*command, str(held(poisoned.machine).address)],
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, "PYTHONPATH": str(TREE)},
        )
    got, said, *capabilities = json.loads(done.stdout)
    assert {int(each, 16) for each in capabilities} == {mask}
    assert got == outcome
    assert detail in said


@pytest.mark.parametrize("is_connected", [False, True], ids=["bound", "connected"])
@pytest.mark.parametrize("names_servers", [True, False], ids=["server known", "server unknown"])
def test_a_client_with_a_more_specific_socket_keeps_no_answer(
    poisoned: World,
    is_connected: bool,  # noqa: FBT001 -- drawn
    names_servers: bool,  # noqa: FBT001 -- drawn
) -> None:
    """Networkd's and dhcpcd's is bound to the lease's address, NetworkManager's connected, too.

    The kernel gives a datagram to the most specific socket alone, and of two alike to the later.
    """
    lease = held(poisoned.machine)
    if not names_servers:
        lease = replace(lease, servers=frozenset())
    with poisoned.machine.where.inside(), socket.socket(type=socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        client.bind((str(lease.address), dhcp.CLIENT_PORT))
        if is_connected:
            client.connect((str(SERVER), dhcp.SERVER_PORT))
        before = time.monotonic()
        got = asked(poisoned.machine.where, lease, timeout=0.5)
        print(f"{got.outcome} in {1e3 * (got.at - before):.1f} ms")
    if is_connected and not names_servers:
        assert got.outcome is Outcome.TIMED_OUT
        assert got.detail.endswith("or its client alone hears it: the server is unknown")
    else:
        assert named(got) == REAL


def test_without_a_server_the_time_runs_out(poisoned: World) -> None:
    """It is asked three times, and that is a value."""
    lease = held(poisoned.machine)
    with poisoned.server.silent(), tap(poisoned.outside) as seen:
        got = asked(poisoned.machine.where, lease, timeout=1.0)
        assert seen.drain() == [INFORM] * 3
    assert (got.outcome, got.reply) == (Outcome.TIMED_OUT, None)
    assert got.detail == "no DHCP server answers in 1 s"


def test_a_lost_question_is_sent_again(poisoned: World) -> None:
    """A server that comes up meanwhile has heard only the later ones."""
    lease = held(poisoned.machine)
    poisoned.server.stop()

    async def ask_early() -> DhcpAnswer:
        question = asyncio.create_task(query(lease, timeout=5))
        await asyncio.sleep(0)
        assert seen.next().type == INFORM
        poisoned.server.start()
        return await question

    with tap(poisoned.outside) as seen, poisoned.machine.where.inside():
        assert named(asyncio.run(ask_early())) == REAL


NO_ADDRESS = "it has no IPv4 address, or not the lease's (EADDRNOTAVAIL)"


@pytest.mark.parametrize(
    ("changed", "before", "detail"),
    [
        ({"interface": "eth9"}, "", "there is no such interface (ENODEV)"),
        ({"interface": ""}, "", "there is no such interface (ENODEV)"),
        ({"interface": "eth0\0"}, "", "there is no such interface (ENODEV)"),
        ({"interface": "lo", "address": None}, "", "it is no Ethernet (ENOTSUP)"),
        (
            {"interface": "a23456789012345x"},
            "link set eth0 name a23456789012345",
            "there is no such interface (ENODEV)",
        ),
        ({}, "link del eth0", "there is no such interface (ENODEV)"),
        ({}, "link set eth0 down", "it is down (ENETUNREACH)"),
        ({}, "address flush dev eth0", NO_ADDRESS),
        ({"address": EVIL}, "", NO_ADDRESS),
        ({"address": ip_address("fe80::1")}, "", NO_ADDRESS),
    ],
)
def test_what_can_not_be_asked_is_a_value(
    link: tuple[Namespace, Namespace], changed: dict[str, object], before: str, detail: str
) -> None:
    """Interface gone, renamed or down, its address taken away: the reason is told."""
    node, _ = link
    if before:
        node.ip(before)
    got = asked(node, replace(LEASE, **changed))
    assert (got.outcome, got.reply) == (Outcome.UNREACHABLE, None)
    assert got.detail == f"can't be asked: {detail}"


def test_the_leases_address_need_not_be_the_first(
    link: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    """An operator may have added another one before it; where the lease has none, any will do."""
    node, other = link
    node.ip("address flush dev eth0")
    for address in ("10.99.0.7", LEASE.address):
        node.ip(f"address add {address}/24 dev eth0")
    server = Server(other, tmp_path, link="eth0")
    try:
        for lease, client in (
            (LEASE, LEASE.address),
            (replace(LEASE, address=None), IPv4Address("10.99.0.7")),
        ):
            with tap(other, "eth0") as seen:
                assert named(asked(node, lease)) == REAL
                assert seen.next().client == client
    finally:
        server.stop()


def test_a_program_that_has_the_port_to_itself_is_left_alone(
    link: tuple[Namespace, Namespace],
) -> None:
    """Without SO_REUSEADDR there is no sharing."""
    node, _ = link
    with node.inside(), socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("", dhcp.CLIENT_PORT))
        got = asked(node, LEASE)
    assert got.detail == "can't be asked: another program has port 68 to itself (EADDRINUSE)"


def test_an_interface_that_goes_away_ends_the_question(link: tuple[Namespace, Namespace]) -> None:
    """With the next sending, and without an exception."""
    node, _ = link

    async def ask_in_vain() -> DhcpAnswer:
        question = asyncio.create_task(query(LEASE, timeout=5))
        await asyncio.sleep(0)
        node.ip("link del eth0")
        return await question

    with node.inside():
        got = asyncio.run(ask_in_vain())
    assert got.outcome is Outcome.UNREACHABLE
    assert "ENODEV" in got.detail


def test_a_question_can_be_given_up(link: tuple[Namespace, Namespace]) -> None:
    """A cancelled one leaves no socket and no reader behind."""

    async def give_up() -> None:
        question = asyncio.create_task(query(LEASE, timeout=60))
        await asyncio.sleep(0)
        question.cancel()
        await asyncio.wait([question])
        assert question.cancelled()

    node, _ = link
    before = open_files()
    with node.inside():
        asyncio.run(give_up())
    assert open_files() == before


def test_two_interfaces_do_not_mix(tmp_path: Path) -> None:
    """Not even two links whose servers and addresses are the same, asked side by side."""
    with namespace() as node, namespace() as left, namespace() as right:
        with node.inside():
            Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("0")
            Path("/proc/sys/net/ipv4/conf/default/rp_filter").write_text("0")
        servers = []
        told = {"eth0": REAL[0], "eth1": REAL[1]}
        try:
            for other, (link, address) in zip((left, right), told.items(), strict=True):
                cable(node, other, name=link)
                node.ip(f"address add 10.99.0.5/24 dev {link}")
                (tmp_path / link).mkdir()
                offer = (OFFER[0], f"--dhcp-option=option:dns-server,{address}")
                servers.append(Server(other, tmp_path / link, offer, link=link))

            async def ask_both() -> list[DhcpAnswer]:
                return await asyncio.gather(
                    *(query(replace(LEASE, interface=each), timeout=5) for each in told)
                )

            for _ in range(20):
                with node.inside():
                    got = asyncio.run(ask_both())
                assert {each.interface: named(each) for each in got} == {
                    link: (address,) for link, address in told.items()
                }
        finally:
            for server in servers:
                server.stop()
