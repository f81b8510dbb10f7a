"""Small files of other programs, read so that none of them can hold us up."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def read_bounded(path: Path, limit: int, *, tail: bool = False) -> bytes | None:
    """Return at most ``limit`` bytes of a regular file, None of anything else.

    :param tail: its last bytes instead of its first.
    """
    # Path.open() takes no opener; os.fdopen() would leave a directory's descriptor open.
    with suppress(OSError, ValueError), open(path, "rb", opener=_at_once) as file:
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode):
            file.seek(max(0, found.st_size - limit) if tail else 0)
            return file.read(limit)
    return None


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for a FIFO's writer, and without a terminal becoming ours."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
