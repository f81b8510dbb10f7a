"""Our side of the dhclient enter hook (packaging/dhclient-enter-hooks.d/dnsguard).

The hook keeps dhclient from resolv.conf for as long as someone holds the lock, and the
kernel drops a lock however its holder ends. So no dead daemon, no stale socket and no
recycled process id can make dhclient do nothing. What dhclient is told stands in one
small file an interface.
"""

import os
from contextlib import suppress
from pathlib import Path

from dnsguard.core.model import HookRecord
from dnsguard.formats.dhclient import records as record_format
from dnsguard.host import lock
from dnsguard.host.files import read_bounded

MOST_RECORDS = 64


class HookLock:
    """The lock, held until :meth:`close` or the end of the process."""

    def __init__(self, path: Path, records: Path) -> None:
        """Take the lock.

        :raises OSError: the directory can't be written, or another daemon holds the lock.
        """
        records.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._descriptor = lock.take(path)

    def close(self) -> None:
        """Let dhclient write resolv.conf again."""
        os.close(self._descriptor)


def read_records(directory: Path) -> tuple[HookRecord, ...]:
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
        read = record_format.parse(read_bounded(path, record_format.MAX_BYTES) or b"")
        return None if read is None else HookRecord(told=read, written=written)
    return None
