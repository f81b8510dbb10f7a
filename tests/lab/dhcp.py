"""A DHCP client's world: two network namespaces, the real dhclient, and dnsmasq.

:func:`world` joins them. In one is dnsmasq (:mod:`lab.dnsmasq`), in the other a
:class:`lab.dhclient.Machine`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import needs
from lab.dhclient import Machine
from lab.dnsmasq import LAN, OFFER, Server
from lab.netns import Namespace, namespace
from lab.wait import until


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Both ends."""

    machine: Machine
    server: Server
    outside: Namespace
    """Where the server is: addresses for nameservers may be added to its :data:`LAN`."""


@contextmanager
def network(interfaces: Sequence[str] = ("eth0",)) -> Iterator[tuple[Namespace, Namespace]]:
    """Join a client's links to a server's bridge.

    IPv6 addresses are usable at once, without the second of duplicate address detection.
    """
    needs.require("root", "namespaces")
    for program in ("dhclient", "dnsmasq"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            needs.leave_out(program)
    with namespace() as node, namespace() as other:
        for end in (node, other):
            with end.inside():
                Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
                # Links of one LAN: each answers for its own address only (arp(7)), or the
                # server would lose the one when the other's address goes.
                Path("/proc/sys/net/ipv4/conf/all/arp_ignore").write_text("1")
                Path("/proc/sys/net/ipv4/conf/all/arp_announce").write_text("2")
        # One cable does without a bridge, whose ports take a second to open.
        ports = [LAN] if len(interfaces) == 1 else [f"port{name}" for name in interfaces]
        for number, (name, port) in enumerate(zip(interfaces, ports, strict=True)):
            # The same in each world: dnsmasq chooses the client's address by it.
            hardware = f"02:00:00:00:00:{number:02x}"
            node.ip(f"link add {name} address {hardware} type veth peer name {port}")
            node.ip(f"link set {port} netns {other.path}")
            node.ip(f"link set {name} up")
        if ports != [LAN]:
            other.bridge(LAN)
            for port in ports:
                other.ip(f"link set {port} master {LAN} up")
        other.ip(f"link set {LAN} up")
        until(lambda: _forwarding(other) == len(ports) or ports == [LAN])
        yield node, other


def _forwarding(where: Namespace) -> int:
    """Return how many ports of the bridge let packets through."""
    with where.inside():
        return subprocess.check_output(["bridge", "link"]).count(b"state forwarding")


@contextmanager
def world(
    directory: Path, *, offer: Sequence[str] = OFFER, interfaces: Sequence[str] = ("eth0",)
) -> Iterator[World]:
    """Start the server; dhclient is the test's to start (:meth:`Machine.dhclient`)."""
    with network(interfaces) as (node, outside):
        server = Server(outside, directory, offer)
        try:
            machine = Machine(directory / "root", node)
            try:
                yield World(machine=machine, server=server, outside=outside)
            finally:
                machine.close()
        finally:
            server.stop()
