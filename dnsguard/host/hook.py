"""Our side of the dhclient enter hook (packaging/dhclient-enter-hooks.d/dnsguard).

The hook keeps dhclient from resolv.conf for as long as someone holds the lock, and the
kernel drops a lock however its holder ends. So no dead daemon, no stale socket and no
recycled process id can make dhclient do nothing. What dhclient is told stands in one
small file an interface.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from dnsguard.core.model import HookRecord
from dnsguard.formats.dhclient import records as told
from dnsguard.host import atomic
from dnsguard.host.files import read_bounded

MOST_RECORDS = 64


class Hook:
    """The lock, held until :meth:`close` or the end of the process."""

    def __init__(self, lock: Path, records: Path) -> None:
        """Take the lock.

        :raises OSError: the directory can't be written, or another daemon holds the lock.
        """
        records.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Only root may hold it: who can open the file can lock it (flock(2)).
        self._descriptor = atomic.open_own(lock, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let dhclient write resolv.conf again."""
        os.close(self._descriptor)


def records(directory: Path) -> tuple[HookRecord, ...]:
    """Return what the hook has written down; what can't be read is left out."""
    found = []
    with suppress(OSError):
        paths = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
        for path in paths[:MOST_RECORDS]:
            record = _read_record(path)
            if record is not None:
                found.append(record)
    return tuple(found)


def _read_record(path: Path) -> HookRecord | None:
    with suppress(OSError):
        written = path.stat().st_mtime
        read = told.parse(read_bounded(path, told.MAX_BYTES) or b"")
        return None if read is None else HookRecord(told=read, written=written)
    return None
