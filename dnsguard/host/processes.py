"""The node's processes, as proc(5) lists them: any may end while it is looked at.

What hides processes (``hidepid=``, ``ProtectProc=``) makes them absent here. A command
line is whatever its process says it is: who believes one looks at ``uid``, too, and a
search that must not be held up by other users' processes is a :class:`Search`.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_COMM = 15
"""The kernel keeps so many bytes of a process's name (TASK_COMM_LEN)."""
_MOST_ARGUMENTS = 1 << 16
_MOST_STATUS = 1 << 14
_NAME = re.compile(rb"^Name:\t(.*)$", re.MULTILINE)
_UID = re.compile(rb"^Uid:\t(\d+)", re.MULTILINE)
_NSPID = re.compile(rb"^NSpid:((?:\t\d+)+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that was there when it was looked at."""

    pid: int
    name: str
    """The kernel's, of at most 15 bytes."""
    arguments: tuple[str, ...]
    started: float
    """Seconds since the epoch, to 10 ms."""
    ticks: int
    """Start after boot, in clock ticks: tells it from a later one with the same pid."""
    uid: int
    """The real one: not root's for a set-user-ID program that somebody else has started."""
    is_nested: bool
    """In a PID namespace of its own: a container's."""


def find_running(proc: Path, names: frozenset[str]) -> list[Process]:
    """Return the processes with one of these names, by pid. Never raises OSError.

    A name is the last part of ``argv[0]`` or, failing that, the kernel's own name of it.
    """
    return list(_find_named(proc, sorted(_pids(proc)), names))


class Search:
    """A search for root's processes with one of these names, a slice at a time.

    3,000 processes take a tenth of a second to read, and a user may have as many. stat(2)
    tells whose one is without reading it, so the others' cost next to nothing.
    """

    def __init__(self, proc: Path, names: frozenset[str]) -> None:
        self._proc, self._names = proc, names
        self._left = _pids(proc)
        self.found: list[Process] = []
        """So far, by pid."""

    def go_on(self, seconds: float) -> bool:
        """Search for about so long; return whether there is more to look at."""
        end = time.monotonic() + seconds
        for pid in self._left:
            if _is_roots(self._proc, pid):
                self.found += _find_named(self._proc, [pid], self._names)
            if time.monotonic() >= end:
                return True
        return False


def _is_roots(proc: Path, pid: int) -> bool:
    """Tell whether root runs it; /proc/PID belongs to its effective user (task_dump_owner())."""
    try:
        return os.stat(f"{proc}/{pid}").st_uid == 0  # noqa: PTH116 -- of thousands
    except OSError:
        return False


def list_pids(proc: Path) -> list[int]:
    """Return the pids of all processes. Never raises OSError."""
    return sorted(_pids(proc))


def _pids(proc: Path) -> Iterator[int]:
    """Yield all pids, in the kernel's order; a list of thousands takes milliseconds itself."""
    with suppress(OSError), os.scandir(proc) as entries:
        for entry in entries:
            if entry.name.isdecimal():
                yield int(entry.name)


def _find_named(proc: Path, pids: Iterable[int], names: frozenset[str]) -> Iterator[Process]:
    for pid in pids:
        arguments = read_arguments(proc, pid)
        if arguments and _is_named(proc, pid, arguments[0], names):
            found = read_process(proc, pid)
            if found is not None:
                yield found


def _is_named(proc: Path, pid: int, program: str, names: frozenset[str]) -> bool:
    if program.rpartition("/")[2] in names:
        return True
    comm = (_read(proc, pid, "comm", 64) or b"").rstrip(b"\n")
    return any(comm == os.fsencode(name)[:_COMM] for name in names)


def read_process(proc: Path, pid: int) -> Process | None:
    """Return what there is to know of a process, None if it is gone, hidden or a zombie."""
    ticks, arguments = read_start(proc, pid), read_arguments(proc, pid)
    status = _read(proc, pid, "status", _MOST_STATUS) or b""
    uid, nested = _UID.search(status), _NSPID.search(status)
    name = _NAME.search(status)
    if ticks is None or uid is None or not arguments:
        return None
    if read_start(proc, pid) != ticks:  # another one by now
        return None
    # Not "btime" of /proc/stat: whole seconds, and the sandbox has no /proc/stat.
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return Process(
        pid=pid,
        name=os.fsdecode(name[1]) if name else "",
        arguments=arguments,
        started=booted + ticks / _TICKS,
        ticks=ticks,
        uid=int(uid[1]),
        is_nested=nested is not None and len(nested[1].split()) > 1,
    )


def read_start(proc: Path, pid: int) -> int | None:
    """Return the clock tick that the process started at, None if there is no such process."""
    # The name may hold spaces and parentheses; the 22nd field is the 20th behind it.
    fields = (_read(proc, pid, "stat", 4096) or b"").rpartition(b")")[2].split()
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19]) if fields[19].isdigit() else None


def read_arguments(proc: Path, pid: int) -> tuple[str, ...]:
    """Return ``argv``, empty for a kernel thread, a zombie and whoever can't be read."""
    words = os.fsdecode(_read(proc, pid, "cmdline", _MOST_ARGUMENTS) or b"").split("\0")
    return tuple(words[:-1] if len(words) > 1 and not words[-1] else words) if words[0] else ()


def _read(proc: Path, pid: int, name: str, limit: int) -> bytes | None:
    # Bare system calls: there are hundreds of processes, and a file object costs three times that.
    try:
        descriptor = os.open(f"{proc}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, limit)
        finally:
            os.close(descriptor)
    except OSError:  # ended, hidden, or (ESRCH) ended since it was opened
        return None
