"""A DHCP server asked by dnsguard, and what passes on its link meanwhile."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from dnsguard.core.model import CurrentLease
from dnsguard.core.observation import DhcpAnswer
from dnsguard.formats import dhcp
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient import leases
from dnsguard.host.dhcp_query import query
from lab import dnsmasq
from lab.dhclient import Machine
from lab.dnsmasq import LAN
from lab.netns import Namespace
from lab.wait import until

POISON = b"supersede domain-name-servers 169.254.25.10;\n"
REAL = (IPv4Address("10.99.0.2"), IPv4Address("10.99.0.3"))
EVIL = IPv4Address("10.99.0.66")
INFORM, ACK = 8, 5
SERVER = IPv4Address(dnsmasq.SERVER)


def held(machine: Machine) -> CurrentLease:
    """Return the lease that dhclient holds."""
    until(lambda: bool(leases.parse(machine.lease_file().read_bytes())))
    lease = leases.parse(machine.lease_file().read_bytes())[-1]
    assert lease.server is not None
    return CurrentLease(
        interface="eth0",
        address=lease.address,
        nameservers=lease.nameservers,
        servers=frozenset({lease.server}),
        origin=str(machine.lease_file()),
    )


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def asked(where: Namespace, lease: CurrentLease, *, timeout: float = 5.0) -> DhcpAnswer:
    """Ask from inside, and see that nothing is left open."""
    before = open_files()
    with where.inside():
        got = asyncio.run(query(lease, timeout=timeout))
    assert open_files() == before
    assert got.lease is lease
    return got


def named(got: DhcpAnswer) -> tuple[IPAddress, ...]:
    assert got.reply is not None, got.detail
    return got.reply.nameservers


class Tap:
    """Sees all DHCP messages that pass the server's link."""

    def __init__(self, where: Namespace, link: str) -> None:
        with where.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        self.socket.bind((link, 0x0003))
        self.socket.settimeout(5)

    def next(self) -> dhcp.Message:
        """Wait for the next message.

        :raises TimeoutError: none came.
        """
        while True:
            packet = self.socket.recv(4096)
            header = (packet[0] & 15) * 4
            ports = struct.unpack_from("!HH", packet, header)
            if packet[9] == socket.IPPROTO_UDP and set(ports) <= {67, 68}:
                message = dhcp.decode(packet[header + 8 :])
                assert isinstance(message, dhcp.Message)
                return message

    def drain(self) -> list[int | None]:
        """Return the types of those that came until now."""
        self.socket.settimeout(0)
        types = []
        try:
            while True:
                types.append(self.next().type)
        except BlockingIOError:
            return types


@contextmanager
def tap(where: Namespace, link: str = LAN) -> Iterator[Tap]:
    made = Tap(where, link)
    with made.socket:
        yield made
