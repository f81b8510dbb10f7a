"""What lies unread before a server: the queue of the very socket that a question of ours went to.

The kernel tells it of any socket, without a capability (:mod:`.sock_diag`). Of a server that
hangs it is all that the kernel knows: its sockets are there, and nobody reads from them.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from struct import Struct

from dnsguard.formats.address import IPAddress
from dnsguard.host.netlink import HEADER, open_socket
from dnsguard.host.sock_diag import NETLINK_SOCK_DIAG, SERVICE, Side, find_socket

_TOLD = Struct("=xB2x4x32x4x8s4xI12x")
"""Of struct inet_diag_msg (linux/inet_diag.h): state, cookie, receive queue."""
_ATTRIBUTE = Struct("=HH")
"""struct nlattr: length, type."""
_SKMEMINFO, _CGROUP_ID = 7, 21
"""INET_DIAG_SKMEMINFO, asked for; INET_DIAG_CGROUP_ID, told unasked since Linux 5.7."""
_ASK_SKMEMINFO = 1 << (_SKMEMINFO - 1)
_DROPS = Struct("=32xI")
"""The last of struct sk_meminfo's, SK_MEMINFO_DROPS (linux/sock_diag.h)."""
_CGROUP = Struct("=Q")
_LISTEN = 10
"""TCP_LISTEN (net/tcp_states.h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What one socket's owner has not read, at one moment."""

    socket: bytes
    """Which one it is: the kernel never gives a cookie twice."""
    unread: int
    """Bytes; of datagrams with what the kernel needs to keep them, some 800 a question.
    Connections that nobody has accepted, where it is the listener's."""
    is_listeners: bool = False
    dropped: int = 0
    """Packets that found it full, ever."""
    cgroup: int = 0
    """The number of the cgroup (v2) that its owner was in when it opened it; 0 where the kernel
    was built without."""

    def __str__(self) -> str:
        if self.is_listeners:
            return f"{self.unread} connections wait to be accepted"
        lost = f", {self.dropped} packets were dropped" if self.dropped else ""
        return f"{self.unread} bytes wait unread in its queue{lost}"


class Queues:
    """The kernel's word on sockets of this network namespace, whoever has them."""

    def __init__(self) -> None:
        """Open the socket for asking.

        :raises OSError: netlink is refused here, or no descriptor is left.
        """
        self._kernel = open_socket(NETLINK_SOCK_DIAG)

    def read(
        self, server: IPAddress, ours: socket.socket | None, *, tcp: bool, port: int = SERVICE
    ) -> Queue | None:
        """Return the queue that a question from our socket is in, or was.

        Without one of ours: a queue that anybody's question may be in. None: nobody has such a
        socket, or the kernel can't say.
        """
        try:
            client = None if ours is None else _name(ours)
            message = find_socket(
                self._kernel, (server, port), client, tcp=tcp, extensions=_ASK_SKMEMINFO
            )
        except OSError:
            return None
        return None if message is None else _read(message)

    def close(self) -> None:
        self._kernel.close()


def _name(ours: socket.socket) -> Side:
    host, port, *_ = ours.getsockname()
    return ip_address(host), port


def _read(message: bytes) -> Queue:
    state, cookie, unread = _TOLD.unpack_from(message, HEADER.size)
    told = dict(_read_attributes(message))
    memory, cgroup = told.get(_SKMEMINFO, b""), told.get(_CGROUP_ID, b"")
    return Queue(
        socket=cookie,
        unread=unread,
        is_listeners=state == _LISTEN,
        dropped=_DROPS.unpack_from(memory)[0] if len(memory) >= _DROPS.size else 0,
        cgroup=_CGROUP.unpack_from(cgroup)[0] if len(cgroup) >= _CGROUP.size else 0,
    )


def _read_attributes(message: bytes) -> Iterator[tuple[int, bytes]]:
    at = HEADER.size + _TOLD.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind, message[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
