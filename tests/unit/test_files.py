"""Reading what somebody else may have put there: at once, bounded, regular files alone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsguard.host.files import read_bounded, read_whole

LIMIT = 4096


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


ODD: list[tuple[str, Callable[[Path], object]]] = [
    ("a FIFO", os.mkfifo),
    ("a directory", Path.mkdir),
    ("an endless device", lambda path: path.symlink_to("/dev/zero")),
    ("an empty device", lambda path: path.symlink_to("/dev/null")),
    ("a terminal", lambda path: path.symlink_to("/dev/tty")),
    ("a link to itself", lambda path: path.symlink_to(path.name)),
    ("a tebibyte of nothing", _sparse),
    ("nothing", lambda _: None),
]


@pytest.mark.parametrize("make", [make for _, make in ODD], ids=[name for name, _ in ODD])
def test_what_is_no_good_file_is_an_error_at_once(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    """Nothing waits, and no half of a file is taken for one."""
    path = tmp_path / "file"
    make(path)
    with pytest.raises(OSError, match=r".") as raised:
        read_whole(path, LIMIT)
    assert raised.value.strerror
    assert (read_bounded(path, LIMIT) is None) is (make is not _sparse)


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    """And one byte more than allowed is too much."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * LIMIT)
    assert read_whole(path, LIMIT) == b"x" * LIMIT
    with pytest.raises(OSError, match="longer than 3 KiB"):
        read_whole(path, LIMIT - 1)
    assert read_bounded(path, 10, tail=True) == b"x" * 10
