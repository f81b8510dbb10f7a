"""Tell systemd how the daemon is (sd_notify(3)), through sdnotify.

Nothing here blocks, and nothing here raises because of systemd: where nobody
listens every method does nothing. Only the daemon's one loop may call it.
"""

import os
import time
import warnings
from collections.abc import Mapping

from sdnotify import SystemdNotifier

STATUS_MAX = 240
"""Characters of a status line; `systemctl status` shows one terminal line of it."""


class Notifier:
    """The line to the service manager.

    Each method returns False when the message did not get through and is worth
    sending again: systemd's queue was full, which happens while it is busy booting.
    """

    def __init__(self) -> None:
        self._line = _connect()

    def ready(self, status: str = "") -> bool:
        """Say that the start, or a reload, is over."""
        return self._send("READY=1", *_format_status(status))

    def status(self, text: str) -> bool:
        """Set the line that `systemctl status` shows."""
        return self._send(*_format_status(text))

    def watchdog(self) -> bool:
        """Say that a cycle was completed just now."""
        return self._send("WATCHDOG=1")

    def reloading(self) -> bool:
        """Say that a reload has begun; `ready` ends it."""
        # systemd 253 and later (Type=notify-reload) wants to know when, to tell this
        # reload from one before; Debian 12's 252 passes over it.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str = "") -> bool:
        """Say that the stop has begun."""
        return self._send("STOPPING=1", *_format_status(status))

    def close(self) -> None:
        """Hang up. Later messages go nowhere."""
        if self._line is not None:
            self._line.socket.close()
            self._line = None

    def _send(self, *fields: str) -> bool:
        if self._line is None or not fields:
            return True
        # sdnotify encodes as Latin-1, and a status beyond it would be lost whole;
        # systemd wants UTF-8. So the UTF-8 bytes are passed through as Latin-1.
        wire = "\n".join(fields).encode("utf-8", "replace").decode("latin-1")
        try:
            self._line.notify(wire)
        except OSError:
            return False
        return True


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how often to call `Notifier.watchdog`, in seconds; None where nobody waits.

    Half of what systemd allows, as sd_watchdog_enabled(3) advises.
    """
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not _is_number(usec) or int(usec) == 0:
        return None
    if pid and not (_is_number(pid) and int(pid) == os.getpid()):
        return None
    return int(usec) / 2 / 1_000_000


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _connect() -> SystemdNotifier | None:
    """Return sdnotify's notifier on a non-blocking socket, None where nobody listens."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    with warnings.catch_warnings():
        # When the path can't be connected to, sdnotify drops its socket unclosed.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            # debug=True: without it a bare `except` hides what was not sent.
            line = SystemdNotifier(debug=True)
        except OSError:
            return None
    # Both 0.3.1 and 0.3.2 leave the socket blocking. PID 1 reads it between its other
    # work: once its queue is full (net.unix.max_dgram_qlen) a blocking send would stop
    # the loop, and with it every repair, until systemd is done.
    line.socket.setblocking(False)
    return line


def _format_status(text: str) -> tuple[str, ...]:
    """Return the STATUS field of a text, as one line: a newline would begin a new field."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) > STATUS_MAX:
        line = line[: STATUS_MAX - 1] + "…"
    return (f"STATUS={line}",) if line else ()
