"""A lock that one process has and a second one does not get.

The kernel drops it however its holder ends, so it is in nobody's way after a kill -9. The
file stays: whoever took it away would have the next two daemons lock two files.
"""

import fcntl
import os
from pathlib import Path

from dnsguard.host import atomic


def take(path: Path) -> int:
    """Take the lock and return its descriptor, which holds it until it is closed.

    :raises BlockingIOError: another process has it.
    :raises OSError: there is no lock to be had: no directory, or no regular file.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Root's alone: who can open the file can lock it (flock(2)).
    descriptor = atomic.open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
