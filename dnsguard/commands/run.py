"""The command ``run``: the daemon in the foreground."""

import argparse

from dnsguard import config
from dnsguard.errors import AlreadyRunningError
from dnsguard.guard import Guard
from dnsguard.host import lock
from dnsguard.paths import Paths
from dnsguard.reporting.events import Event, Level

_SEARCH = 0.01
"""Seconds of the start for searching the processes for a kubelet; the daemon searches on."""


def run(options: argparse.Namespace) -> int:
    """Make the file safe with the standard library alone, then load the rest."""
    paths = Paths(options.root)
    early: list[Event] = []
    settings = config.load(paths.config)
    _take_lock(paths, early)
    guard = Guard(paths, settings.policy, early.append)
    guard.load_hold()
    if guard.memory.remembered or settings.policy.servers:
        guard.look()  # safe a little sooner; what the other sources know comes next
        guard.apply_deferred()
    guard.search(_SEARCH)
    guard.refresh()
    guard.look()
    guard.apply_deferred()
    guard.sweep()

    from dnsguard import daemon  # pyroute2 and dnspython: only now

    daemon.run(guard, settings, early)
    return 0


def _take_lock(paths: Paths, early: list[Event]) -> None:
    """Refuse to be a second daemon, before anything is looked at or written.

    Where there is no lock to be had, the node is guarded all the same.

    :raises AlreadyRunningError: another one runs on these files.
    """
    try:
        lock.take(paths.lock)  # until the end of the process
    except BlockingIOError as error:
        why = f"another dnsguard listens on {paths.socket}: stop that first"
        raise AlreadyRunningError(why) from error
    except OSError as error:
        details = (("error", str(error)), ("means", "a second daemon would not be noticed"))
        early.append(Event(name="lock_failed", level=Level.ERROR, details=details))
