"""One question, put to one server again and again, at next to no cost.

:mod:`.probe` asks once, with a socket and a task of its own, and reads all of the answer: a
millisecond of CPU. Here the message lies ready, and of the reply only the header counts. What
it says decides nothing: who does not answer here is asked there.
"""

import errno
import os
import socket
import struct
from contextlib import suppress

from dnsguard.formats.address import IPAddress
from dnsguard.formats.dns_message import read_rcode
from dnsguard.host.queues import Queue, Queues
from dnsguard.host.sock_diag import SERVICE
from dnsguard.host.sockaddr import make_sockaddr

_ID = 2
"""Bytes (RFC 1035, 4.1.1)."""
_MOST = 512
"""Bytes that are read of a reply."""
_MOST_REPLIES = 16
"""That are read at a time: the loop is not the server's, however fast that sends."""
_LENGTH = struct.Struct("!H")
MOST_ASKED = 3
"""Questions on one connection: to open one and to close it costs 0.6 ms of CPU, ten times what a
question does. With one each 0.6 s a server that accepts no more is found within 2 s."""


class StandingQuestion:
    """A question over UDP: one socket for as long as it is answered."""

    tcp = False

    def __init__(self, server: IPAddress, message: bytes, port: int = SERVICE) -> None:
        """Take a question in wire format, whose id is made anew each time."""
        self._server, self._port, self._message = server, port, message[_ID:]
        self._socket: socket.socket | None = None
        self._id = b""

    def put(self) -> None:
        """Ask.

        :raises OSError: nobody listens, or nothing leads there.
        """
        if self._socket is None:
            self._socket = self._connect(socket.SOCK_DGRAM)
        self._id = os.urandom(_ID)
        self._socket.send(self._id + self._message)

    def _connect(self, kind: int) -> socket.socket:
        """Return a socket that hears nobody else; of the kernel's refusals, too (udp(7))."""
        family = socket.AF_INET if self._server.version == 4 else socket.AF_INET6
        made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            with suppress(BlockingIOError):  # a connection under way
                made.connect(make_sockaddr(self._server, self._port))
        except OSError:
            made.close()
            raise
        return made

    def hear(self) -> int | None:
        """Return the reply's code; None where none has come. What answers an earlier one is none.

        :raises OSError: none will come.
        """
        for _ in range(_MOST_REPLIES):
            reply = self._receive()
            if reply is None:
                return None
            if (code := read_rcode(self._id, reply)) is not None:
                return code
        return None

    def _receive(self) -> bytes | None:
        if self._socket is None:
            return None
        try:
            return self._socket.recv(_MOST)
        except BlockingIOError:
            return None

    def read_queue(self, queues: Queues) -> Queue | None:
        """Return the queue that it waits in, None where that can't be told."""
        if self._socket is None:
            return None
        return queues.read(self._server, self._socket, tcp=self.tcp, port=self._port)

    def drop(self) -> None:
        """Wait for no answer any more; the next time another socket asks.

        That one finds its way anew: a redirect may have been told of another server.
        """
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class StandingConnection(StandingQuestion):
    """The same over TCP: on a new connection now and then, since a server may accept no more."""

    tcp = True
    _asked = 0
    """Questions on this connection."""

    def put(self) -> None:
        if self._asked == MOST_ASKED or not self._is_open():
            self.drop()
            self._read = self._left = b""
            self._asked = 0
            self._socket = self._connect(socket.SOCK_STREAM)
        self._asked += 1
        self._id = os.urandom(_ID)
        message = self._id + self._message
        self._left += _LENGTH.pack(len(message)) + message
        self._send()

    def _is_open(self) -> bool:
        """Tell whether the server has not ended it, as it may behind an answer (RFC 7766, 6.2.4)."""
        if self._socket is None:
            return False
        try:
            return self._socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _send(self) -> None:
        """Send what was not sent; nothing is, while the accept queue is full."""
        if self._left and self._socket is not None:
            with suppress(BlockingIOError):
                self._left = self._left[self._socket.send(self._left) :]

    def _receive(self) -> bytes | None:
        """Return the next reply, once all of it is there.

        :raises ConnectionResetError: the connection ends before.
        """
        self._send()
        while (reply := self._cut()) is None and (piece := super()._receive()) is not None:
            if not piece:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            self._read += piece
        return reply

    def _cut(self) -> bytes | None:
        """Take the first reply from what was read (RFC 1035, 4.2.2)."""
        if len(self._read) < _LENGTH.size:
            return None
        end = _LENGTH.size + int(_LENGTH.unpack_from(self._read)[0])
        if len(self._read) < end:
            return None
        reply, self._read = self._read[_LENGTH.size : end], self._read[end:]
        return reply
