"""Whether anybody in a cgroup wants the CPU: cgroups(7), version 2, and proc(5).

It tells a process that hangs from one that is kept from running. A node-cache with a limit of
10 % of a core left its questions unread for up to 435 ms under load, and one between busy
neighbours for 660 ms. But in none of some 900 looks at either did all of its threads sleep: a
question wakes a thread, which is runnable from then on, throttled or not. Of one that is
stopped or deadlocked every look finds all asleep (Linux 6.18, two cores, node-cache 1.25.0).
"""

import os
from contextlib import suppress
from pathlib import Path

_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
"""Where version 2 is: alone, as Debian has it, or beside version 1."""
_MOST_THREADS = 512
_MOST_STAT = 1024
_WANTS_CPU = (b"R", b"D")
"""Running or runnable; waiting for a disk, which no thread does for ever."""


def find_cgroup(number: int) -> Path | None:
    """Return the directory of the cgroup with this number: it is the inode's.

    It walks through all of them, some 0.1 ms each: not for the event loop. (Only with
    CAP_DAC_READ_SEARCH could the number be opened, open_by_handle_at(2).)
    """
    for mount in map(Path, _MOUNTS):
        if (mount / "cgroup.controllers").exists():
            return _find_below(str(mount), number)
    return None


def _find_below(top: str, number: int) -> Path | None:
    ahead = [top]
    while ahead:
        path = ahead.pop()
        with suppress(OSError), os.scandir(path) as entries:  # it may have ended meanwhile
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.inode() == number:
                        return Path(entry.path)
                    ahead.append(entry.path)
    return None


def is_asleep(cgroup: Path) -> bool:
    """Tell whether all threads in a cgroup sleep or are stopped; False where it can't be told."""
    try:
        threads = (cgroup / "cgroup.threads").read_bytes().split()
        return 0 < len(threads) <= _MOST_THREADS and not any(map(_wants_cpu, threads))
    except OSError:
        return False


def _wants_cpu(thread: bytes) -> bool:
    """Tell whether a thread runs or would.

    :raises OSError: it has ended, or is hidden (``hidepid=``, another PID namespace's).
    """
    descriptor = os.open(b"/proc/" + thread + b"/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        told = os.read(descriptor, _MOST_STAT)
    finally:
        os.close(descriptor)
    # Behind its name, which may have brackets in it (proc(5)).
    return told.rpartition(b") ")[2][:1] in _WANTS_CPU
