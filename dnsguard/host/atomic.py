"""The one way in which dnsguard writes a file: whole, beside it, renamed over it.

All of it happens in a directory that is opened once, under a name that nobody can guess
and that must be new, so no link, FIFO or file that waits there is ever written through.
"""

import ctypes
import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dnsguard.host import path_walk
from dnsguard.host.attributes import Attributes

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
PUBLIC = 0o644
PRIVATE = 0o600
_OURS = r"\.{name}\.dnsguard-(?:[0-9a-f]+|spare)~?"
"""Temporary names, earlier versions' too: process ids, and a prepared file's, which was fixed."""
_EARLIER = r"\.{name}\.[0-9]+"
"""The same, of files or in directories that are named for us; elsewhere anybody's."""
_RENAME_NOREPLACE = 1
"""<linux/fs.h>"""
_FALLOC_FL_KEEP_SIZE = 1
"""<linux/falloc.h>"""


@dataclass(frozen=True, slots=True)
class New:
    """A file that is written and has no name that anybody knows yet."""

    directory: int
    name: str
    lost: tuple[str, ...]
    """What of its attributes could not be given to it."""

    def rename(self, name: str) -> None:
        """Put it in the place of ``name``, whatever that is, unless it is a directory."""
        os.rename(self.name, name, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def rename_to_free(self, name: str) -> None:
        """Give it a name that nothing has.

        :raises FileExistsError: something has.
        """
        rename_to_free(self.directory, self.name, name)

    def discard(self) -> None:
        with suppress(OSError):
            os.unlink(self.name, dir_fd=self.directory)


def create(  # noqa: PLR0913 -- what a file is
    directory: int,
    name: str,
    content: bytes,
    attributes: Attributes | None = None,
    *,
    after: int = 0,
    is_synced: bool = False,
) -> New:
    """Write a file that is to become ``name``.

    :param after: its mtime will be later than this (nanoseconds since the epoch).
    :raises OSError: it could not be written whole; then nothing of it is left.
    """
    new = f".{name}.dnsguard-{os.urandom(8).hex()}"
    descriptor = os.open(new, _CREATE, PRIVATE, dir_fd=directory)
    try:
        try:
            write_all(descriptor, content)
            lost = (attributes or Attributes()).give_to(descriptor)
            see_that_later(descriptor, after)
            if is_synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(new, dir_fd=directory)
        raise
    return New(directory, new, lost)


def create_link(directory: int, name: str, target: str) -> New:
    """Make a symbolic link that is to become ``name``.

    :raises OSError: it could not be made.
    """
    new = f".{name}.dnsguard-{os.urandom(8).hex()}"
    os.symlink(target, new, dir_fd=directory)
    return New(directory, new, ())


def write_all(descriptor: int, content: bytes, at: int | None = None) -> None:
    """Write every byte: write(2) may take fewer, and says so without an error.

    :raises OSError: it took none, or failed.
    """
    rest = memoryview(content)
    while rest:
        if at is None:
            written = os.write(descriptor, rest)
        else:
            written = os.pwrite(descriptor, rest, at)
            at += written
        if not written:
            raise OSError(errno.ENOSPC, "write(2) takes no more bytes")
        rest = rest[written:]


def reserve(descriptor: int, length: int) -> bool:
    """Take the blocks that a file of this length needs, and leave the file as it is.

    :returns: False where the filesystem can't do that (fallocate(2), FALLOC_FL_KEEP_SIZE).
    :raises OSError: the disk is full.
    """
    libc = ctypes.CDLL(None, use_errno=True)  # Python's posix_fallocate() makes the file longer
    start, size = ctypes.c_int64(0), ctypes.c_int64(length)
    if not length or not libc.fallocate64(descriptor, _FALLOC_FL_KEEP_SIZE, start, size):
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
        raise OSError(number, os.strerror(number))
    return False


def see_that_later(file: int | str, after: int) -> None:
    """See that a file's mtime is later than another one.

    Go's resolver takes a file with the mtime it knows for the file it knows, and a kernel
    that stamps by the tick (4 ms) may give a poison and its repair the same one. Older
    filesystems keep whole seconds, FAT every second one.
    """
    if not after:
        return
    for step in (0, 1, 1_000_000_000, 2_000_000_000):
        if step:
            os.utime(file, ns=(after + step, after + step))
        if os.stat(file).st_mtime_ns > after:  # noqa: PTH116 -- the hot path, and a descriptor
            return


def rename_to_free(directory: int, old: str, new: str) -> None:
    """Rename in one step, and only to a name that nothing has (renameat2(2)).

    :raises FileExistsError: something has.
    """
    libc = ctypes.CDLL(None, use_errno=True)  # Python has no binding of it
    names = os.fsencode(old), os.fsencode(new)
    if not libc.renameat2(directory, names[0], directory, names[1], _RENAME_NOREPLACE):
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):  # a filesystem or a kernel without it
        raise OSError(number, os.strerror(number), new)
    os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory)
    os.unlink(old, dir_fd=directory)


def write(path: Path, content: bytes, mode: int = PUBLIC) -> None:
    """Replace a file in one step, its directory made where it is missing; the caller syncs.

    :raises path_walk.ForeignPlaceError: another user could put something else in its place.
    :raises OSError: it can't be written; the old file stays.
    """
    with suppress(FileExistsError):
        path.parent.mkdir(mode=0o755, parents=True)
    with path_walk.directory(path.parent) as directory:
        new = create(directory, path.name, content, Attributes(mode=mode))
        try:
            new.rename(path.name)
        except BaseException:
            new.discard()
            raise


def remove(path: Path) -> None:
    """Remove a file of ours, if it is there.

    :raises path_walk.ForeignPlaceError: the place is not root's alone.
    :raises OSError: it can't be removed.
    """
    with suppress(FileNotFoundError), path_walk.directory(path.parent) as directory:
        os.unlink(path.name, dir_fd=directory)


def open_own(path: Path, flags: int) -> int:
    """Open a regular file in a directory of root's own; the caller closes it.

    :raises OSError: it can't be opened, or is no regular file.
    """
    with path_walk.directory(path.parent) as directory:
        safe = flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(path.name, safe, PRIVATE, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def sweep(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Remove what a killed process has left while it wrote these files; nothing foreign."""
    swept = []
    for path in paths:
        is_named_for_us = "dnsguard" in f"{path.parent.name}/{path.name}"
        patterns = f"{_OURS}|{_EARLIER}" if is_named_for_us else _OURS
        ours = re.compile(patterns.format(name=re.escape(path.name)))
        with suppress(OSError), path_walk.directory(path.parent) as directory:
            for name in os.listdir(directory):  # noqa: PTH208 -- a descriptor
                if ours.fullmatch(name) and _is_own_file(directory, name):
                    os.unlink(name, dir_fd=directory)
                    swept.append(path.with_name(name))
    return tuple(swept)


def _is_own_file(directory: int, name: str) -> bool:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    is_file = stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)
    return is_file and status.st_uid == os.geteuid()


def look_at(directory: int, name: str) -> int:
    """Open a file that is there, to see what it is; the caller closes it."""
    return os.open(name, _LOOK, dir_fd=directory)
