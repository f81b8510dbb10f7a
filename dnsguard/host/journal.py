"""Lines for journald with fields of their own, through python3-systemd.

sd_journal_sendv(3) blocks while journald's queue is full, and that queue is shared with all
programs of the node: a journald that hangs must not stop the guard. So lines are handed
over to a thread, in their order; where it can't keep up, lines are lost and counted. A
thread alone is not enough: python3-systemd 235 blocks with the interpreter's lock held, and
with it every thread (measured). So the thread first waits for room, which poll(2) tells of a
connected datagram socket (unix(7)); only who fills the queue in the microseconds from there
to the send could still stop us, until systemd's watchdog comes.
"""

import os
import queue
import select
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

try:
    from systemd.journal import sendv
except ImportError:  # PyPI has it as source only: without a compiler lines go to stderr
    sendv = None

_SOCKET = "/run/systemd/journal/socket"
"""journald's, for its native protocol (systemd-journald.socket)."""
MOST = 500
"""Lines that wait; a storm of them is held back long before that."""
_LAST_WORDS = 1.0
"""Seconds for what still waits when the daemon ends."""

Fields = Mapping[str, str]
Send = Callable[[Fields], None]


def is_journal() -> bool:
    """Tell whether journald reads stderr (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def can_send() -> bool:
    """Tell whether python3-systemd is there."""
    return sendv is not None


def send(fields: Fields) -> None:
    """Hand one entry to journald, once it has room. Where none listens, nothing happens."""
    _wait_for_room()
    # sendv() and not send(): that one adds where in the code it was called from.
    sendv(*(f"{name}={value}" for name, value in fields.items()))


def _wait_for_room() -> None:
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gauge:
        gauge.connect(_SOCKET)
        room = select.poll()  # select(2) takes no descriptor from 1024 on
        room.register(gauge, select.POLLOUT)
        room.poll()


class Outbox:
    """What waits for journald, and the thread that sends it."""

    def __init__(self, write: Send = send) -> None:
        self._write = write
        self._waiting: queue.SimpleQueue[Fields | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._dropped = self._failed = 0
        """How many found no room, and how many the thread could not send: it alone counts those."""
        self._told = 0
        """How many of both are known to have been lost."""
        self._thread.start()

    def put(self, fields: Fields) -> None:
        """Have this sent; never blocks."""
        if self._waiting.qsize() >= MOST:
            self._dropped += 1
        else:
            self._waiting.put(fields)

    def take_lost(self) -> int:
        """Return how many were lost since the last call, once there is room to tell."""
        if self._waiting.qsize() >= MOST:
            return 0
        before, self._told = self._told, self._dropped + self._failed
        return self._told - before

    def close(self) -> None:
        """Send what waits, as long as that takes little time."""
        self._waiting.put(None)
        self._thread.join(_LAST_WORDS)

    def _work(self) -> None:
        while (fields := self._waiting.get()) is not None:
            try:
                self._write(fields)
            except OSError:  # no descriptor or no memory is left just now: the next may be sent
                self._failed += 1
