"""resolv.conf as a file: read in one piece, replaced in one step.

Readers see the old file or the new one. A replacement is refused when the file is no
longer the one that was observed. What can't be edited is set aside, never deleted.

Behind a symbolic link only what root alone decides is written, and only a text that is a
resolv.conf: all else keeps its place, and the link gives way.
"""

import dataclasses
import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from dnsguard.core.observation import MAX_FILE, MAX_GUARDED, FileObservation, Identity, Trouble
from dnsguard.formats.guarded_resolvconf import read_link_marker, unguard
from dnsguard.formats.resolvconf import is_resolv_conf
from dnsguard.host import atomic, path_walk
from dnsguard.host.atomic import New
from dnsguard.host.attributes import Attributes, read_attributes
from dnsguard.host.path_walk import End

READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""How resolv.conf is opened: a FIFO in its place would block open(2) otherwise."""
READABLE = 0o444
"""Every program resolves names, whoever runs it."""

_MOST_ASIDE = 9
"""Set-aside files; the last is overwritten, so that a loop can't fill the disk."""
_PASSING = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EINTR, errno.ESTALE}
)
"""What open(2) and read(2) fail of that says nothing about the file."""


class Replaced(StrEnum):
    """What became of a replacement."""

    DONE = "done"
    IN_PLACE = "in-place"  # rename(2) is impossible on this file: overwritten
    LINK_REPLACED = "link-replaced"  # the link's target is not ours to write
    LINK_RESTORED = "link-restored"  # what it leads to is clean again
    CHANGED = "changed"  # no longer what was observed: look again
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """The outcome of :func:`replace`."""

    result: Replaced
    error: OSError | None = None
    aside: Path | None = None
    """Where the old file was set aside."""
    lost: tuple[str, ...] = ()
    """What of the old file, beside its text, the new one does not have."""


def identity_of(status: os.stat_result) -> Identity:
    return Identity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def identity_at(path: Path) -> Identity | None:
    """Return the identity of what a reader of the path would get, None for nothing."""
    try:
        return identity_of(os.stat(path))  # noqa: PTH116 -- the hot path: pathlib costs 3 us
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):  # nothing, or a link to itself
            return None
        raise


def try_identity(path: Path) -> Identity | None:
    """Return the same, and None as well where it can't be told. Never raises OSError."""
    with suppress(OSError):
        return identity_at(path)
    return None


def chain(path: Path) -> tuple[Path, ...]:
    """Return the path and every name its last links lead through, the file's own last."""
    names = [path]
    with suppress(OSError):
        while len(names) < path_walk.LINKS_MAX:
            names.append(names[-1].parent / names[-1].readlink())
    return (*names, Path(os.path.realpath(path)))


