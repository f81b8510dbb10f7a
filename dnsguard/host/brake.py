"""Stop a question that goes round and round: its servers no longer hear it, and it is answered.

A looping question does not die by itself: each server on its way asks again after two
seconds, and so makes another one. Measured with CoreDNS 1.11.3 without ``max_concurrent``:
20,000 questions a second from a single one, after 16 s and at 650 MiB, no end in sight. To
drop it is not enough: who gets no answer starts health checks, which loop just the same.

Root may duplicate the servers' own sockets (pidfd_getfd(2), Linux 5.6). A filter on them
(socket(7), SO_ATTACH_FILTER) drops what asks for the name and nothing else; the answer to
what was dropped is sent from them, too, so that all the servers on the way get theirs.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from dnsguard.formats.address import IPAddress, plain
from dnsguard.host.socket_filter import Program, attach, detach, pack

Place = tuple[IPAddress, int]
"""An address and a port."""

_GETFD = 438  # on every architecture
_IP_PKTINFO, _IPV6_PKTINFO = 8, 50  # linux/in.h, linux/in6.h
_LENGTH = struct.Struct("!H")
_PREFIX = 20
"""Bytes of the name that are compared."""
_UDP_NAME, _TCP_NAME = 8 + 12, 2 + 12
"""Where it stands: behind UDP's header, and behind TCP's, whose length varies (RFC 7766, 8)."""

_LD_W, _LD_B, _LD_IND_W, _LD_LEN, _TAX = 0x20, 0x30, 0x40, 0x80, 0x07
_JEQ, _JGE, _RET, _RSH, _LSH, _SUB_X = 0x15, 0x35, 0x06, 0x74, 0x64, 0x1C


class Brake:
    """The sockets at which some processes take questions."""

    def __init__(
        self, proc: Path, pids: Iterable[int], ports: Iterable[int], packed: bytes
    ) -> None:
        """Find them.

        :param packed: the name as it goes over the wire, random from its beginning.
        :raises OSError: a process's sockets can't be had: a question could not be stopped.
        """
        self._proc, self._pids, self._ports = proc, tuple(pids), frozenset(ports)
        self._programs = {
            socket.SOCK_DGRAM: pack(_udp(packed)),
            socket.SOCK_STREAM: pack(_tcp(packed)),
        }
        self._known: set[str] = set()
        self._taken: list[socket.socket] = []
        self._find()

    def pull(self) -> None:
        """Drop the question from now on; to be called again for connections made meanwhile."""
        # Listeners first: the connections made from then on have their filter, too.
        for one in sorted(self._taken, key=_is_connection):
            self._attach(one)
        for one in sorted(self._find(), key=_is_connection):
            self._attach(one)

    def answer(self, transport: int, source: Place, place: Place, message: bytes) -> None:
        """Answer a question that was dropped on its way from a source to a place."""
        for one in list(self._taken):
            # Wrong sockets say so: their network has no such address.
            with suppress(OSError):
                if transport == socket.IPPROTO_UDP and one.type == socket.SOCK_DGRAM:
                    _send(one, source, place, message)
                elif _is_connection(one) and _place(one.getpeername()) == source:
                    one.send(_LENGTH.pack(len(message)) + message)
                    # The question will be sent again: without a reader it brings a reset.
                    one.shutdown(socket.SHUT_RDWR)
                    detach(one)
                    self._taken.remove(one)
                    one.close()

    def release(self) -> None:
        """Take the filters off, and let go.

        Not off the connections: what was dropped is sent again for as long as they last.
        """
        for one in self._taken:
            if not _is_connection(one):
                with suppress(OSError):  # none was on
                    detach(one)
            one.close()
        self._taken = []

    def _find(self) -> list[socket.socket]:
        """Return the sockets that are new."""
        new = []
        for pid in self._pids:
            with suppress(ProcessLookupError, FileNotFoundError):  # it has ended
                new += list(self._new(pid))
        return new

    def _new(self, pid: int) -> Iterator[socket.socket]:
        descriptors = self._proc / str(pid) / "fd"
        process = os.pidfd_open(pid)
        try:
            for name in os.listdir(descriptors):  # noqa: PTH208
                with suppress(FileNotFoundError):
                    inode = str((descriptors / name).readlink())
                    if inode.startswith("socket:") and inode not in self._known:
                        one = socket.socket(fileno=_getfd(process, int(name)))
                        self._known.add(inode)
                        if self._is_asked(one):
                            self._taken.append(one)
                            yield one
                        else:
                            one.close()
        finally:
            os.close(process)

    def _is_asked(self, one: socket.socket) -> bool:
        if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type not in self._programs:
            return False
        with suppress(OSError):
            return one.getsockname()[1] in self._ports
        return False

    def _attach(self, one: socket.socket) -> None:
        with suppress(OSError):  # a connection that has ended
            attach(one, self._programs[one.type])


def _place(name: tuple[Any, ...]) -> Place:
    return plain(ip_address(str(name[0]).partition("%")[0])), int(name[1])


def _send(one: socket.socket, source: Place, place: Place, message: bytes) -> None:
    """Send from the very address that was asked (IP_PKTINFO): the socket may have them all."""
    address, port = _place(one.getsockname())
    if port != place[1] or not (address.is_unspecified or address == place[0]):
        return
    to, here = str(source[0]), place[0].packed
    if source[0].version == 4:
        to = f"::ffff:{to}" if one.family == socket.AF_INET6 else to
        info = (socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("i4s4x", 0, here))
    else:
        info = (socket.IPPROTO_IPV6, _IPV6_PKTINFO, struct.pack("16si", here, 0))
    one.sendmsg([message], [info], 0, (to, source[1]))


def _is_connection(one: socket.socket) -> bool:
    with suppress(OSError):
        if one.type == socket.SOCK_STREAM:
            return not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return False


def _getfd(process: int, descriptor: int) -> int:
    call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).syscall
    found = call(_GETFD, process, descriptor, 0)
    if found == -1:
        number = ctypes.get_errno()
        if number == errno.EBADF:  # closed meanwhile
            raise FileNotFoundError
        raise OSError(number, os.strerror(number), "pidfd_getfd")
    return found


def _udp(packed: bytes) -> Program:
    size = _UDP_NAME + _PREFIX
    # A load beyond the end drops the packet, hence the length first.
    return [(_LD_LEN, 0, 0, 0), (_JGE, 0, 11, size), *_compare(packed, _LD_W, _UDP_NAME)]


def _tcp(packed: bytes) -> Program:
    return [
        (_LD_B, 0, 0, 12),
        (_RSH, 0, 0, 4),
        (_LSH, 0, 0, 2),
        (_TAX, 0, 0, 0),
        (_LD_LEN, 0, 0, 0),
        (_SUB_X, 0, 0, 0),
        (_JGE, 0, 11, _TCP_NAME + _PREFIX),
        *_compare(packed, _LD_IND_W, _TCP_NAME),
    ]


def _compare(packed: bytes, load: int, at: int) -> Program:
    """Drop what has the name there, take all else. Twelve instructions."""
    program: Program = []
    words = struct.unpack("!5I", packed[:_PREFIX])
    for number, word in enumerate(words):
        left = 2 * (len(words) - 1 - number) + 1
        program += [(load, 0, 0, at + 4 * number), (_JEQ, 0, left, word)]
    return [*program, (_RET, 0, 0, 0), (_RET, 0, 0, 0xFFFFFFFF)]
