"""What is on a node's disk: every path, with what dpkg and others could have left of it."""

import hashlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Manifest = Mapping[str, str]
"""What a path is, by the path."""

_NOT_ITS = (
    # The kernel's and the boot's.
    *("dev", "proc", "run", "sys", "tmp", "var/tmp"),
    # dpkg's and apt's own books, and logs.
    *("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log"),
    # Made anew from what is installed, by triggers and at any time.
    "var/lib/systemd/catalog",
    # What the machine itself goes on writing.
    *("var/lib/dhcp", "var/lib/systemd/timers", "var/lib/systemd/random-seed", "etc/resolv.conf"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What is there that was not, what is gone, and what is another."""

    more: frozenset[str]
    less: frozenset[str]
    other: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.more or self.less or self.other)


def take(tree: Path) -> Manifest:
    """Return what is on the disk, but for what is nobody's package."""
    return {str(path.relative_to(tree)): _describe(path) for path in _walk(tree, tree)}


def compare(before: Manifest, after: Manifest) -> Difference:
    both = before.keys() & after.keys()
    return Difference(
        more=frozenset(after.keys() - before.keys()),
        less=frozenset(before.keys() - after.keys()),
        other=frozenset(path for path in both if before[path] != after[path]),
    )


def _walk(tree: Path, directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if str(path.relative_to(tree)) in _NOT_ITS:
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(tree, path)


def _describe(path: Path) -> str:
    """Return kind, mode, owner and content."""
    seen = path.lstat()
    content = ""
    if stat.S_ISLNK(seen.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(seen.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{stat.filemode(seen.st_mode)} {seen.st_uid}:{seen.st_gid} {content}"