def observe(path: Path) -> FileObservation:
    """Read the file, trouble included. Never raises OSError."""
    try:
        descriptor = os.open(path, READ | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return observe_link_target(path)
        return _unreadable(path, error)
    return _observe_open(path, descriptor)


def observe_link_target(path: Path) -> FileObservation:
    """Read what a link leads to, as far as root's alone to know is not in it.

    Never raises OSError.
    """
    link = None
    with suppress(OSError):
        link = str(path.readlink())
    try:
        with path_walk.end_of(path) as end:
            descriptor = _open_end(end)
    except OSError as error:
        seen = _unreadable(path, error)
    else:
        seen = _observe_open(path, descriptor, is_behind_link=True)
    return dataclasses.replace(seen, link=link, leads_away=_leads_away(path))


def _leads_away(path: Path) -> bool:
    """Tell whether a link leads out of the directory that resolv.conf lies in."""
    here = os.path.realpath(path.parent).rstrip("/")
    return not os.path.realpath(path).startswith(f"{here}/")


def _open_end(end: End) -> int:
    """Open what a link leads to.

    :raises path_walk.ForeignPlaceError: another user decides what that is, and not every user
        may read it: what is in it may be root's alone to know.
    """
    descriptor = os.open(end.name, READ | os.O_NOFOLLOW, dir_fd=end.directory)
    if end.foreign is not None and not os.fstat(descriptor).st_mode & stat.S_IROTH:
        os.close(descriptor)
        raise path_walk.ForeignPlaceError(f"{end.foreign}, and not everybody may read {end.name}")
    return descriptor


def _observe_open(path: Path, descriptor: int, *, is_behind_link: bool = False) -> FileObservation:
    """Read an open file, and close it."""
    try:
        status = os.fstat(descriptor)
        identity = identity_of(status)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            return FileObservation(trouble=Trouble.NOT_A_FILE, detail=kind, identity=identity)
        content = _read(descriptor)
        trouble, detail = _judge(content, is_behind_link=is_behind_link)
        if trouble is not None:
            return FileObservation(trouble=trouble, detail=detail, identity=identity)
        return FileObservation(
            content=content,
            identity=identity,
            being_written=is_being_written(descriptor),
            is_readable=status.st_mode & READABLE == READABLE,
        )
    except OSError as error:
        return _unreadable(path, error)
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    """Read to the end or the bound: read(2) may return less than there is."""
    content = os.read(descriptor, MAX_GUARDED + 1)
    while content and len(content) <= MAX_GUARDED:
        more = os.read(descriptor, MAX_GUARDED + 1 - len(content))
        if not more:
            break
        content += more
    return content


def _judge(content: bytes, *, is_behind_link: bool) -> tuple[Trouble | None, str]:
    """Tell why a text is not taken for one to edit."""
    # What we add to a text that was short enough must not make it too long.
    if len(content) > MAX_FILE and len(unguard(content)) > MAX_FILE:
        return Trouble.TOO_BIG, f"over {MAX_FILE} bytes"
    if is_behind_link and not is_resolv_conf(content):
        return Trouble.NOT_RESOLV_CONF, "a link to what has no line of resolv.conf(5)"
    return None, ""


def is_being_written(descriptor: int) -> bool:
    """Tell whether somebody has the file open for writing.

    A read lease is refused then (fcntl(2), F_SETLEASE: EAGAIN). Renaming over a file
    that another program is writing would send the rest of its text to a dead inode.
    The lease is given back at once; a writer who opens in between waits microseconds.
    """
    if not take_lease(descriptor):
        return True
    with suppress(OSError):  # closing the file ends it all the same
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def take_lease(descriptor: int) -> bool:
    """Hold off writers until the file is closed; return False where one has it open already.

    Where there are no leases to be had, nobody can tell, and nobody is held off.
    """
    _ignore_breaks()
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return False
    except OSError:  # another owner's file (EACCES), a filesystem without leases (EINVAL)
        return True
    return True


@cache
def _ignore_breaks() -> None:
    """Outlive the break of a lease: it raises SIGIO, whose default is death.

    Once, where F_SETSIG would be a system call more for each repair.
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def _unreadable(path: Path, error: OSError) -> FileObservation:
    if isinstance(error, FileNotFoundError):
        return FileObservation(trouble=Trouble.MISSING, detail=error.strerror or "")
    identity = try_identity(path)
    trouble = Trouble.NOT_READ if error.errno in _PASSING else Trouble.UNREADABLE
    detail = error.strerror or str(error)
    return FileObservation(trouble=trouble, detail=detail, identity=identity)


def replace(path: Path, content: bytes, seen: FileObservation, *, after: int = 0) -> Replacement:
    """Make the file say ``content``, if it still is what was ``seen``.

    A symbolic link is kept and its target replaced; where the target can't be
    written (another user's or program's place, no text of resolv.conf, read-only to the
    sandbox) the link itself becomes a file. Never raises OSError.

    :param after: the file's mtime will be later than this (nanoseconds since the epoch).
    """
    try:
        if seen.link is None:
            with _directory(path) as directory:
                return _Swap(path, directory, path.name, seen, after).make(content)
        return _replace_link_target(path, content, seen, after)
    except OSError as error:  # no such directory
        return Replacement(result=Replaced.FAILED, error=error)


def _replace_link_target(
    path: Path, content: bytes, seen: FileObservation, after: int
) -> Replacement:
    target = _replace_target(path, content, seen, after)
    if target.result is not Replaced.FAILED:
        return target
    with _directory(path) as directory:
        at_link = _Swap(path, directory, path.name, seen, after, is_link=True).make(content)
    if at_link.result is not Replaced.DONE:
        return at_link
    return dataclasses.replace(at_link, result=Replaced.LINK_REPLACED, error=target.error)


def _replace_target(path: Path, content: bytes, seen: FileObservation, after: int) -> Replacement:
    """Replace what a link leads to, where root alone decides what that is."""
    is_text = seen.trouble in (None, Trouble.MISSING)
    reason = None if is_text else seen.detail
    if _leads_away(path):
        reason = f"{os.path.realpath(path)} is another program's"
    if reason is not None:
        return Replacement(result=Replaced.FAILED, error=path_walk.ForeignPlaceError(reason))
    return replace_behind(path, content, seen, after=after)


def replace_behind(
    path: Path, content: bytes, seen: FileObservation, *, after: int = 0
) -> Replacement:
    """Make what a path leads to say ``content``, whoever's program that is.

    Only where root alone decides what it leads to. Never raises OSError.
    """
    try:
        with path_walk.end_of(path) as end:
            if end.foreign is None:
                return _Swap(path, end.directory, end.name, seen, after).make(content)
            error: OSError = path_walk.ForeignPlaceError(end.foreign)
    except OSError as raised:
        error = raised
    return Replacement(result=Replaced.FAILED, error=error)


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    """Give the directory of resolv.conf itself, which is guarded whoever owns it."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Swap:
    """One name in one directory, to be replaced if it is what was seen."""

    path: Path
    """The name that programs use; it may be a link to this one."""
    directory: int
    name: str
    seen: FileObservation
    after: int
    is_link: bool = False
    """Whether it is the link itself that gives way."""

    def make(self, content: bytes) -> Replacement:
        new = None
        try:
            attributes, lost = self._attributes()
            new = atomic.create(
                self.directory, self.name, content, attributes, after=self._latest()
            )
            is_kept = not self._is_lost_with(content)
            return self._put(new, (*lost, *new.lost), is_kept=is_kept)
        except FileExistsError:
            return Replacement(result=Replaced.CHANGED)
        except OSError as error:
            if new is not None:
                new.discard()  # first: on a full disk it is what is in the way
            is_full = error.errno in (errno.EBUSY, errno.ENOSPC, errno.EDQUOT)
            if is_full and self.seen.trouble is None:
                return self._overwrite(content, error)
            return Replacement(result=Replaced.FAILED, error=error)
        finally:
            if new is not None:
                new.discard()

    def _latest(self) -> int:
        return max(self.after, self.seen.identity.mtime_ns if self.seen.identity else 0)

    def _attributes(self) -> tuple[Attributes, tuple[str, ...]]:
        """Return what the new file has of the old one, and what it can't have."""
        if self.seen.trouble is not None or self.is_link:
            return Attributes(), ()
        try:
            descriptor = atomic.look_at(self.directory, self.name)
        except OSError:  # gone, or a link by now: the comparison will say so
            return Attributes(), ()
        try:
            names = os.fstat(descriptor).st_nlink
            lost = (f"another name of the same file ({names - 1})",) if names > 1 else ()
            return read_attributes(descriptor, readable=READABLE), lost
        finally:
            os.close(descriptor)

    def _is_lost_with(self, content: bytes) -> bool:
        """Tell whether what gives way is kept nowhere else: an edited text is in the new one."""
        if self.is_link:
            return read_link_marker(content) != self.seen.link
        return self.seen.trouble not in (None, Trouble.MISSING)

    def _put(self, new: New, lost: tuple[str, ...], *, is_kept: bool) -> Replacement:
        seen = self.seen
        if identity_at(self.path) != seen.identity:
            return Replacement(result=Replaced.CHANGED)
        now = self._lstat()
        if now is not None and stat.S_ISLNK(now.st_mode) != self.is_link:
            return Replacement(result=Replaced.CHANGED)
        if now is None:
            new.rename_to_free(self.name)
            return Replacement(result=Replaced.DONE, lost=lost)
        aside = None if is_kept else self._set_aside(now)
        new.rename(self.name)
        return Replacement(result=Replaced.DONE, aside=aside, lost=lost)

    def _lstat(self) -> os.stat_result | None:
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _set_aside(self, now: os.stat_result) -> Path:
        """Keep what can't be edited under another name; nothing foreign is deleted.

        A second name (link(2)) leaves no instant without a file. Directories can have none, nor
        anything on FAT, nor what is another user's (fs.protected_hardlinks).
        """
        here = self.directory
        aside = f"{self.name}.dnsguard-aside.{self._free_number()}"
        if not stat.S_ISDIR(now.st_mode):
            with suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=here)
            try:
                os.link(self.name, aside, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
            except PermissionError:
                pass
            else:
                return self.path.with_name(aside)
        os.rename(self.name, aside, src_dir_fd=here, dst_dir_fd=here)
        return self.path.with_name(aside)

    def _free_number(self) -> int:
        taken = set(os.listdir(self.directory))  # noqa: PTH208 -- a descriptor
        names = (f"{self.name}.dnsguard-aside.{number}" for number in range(1, _MOST_ASIDE))
        free = (number for number, name in enumerate(names, 1) if name not in taken)
        return next(free, _MOST_ASIDE)

    def _overwrite(self, content: bytes, reason: OSError) -> Replacement:
        """Overwrite in place: all that is left on a bind mount (EBUSY) or a full disk.

        Readers can see the new text with blank lines behind it, never an empty file.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self.name, flags, dir_fd=self.directory)
        except OSError as error:
            return Replacement(result=Replaced.FAILED, error=error)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or identity_of(status) != self.seen.identity:
                return Replacement(result=Replaced.CHANGED)
            _write_over(descriptor, content, self.seen.content)
            with suppress(OSError):  # the text is what counts
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode) | READABLE)
                atomic.see_that_later(descriptor, self._latest())
        except OSError as error:
            return Replacement(result=Replaced.FAILED, error=error)
        finally:
            os.close(descriptor)
        return Replacement(result=Replaced.IN_PLACE, error=reason)


def put_link(path: Path, link: str, seen: FileObservation) -> Replacement:
    """Put a link in the place of what was ``seen``, if it still is there. Never raises OSError."""
    try:
        with _directory(path) as directory:
            new = atomic.create_link(directory, path.name, link)
            try:
                if identity_at(path) != seen.identity:
                    return Replacement(result=Replaced.CHANGED)
                new.rename(path.name)
            finally:
                new.discard()
    except OSError as error:
        return Replacement(result=Replaced.FAILED, error=error)
    return Replacement(result=Replaced.LINK_RESTORED)


def _write_over(descriptor: int, content: bytes, old: bytes) -> None:
    """Write a text over another one, the whole of it or nothing.

    What the file lacks in length is taken first; after that no write needs another block.

    :raises OSError: it can't be written; the old text is back.
    """
    try:
        if not atomic.reserve(descriptor, len(content)):
            # Blank lines mean nothing to any reader.
            atomic.write_all(descriptor, b"\n" * (len(content) - len(old)), at=len(old))
        # No old tail behind it for a reader to see before the cut.
        atomic.write_all(descriptor, content.ljust(len(old), b"\n"), at=0)
        os.ftruncate(descriptor, len(content))
        if os.pread(descriptor, len(content) + 1, 0) != content:
            raise OSError(errno.EIO, "what was written is not what is read back")  # noqa: TRY301
    except OSError:
        with suppress(OSError):
            atomic.write_all(descriptor, old.ljust(len(content), b"\n"), at=0)
        with suppress(OSError):
            os.ftruncate(descriptor, len(old))
        raise


def sync(paths: tuple[Path, ...]) -> None:
    """Bring files and their names to the disk (fsync(2)): 3-7 ms, so never before a rename.

    Until then a power cut leaves the old file or the new one on ext4 (auto_da_alloc),
    and at worst an empty one elsewhere, which the next start repairs before the network.
    """
    for path in (*paths, *{path.parent for path in paths}):
        with suppress(OSError):
            fsync(path)


def fsync(path: Path) -> None:
    """Bring one file or directory to the disk.

    :raises OSError: it is gone, or the disk failed.
    """
    descriptor = os.open(path, READ)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
