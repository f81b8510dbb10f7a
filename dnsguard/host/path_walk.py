"""Where a path leads, and whether root alone decides that.

In a directory that another user can write, every name may turn into a link, a FIFO or
another file between two system calls (CWE-59, CWE-367), and with it whatever root is made
to read or write there. So a path is walked a name at a time, by descriptors: links are
followed as long as root alone could have made them, and behind the first directory that is
not root's alone nothing is followed any more.

Who counts as root is a value, :class:`Owners`; who reads asks it of whoever may have written
(:mod:`dnsguard.host.trust`), and who writes of whoever may change the place.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dnsguard.host import users

LINKS_MAX = 40
"""The kernel's MAXSYMLINKS (path_resolution(7))."""
_WALK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ForeignPlaceError(PermissionError):
    """Raised where another user decides where a path leads."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


@dataclass(frozen=True, slots=True)
class Owners:
    """Who decides; everybody else is another user."""

    uids: frozenset[int]
    gids: frozenset[int] = frozenset()
    """Groups whose members may write, too; else none may."""

    def own(self, status: os.stat_result) -> bool:
        return status.st_uid in self.uids

    def share(self, status: os.stat_result) -> bool:
        """Tell whether others can write there.

        Of an ACL the group's bits are the mask, so they tell of it, too (acl(5)).
        """
        is_groups = status.st_mode & stat.S_IWGRP and status.st_gid not in self.gids
        return bool(is_groups or status.st_mode & stat.S_IWOTH)

    def alone_write(self, status: os.stat_result) -> bool:
        return self.own(status) and not self.share(status)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What a path leads to, behind all its links."""

    directory: int
    """A descriptor of its directory; open as long as the ``with`` lasts."""
    name: str
    status: os.stat_result | None
    """lstat(2); None where nothing is there. A link only where it must not be followed."""
    foreign: str | None
    """Why another user can change what is there, None where root alone can."""


@contextmanager
def end_of(path: Path, owners: Owners | None = None) -> Iterator[End]:
    """Give the end of a path, which may be missing.

    :param owners: root's; :func:`find_owners` unless given.
    :raises OSError: a directory on the way is missing or none, or links go round.
    """
    walk = _Walk(owners or find_owners())
    try:
        yield walk.to_end(str(path.absolute()))
    finally:
        walk.close()


@contextmanager
def directory(path: Path) -> Iterator[int]:
    """Give a descriptor of a directory in which root alone can change anything.

    :raises ForeignPlaceError: another user can, there or on the way.
    :raises OSError: it is missing, or no directory.
    """
    with end_of(path / ".dnsguard") as end:
        if end.foreign is not None:
            raise ForeignPlaceError(end.foreign)
        opened = os.open(".", _DIRECTORY, dir_fd=end.directory)  # for fsync(2), O_PATH won't do
    try:
        yield opened
    finally:
        os.close(opened)


class _Walk:
    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._here = os.open("/", _WALK)
        self._names: list[str] = []
        self._foreign: str | None = None
        self._where = "/"

    def close(self) -> None:
        os.close(self._here)

    def to_end(self, path: str) -> End:
        ahead, links = parts(path), 0
        while ahead:
            name = ahead.pop()
            if not ahead and name != "..":
                status = self._lstat(name)
                if status is None or not stat.S_ISLNK(status.st_mode) or not self._follows(status):
                    return self._make_end(name, status)
            target = self._enter(name)
            if target is not None:
                links += 1
                if links > LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if target.startswith("/"):
                    self._go_to("/", "/")
                ahead += parts(target)
        return self._make_end(".", self._lstat("."))

    def _make_end(self, name: str, status: os.stat_result | None) -> End:
        # Here a sticky bit is no help: whoever comes first has the name.
        foreign = self._foreign or self._explain_foreign(is_passed=False)
        return End(directory=self._here, name=name, status=status, foreign=foreign)

    def _lstat(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._here, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _follows(self, link: os.stat_result) -> bool:
        return self._foreign is None and self._owners.own(link)

    def _enter(self, name: str) -> str | None:
        """Go into a directory, or return where a link leads."""
        try:
            self._go_to(name, _join(self._where, name))
        except NotADirectoryError:  # what open(2) says of a link, too
            status = os.stat(name, dir_fd=self._here, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                raise
            if not self._follows(status):
                raise ForeignPlaceError(
                    f"{_join(self._where, name)}: a link that {_name_owner(status.st_uid)} can change"
                ) from None
            return os.readlink(name, dir_fd=self._here)
        return None

    def _go_to(self, name: str, where: str) -> None:
        opened = os.open(name, _WALK | os.O_DIRECTORY, dir_fd=self._here)
        os.close(self._here)
        self._here, self._where = opened, where
        if self._foreign is None:
            self._foreign = self._explain_foreign(is_passed=True)

    def _explain_foreign(self, *, is_passed: bool) -> str | None:
        """Return why another user can change names in this directory.

        :param is_passed: only a name that is there counts, which a sticky bit protects.
        """
        status = os.fstat(self._here)
        if not self._owners.own(status):
            return f"{self._where} belongs to {_name_owner(status.st_uid)}"
        if self._owners.share(status) and not (is_passed and status.st_mode & stat.S_ISVTX):
            mode = stat.filemode(status.st_mode)
            return f"{self._where} can be written by others than its owner ({mode})"
        return None


def find_owners() -> Owners:
    """Return whom a place must belong to that root writes in.

    That is also whoever runs us: below ``--root`` it may be an ordinary user. In a user
    namespace it is whoever owns what nobody inside can own, too: those who made it.
    """
    return Owners(frozenset({0, os.geteuid(), _find_outside()}))


@cache
def _find_outside() -> int:
    """Return the owner that all have who are not in our user namespace; -1 where all are.

    That is the overflow uid (user_namespaces(7)), if the namespace has no such user itself.
    """
    try:
        number = int(Path("/proc/sys/fs/overflowuid").read_bytes())
        ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    except OSError:
        return -1
    is_mapped = any(int(first) <= number < int(first) + int(count) for first, _, count in ranges)
    return -1 if is_mapped else number


def _name_owner(uid: int) -> str:
    return users.find_name(uid) or f"uid {uid}"


def _join(where: str, name: str) -> str:
    return f"{where.rstrip('/')}/{name}"


def parts(text: str) -> list[str]:
    """Return the names in a path, the first one last."""
    return [part for part in reversed(text.split("/")) if part not in ("", ".")]
