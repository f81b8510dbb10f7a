"""See changes of files at once: inotify(7) for the event loop, on watchdog's bindings.

Of watchdog only the C bindings in ``watchdog.observers.inotify_c`` are used. They are
what 2.2.1 (Debian 12) and 7.x share, and all that is built on them is in the way here
(measured): ``Observer`` holds every event back for 0.5 s after a file was
moved out of a watched directory; ``Inotify`` drops IN_Q_OVERFLOW and keeps each
moved-from event in memory; newer releases have no such class, but a thread.

An event is a hint to look again. It carries no truth about what is there now.
"""

import ctypes
import errno
import os
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from watchdog.observers.inotify_c import (
    InotifyConstants,
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
)

from dnsguard.host.path_walk import LINKS_MAX, parts

# 2.2.1 has no types for these.
_init: Callable[[], int] = inotify_init
_add_watch: Callable[[int, bytes, int], int] = inotify_add_watch
_rm_watch: Callable[[int, int], int] = inotify_rm_watch

_HEADER = Struct("=iIII")
"""struct inotify_event up to its name: wd, mask, cookie, len."""

# Everything that changes what a name means or what a closed file holds, and no more.
# Not IN_MODIFY: it comes in the middle of another program's truncate-and-write, and
# IN_CLOSE_WRITE comes when that is done. A writer that never closes, and truncate(2)
# on a path, are left to the slow re-read.
_MASK = InotifyConstants.IN_CLOSE_WRITE
_MASK |= InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_MOVED_FROM
_MASK |= InotifyConstants.IN_CREATE | InotifyConstants.IN_DELETE | InotifyConstants.IN_ATTRIB
_MASK |= InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF

_OVERFLOW = InotifyConstants.IN_Q_OVERFLOW

_READ_SIZE = 16 * 1024
_READS_MAX = 32
"""For one drain, some 16,000 events. The descriptor stays readable: the loop returns."""
_EVENT_MAX = _HEADER.size + 256
"""With the longest name there is (NAME_MAX and its NUL)."""

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
"""What inotify_add_watch(2) fails of where the old watch is of no more use either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEvents:
    """What the events of one drain named: a hint."""

    paths: frozenset[Path] = frozenset()
    """Entries of watched directories, and watched paths themselves."""
    overflowed: bool = False
    """The kernel's queue was full and dropped events: anything may have changed."""


