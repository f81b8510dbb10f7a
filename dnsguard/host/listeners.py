"""Who serves DNS on the node: sock_diag(7) for the event loop.

A server that is killed leaves its address behind, and nothing on it. The kernel tells
that its socket is gone 1 ms after ``kill -9``, without a capability, while a
probe learns of it when its turn comes.

Events come on one socket and answers on another, so neither waits behind the other.
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address

from dnsguard.formats.address import IPAddress, plain
from dnsguard.host.netlink import HEADER, events, open_socket
from dnsguard.host.sock_diag import NETLINK_SOCK_DIAG, SERVICE, find_socket
from dnsguard.host.socket_filter import attach, pack

_GROUPS = 1 << (2 - 1) | 1 << (4 - 1)
"""SKNLGRP_INET_UDP_DESTROY and SKNLGRP_INET6_UDP_DESTROY (linux/sock_diag.h)."""

_PORT_AT = HEADER.size + 4
"""Where an event has its socket's own port (struct inet_diag_msg, linux/inet_diag.h)."""

_ONLY_THE_PORT = pack(
    [
        (0x28, 0, 0, _PORT_AT),  # ldh [_PORT_AT]; too short for that: dropped
        (0x15, 0, 1, SERVICE),  # jeq #SERVICE
        (0x06, 0, 0, 0xFFFFFFFF),  # ret #-1: keep all of it
        (0x06, 0, 0, 0),  # ret #0: drop it
    ]
)
"""Drops the events of other ports before they wake anyone. Every DNS query is asked from a
socket of its own, thousands in a second on a busy node; on port 53 only privileged programs
have one (ip_unprivileged_port_start)."""


class Listeners:
    """The UDP sockets on port 53, and a descriptor for ``add_reader`` that tells of closing.

    The sockets of this network namespace, whoever has them. What is told is a hint: some
    socket on port 53 is gone, and another may still serve the same address.
    """

    def __init__(self) -> None:
        """Subscribe to the events of sockets.

        :raises OSError: netlink is refused here, or no descriptor is left.
        """
        self._events = open_socket(NETLINK_SOCK_DIAG)
        try:
            # The filter first: whatever is told from then on went through it.
            attach(self._events, _ONLY_THE_PORT)
            self._events.bind((0, _GROUPS))
            self._can_tell = _can_tell()
        except OSError:
            self._events.close()
            raise

    def fileno(self) -> int:
        return self._events.fileno()

    def drain(self) -> bool:
        """Read the events that wait, without blocking; say whether there was any.

        Events that the kernel had to drop (ENOBUFS) count: any socket may be gone.
        """
        return bool(list(events(self._events)))

    def find_listening(
        self, addresses: Iterable[IPAddress], port: int = SERVICE
    ) -> frozenset[IPAddress] | None:
        """Return those of the addresses on which a UDP query finds a socket just now.

        The kernel looks as it does for a packet, so sockets on all addresses count, of
        IPv6 for IPv4, too, and one of many that share the port (SO_REUSEPORT) is enough.
        A socket bound to a link (SO_BINDTODEVICE) is found by an address with that zone
        only. Whether the address itself is bound is not asked, nor whether packets to it
        are sent elsewhere before they meet a socket (Cilium, DNAT).

        None: the kernel can't say. It was built without udp_diag, may not load it, or
        refuses.
        """
        if not self._can_tell:
            return None
        try:
            with open_socket(NETLINK_SOCK_DIAG) as sock:
                return frozenset(one for one in addresses if _is_served(sock, one, port))
        except OSError:
            return None

    def close(self) -> None:
        """End the subscription."""
        self._events.close()


def _can_tell() -> bool:
    """Say whether the kernel finds a socket that is there for certain: one of our own.

    ENOENT means that nobody listens, and that the kernel has no udp_diag as well
    (inet_diag_lock_handler in net/ipv4/inet_diag.c). Debian has it as a module, which the
    question loads; the subscription loads inet_diag only, which tells nothing of UDP.
    """
    with (
        open_socket(NETLINK_SOCK_DIAG) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
    ):
        ours.bind(("", 0))
        return _is_served(sock, IPv4Address("127.0.0.1"), ours.getsockname()[1])


def _is_served(sock: socket.socket, address: IPAddress, port: int) -> bool:
    """Ask the kernel.

    :raises OSError: it refuses.
    """
    return find_socket(sock, (plain(address), port), tcp=False) is not None
