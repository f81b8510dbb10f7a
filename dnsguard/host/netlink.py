"""What all of netlink(7) has in common: a socket, messages one after another, an errno."""

import os
import socket
from collections.abc import Iterator
from struct import Struct

HEADER = Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence number, port (netlink(7))."""

DATAGRAM_MAX = 64 * 1024
"""The kernel fills at most 32 KiB of a dump into one datagram."""

EVENTS_MAX = 512
"""For one drain. The descriptor stays readable, so the loop comes back for the rest."""

_CODE = Struct("=i")
"""What an NLMSG_ERROR and an NLMSG_DONE begin with: a negative errno, or 0 and up."""


def open_socket(protocol: int) -> socket.socket:
    """Return a socket that never blocks.

    :raises OSError: netlink is refused here, or no descriptor is left.
    """
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    return socket.socket(socket.AF_NETLINK, kind, protocol)


def events(sock: socket.socket) -> Iterator[bytes]:
    """Yield the datagrams that wait, without blocking.

    An empty one stands for those that the kernel had to drop (ENOBUFS).
    """
    for _ in range(EVENTS_MAX):
        try:
            yield sock.recv(DATAGRAM_MAX)
        except BlockingIOError:
            return
        except OSError:
            yield b""


def messages(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield type, flags and the whole of each message; stop where one is cut."""
    at = 0
    while at + HEADER.size < len(datagram):
        length, kind, flags, _, _ = HEADER.unpack_from(datagram, at)
        if not HEADER.size < length <= len(datagram) - at:
            return
        yield kind, flags, datagram[at : at + length]
        at += (length + 3) & ~3


def check(message: bytes) -> None:
    """Read an NLMSG_ERROR or NLMSG_DONE.

    :raises OSError: it says that the kernel refuses, or broke off.
    """
    code: int = _CODE.unpack_from(message, HEADER.size)[0]
    if code < 0:
        raise OSError(-code, os.strerror(-code))
