"""Disks that are full, read-only or limited, in a mount namespace that nobody else sees."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PAGE = 4096
_FILLER = "filler"
_CLONE_NEWNS = 0x00020000
_HERE = "/proc/thread-self/ns/mnt"
_libc = ctypes.CDLL(None, use_errno=True)


class Disk:
    """A filesystem with a filler in it."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self._filler = at / _FILLER

    def fill(self, *, but: int = 0) -> None:
        """Leave this many pages free and not a byte more."""
        with self._filler.open("ab", buffering=0) as file:
            for step in (64 * PAGE, PAGE, 512, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"#" * step)
            os.fsync(file.fileno())
            end = -(-file.tell() // PAGE) * PAGE
            with suppress(OSError):  # EDQUOT: the page's end is more than is left
                os.truncate(self._filler, end - but * PAGE)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def remount(self, how: str) -> None:
        """Make it ``ro`` or ``rw``.

        :raises subprocess.CalledProcessError: somebody is writing.
        """
        subprocess.run(["mount", "-o", f"remount,{how}", self.at], check=True, capture_output=True)


@contextmanager
def private_mounts() -> Iterator[None]:
    """Have this thread, and what it starts, see mounts of its own."""
    home, cwd = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC), Path.cwd()
    _check(_libc.unshare(_CLONE_NEWNS))
    try:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        yield
    finally:
        _check(_libc.setns(home, _CLONE_NEWNS))
        os.close(home)
        os.chdir(cwd)


@contextmanager
def tmpfs(at: Path, *, pages: int = 16) -> Iterator[Disk]:
    """Put a small tmpfs in a directory's place, with what was in it."""
    with _mounted(at, "-t", "tmpfs", "-o", f"mode=755,size={pages * PAGE}", "tmpfs"):
        yield Disk(at)


@contextmanager
def ext4(at: Path, image: Path) -> Iterator[Disk]:
    """Put an ext4 of 8 MiB in a directory's place; none of it is reserved for root."""
    _make(image, 8, "mkfs.ext4", "-q", "-F", "-m", "0", "-b", str(PAGE))
    with _mounted(at, "-o", "loop", str(image)):
        shutil.rmtree(at / "lost+found")
        yield Disk(at)


@contextmanager
def btrfs(at: Path, image: Path, *, limit: int) -> Iterator[Disk]:
    """Put a btrfs in a directory's place on which a quota of this many bytes holds for root."""
    _make(image, 128, "mkfs.btrfs", "-q", "-f")
    with _mounted(at, "-o", "loop", str(image)):
        for words in ("quota enable", "quota rescan -w", f"qgroup limit {limit}"):
            subprocess.run(["btrfs", *words.split(), at], check=True, capture_output=True)
        yield Disk(at)


def _make(image: Path, mebibytes: int, *command: str) -> None:
    with image.open("wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run([*command, image], check=True)


@contextmanager
def _mounted(at: Path, *words: str) -> Iterator[None]:
    """Mount over a directory, with a copy of what was in it; its own is back at the end."""
    with tempfile.TemporaryDirectory() as aside:
        shutil.copytree(at, aside, dirs_exist_ok=True)
        subprocess.run(["mount", *words, at], check=True)
        try:
            shutil.copytree(aside, at, dirs_exist_ok=True)
            yield
        finally:
            subprocess.run(["umount", "--lazy", at], check=True)


def _check(result: int) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
