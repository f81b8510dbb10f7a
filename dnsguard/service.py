"""What systemd is told: that the service is ready, how it is, and that it lives."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from dnsguard.host.notify import Notifier, watchdog_interval

READY_LATEST = 3.0
"""Seconds after which systemd hears READY though the file is not settled: no upstream
is known and NodeLocalDNS can't be judged. A guard that runs beats one restarted."""


class Service:
    """The unit's side of the daemon (sd_notify(3))."""

    def __init__(self) -> None:
        self._notifier = Notifier()
        self._is_ready = False
        self._status = ""
        self._started = time.monotonic()

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds within which :meth:`announce` has to be called; None where nobody waits."""
        return watchdog_interval()

    def announce(self, status: str, *, is_settled: bool) -> bool:
        """Say how it is; return whether it has become ready by that.

        The watchdog is fed only here, after a completed look.
        """
        has_become_ready = False
        is_late = time.monotonic() - self._started > READY_LATEST
        if not self._is_ready and (is_settled or is_late):
            self._is_ready = has_become_ready = self._notifier.ready(status)
        elif status != self._status and not self._notifier.status(status):
            status = ""  # systemd is busy: said again at the next look
        self._status = status
        self._notifier.watchdog()
        return has_become_ready

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Tell systemd that the configuration is taken in, and that this is over, come what may."""
        self._notifier.reloading()
        try:
            yield
        finally:
            self._notifier.ready(self._status)

    def stop(self) -> None:
        self._notifier.stopping("leaving real upstreams behind")

    def close(self) -> None:
        self._notifier.close()
