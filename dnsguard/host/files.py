"""Files that others may have put anything in the place of, read so that none can hold us up.

A FIFO waits for a writer, a device for a tape, and a sparse file has no end: only regular
files are opened, and only so much of them is read as any good one has.
"""

import errno
import fcntl
import os
import stat
from array import array
from contextlib import suppress
from pathlib import Path

_GET_FLAGS = 0x80006601 | array("l").itemsize << 16
"""FS_IOC_GETFLAGS, _IOR('f', 1, long). POWER and MIPS have another one, and refuse this."""
_LOCKED = 0x10 | 0x20
"""FS_IMMUTABLE_FL, and FS_APPEND_FL, with which no file is truncated or replaced."""


def read_bounded(path: Path, limit: int, *, tail: bool = False) -> bytes | None:
    """Return at most ``limit`` bytes of a regular file, None of anything else.

    :param tail: its last bytes instead of its first.
    """
    with suppress(OSError, ValueError):
        return _read(path, limit, tail=tail)
    return None


def read_whole(path: Path, limit: int) -> bytes:
    """Return the content of a regular file; its first half would be another file.

    :raises OSError: it can't be read, is no regular file, or has more than ``limit`` bytes.
    """
    content = _read(path, limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"longer than {limit >> 10} KiB", str(path))
    return content


def explain_unwritable(path: Path) -> str | None:
    """Return why nobody can write a file, not even root (ioctl_iflags(2)); None if root can."""
    with suppress(OSError):
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return f"the filesystem of {path} is read-only"
        with open(path, "rb", opener=_read_at_once) as file:
            flags = array("i", [0, 0])  # room for a long; the kernel writes an int
            fcntl.ioctl(file, _GET_FLAGS, flags)
        if flags[0] & _LOCKED:
            return f"{path} is immutable (chattr -i {path})"
    return None


def _read(path: Path, limit: int, *, tail: bool = False) -> bytes:
    _check_regular(path, os.stat(path))  # noqa: PTH116 -- opening some devices acts
    # Path.open() takes no opener; os.fdopen() would leave a directory's descriptor open.
    with open(path, "rb", opener=_read_at_once) as file:
        found = os.fstat(file.fileno())
        _check_regular(path, found)
        file.seek(max(0, found.st_size - limit) if tail else 0)
        return file.read(limit)


def _check_regular(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def _read_at_once(path: str, flags: int) -> int:
    """Open without waiting for a FIFO's writer, and without a terminal becoming ours."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