class Watch:
    """The paths that the loop watches, as one descriptor for ``add_reader``."""

    def __init__(self) -> None:
        """Open an inotify instance.

        :raises OSError: EMFILE, no instance left (fs.inotify.max_user_instances is 128
            for all of root's programs together: a busy node can run out), ENFILE, ENOMEM.
        """
        self._fd = _init()
        if self._fd == -1:
            number = ctypes.get_errno()
            raise OSError(number, f"inotify_init: {os.strerror(number)}")
        # inotify_init1(2) would set both at once, but watchdog doesn't bind it.
        os.set_blocking(self._fd, False)
        os.set_inheritable(self._fd, False)
        self._watched: dict[Path, int] = {}
        self._paths: dict[int, tuple[Path, ...]] = {}
        self._unwatched: tuple[tuple[Path, int], ...] = ()

    def fileno(self) -> int:
        return self._fd

    @property
    def unwatched(self) -> tuple[tuple[Path, int], ...]:
        """The paths that the last ``cover`` could not watch, each with its errno.

        ENOENT: it is not there. ENOSPC: fs.inotify.max_user_watches is used up.
        """
        return self._unwatched

    def cover(self, paths: Iterable[Path], appended: Container[Path] = ()) -> bool:
        """Watch exactly these directories and files, and say whether a watch is new.

        True means: what happened there until now gave no event, so look once more.

        Every path is armed anew at every call. For one that still names the same inode
        this changes nothing and costs 3 µs, and it puts right what gives no event at
        all, such as a parent directory that was replaced.

        :param appended: those in which each write(2) counts: what writes there closes nothing.
        """
        watched: dict[Path, int] = {}
        unwatched: list[tuple[Path, int]] = []
        for path in dict.fromkeys(paths):
            mask = _MASK | InotifyConstants.IN_MODIFY if path in appended else _MASK
            wd = _add_watch(self._fd, os.fsencode(path), mask)
            if wd == -1:
                number = ctypes.get_errno()
                unwatched.append((path, number))
                if number not in _GONE and path in self._watched:
                    watched[path] = self._watched[path]  # better than none
            else:
                watched[path] = wd
        return self._adopt(watched, tuple(unwatched))

    def _adopt(self, watched: dict[Path, int], unwatched: tuple[tuple[Path, int], ...]) -> bool:
        is_new = bool(watched.items() - self._watched.items())
        for wd in self._paths.keys() - set(watched.values()):
            # EINVAL where the watch has died already: that is how it should be.
            _rm_watch(self._fd, wd)
        self._watched, self._unwatched = watched, unwatched
        # Two paths can lead to one inode, and then share its watch.
        self._paths = {}
        for path, wd in watched.items():
            self._paths[wd] = (*self._paths.get(wd, ()), path)
        return is_new

    def drain(self) -> FileEvents:
        """Read the events that wait. Never blocks, never raises."""
        seen: set[tuple[int, bytes]] = set()
        overflowed = False
        for wd, mask, name in self._events():
            if mask & _OVERFLOW:
                overflowed = True
            seen.add((wd, name))
        return FileEvents(paths=frozenset(self._named(seen)), overflowed=overflowed)

    def close(self) -> None:
        """End all watches. A second call does nothing."""
        if self._fd != -1:
            os.close(self._fd)
            self._fd = -1

    def _events(self) -> Iterator[tuple[int, int, bytes]]:
        for _ in range(_READS_MAX):
            try:
                buffer = os.read(self._fd, _READ_SIZE)
            except OSError:
                # EAGAIN, all read. EBADF, closed. No other is known (inotify(7)), and
                # whatever it were, the slow re-read stands behind this.
                return
            yield from parse(buffer)
            if len(buffer) <= _READ_SIZE - _EVENT_MAX:
                return  # one more would have fitted: that was all

    def _named(self, seen: set[tuple[int, bytes]]) -> Iterator[Path]:
        for wd, name in seen:
            # A watch that was given up can still have events in the queue.
            for path in self._paths.get(wd, ()):
                yield path / os.fsdecode(name) if name else path


def parse(buffer: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield watch descriptor, mask and name of each inotify_event; stop where it is cut."""
    at, end = 0, len(buffer)
    while at + _HEADER.size <= end:
        wd, mask, _, length = _HEADER.unpack_from(buffer, at)
        at += _HEADER.size
        # The name is padded with NULs up to the next event's alignment.
        yield wd, mask, buffer[at : at + length].rstrip(b"\0")
        at += length


def places(path: Path, *, root: Path = Path("/")) -> tuple[Path, ...]:
    """Return what has to be watched to see every change of ``path``.

    Each directory that holds a symbolic link on the way, the directory of the file it
    ends at, and that file itself where something is mounted on it: its directory gets
    none of the events of a bind mount. Where the way breaks off, the last
    directory that is there, so that the missing part is seen when it comes.

    :param path: as a program sees it whose root directory is ``root``; ``..`` and links
        don't lead out of there. The places returned are outside names, ``root`` included.
    """
    found: dict[Path, None] = {}
    here, ahead, links = root, parts(str(path)), 0
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = here.parent if here != root else root
            continue
        try:
            target = str((here / name).readlink())
        except OSError as error:
            if error.errno != errno.EINVAL:  # that one means: there, and no link
                return tuple(dict.fromkeys([*found, here]))
            here /= name
            continue
        links += 1
        if links > LINKS_MAX:
            return tuple(found)
        found[here] = None
        here = root if target.startswith("/") else here
        ahead += parts(target)
    found[here.parent] = None
    if _is_mount_point(here):
        found[here] = None
    return tuple(found)


def _is_mount_point(path: Path) -> bool:
    """Whether another mount begins at this file than the one its directory is in.

    Asked of the file itself: /proc/self/mountinfo has thousands of lines on a busy node.
    """
    try:
        return _mount_id(path) != _mount_id(path.parent)
    except OSError:
        return False


def _mount_id(path: Path) -> str:
    """Return the id of the mount that a path lies in (proc_pid_fdinfo(5))."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        info = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii")
    finally:
        os.close(fd)
    return next((line for line in info.splitlines() if line.startswith("mnt_id:")), "")
