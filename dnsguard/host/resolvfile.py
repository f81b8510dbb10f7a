"""resolv.conf as a file: read in one piece, replaced in one step.

Readers see the old file or the new one. A replacement is refused when the file is no
longer the one that was observed. What can't be edited is set aside, never deleted.
"""

import dataclasses
import errno
import fcntl
import os
import signal
import stat
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dnsguard.core.model import MAX_FILE, FileSeen, Identity, Trouble

_FILE_MODE = 0o644
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""How resolv.conf is opened: a FIFO in its place would block open(2) otherwise."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


_LINKS_MAX = 40
"""The kernel's MAXSYMLINKS (path_resolution(7))."""


_MOST_ASIDE = 9
"""Set-aside files; the last is overwritten, so that a loop can't fill the disk."""


class Replaced(StrEnum):
    """What became of a replacement."""

    DONE = "done"
    IN_PLACE = "in-place"  # rename(2) is impossible on this file: overwritten
    LINK_REPLACED = "link-replaced"  # the link's target is not ours to write
    CHANGED = "changed"  # no longer what was observed: look again
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """The outcome of :func:`replace`."""

    result: Replaced
    error: OSError | None = None
    aside: Path | None = None
    """Where the old file was set aside."""


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


def chain(path: Path) -> tuple[Path, ...]:
    """Return the path and every name its last links lead through, the file's own last."""
    names = [path]
    with suppress(OSError):
        while len(names) < _LINKS_MAX:
            names.append(names[-1].parent / names[-1].readlink())
    return (*names, Path(os.path.realpath(path)))


def observe(path: Path) -> FileSeen:
    """Read the file, trouble included. Never raises OSError."""
    link = None
    try:
        try:
            descriptor = os.open(path, READ | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            link = str(path.readlink())
            descriptor = os.open(path, READ)
    except FileNotFoundError as error:
        return FileSeen(trouble=Trouble.MISSING, detail=error.strerror or "", link=link)
    except OSError as error:
        return _unreadable(path, error, link)
    try:
        return _observe_open(descriptor, link)
    except OSError as error:
        return _unreadable(path, error, link)
    finally:
        os.close(descriptor)


def _observe_open(descriptor: int, link: str | None) -> FileSeen:
    status = os.fstat(descriptor)
    identity = identity_of(status)
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
        return FileSeen(trouble=Trouble.NOT_A_FILE, detail=kind, identity=identity, link=link)
    content = os.read(descriptor, MAX_FILE + 1)
    if len(content) > MAX_FILE:
        detail = f"{status.st_size} bytes, over {MAX_FILE}"
        return FileSeen(trouble=Trouble.TOO_BIG, detail=detail, identity=identity, link=link)
    return FileSeen(
        content=content,
        identity=identity,
        being_written=is_being_written(descriptor),
        link=link,
    )


def is_being_written(descriptor: int) -> bool:
    """Tell whether somebody has the file open for writing.

    A read lease is refused then (fcntl(2), F_SETLEASE: EAGAIN). Renaming over a file
    that another program is writing would send the rest of its text to a dead inode.
    The lease is given back at once; a writer who opens in between waits microseconds.
    """
    # Breaking a lease raises SIGIO, whose default is death; SIGURG's is nothing.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:  # another owner's file (EACCES), a filesystem without leases (EINVAL)
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _unreadable(path: Path, error: OSError, link: str | None) -> FileSeen:
    identity = None
    with suppress(OSError):
        identity = identity_at(path)
    detail = error.strerror or str(error)
    return FileSeen(trouble=Trouble.UNREADABLE, detail=detail, identity=identity, link=link)


def replace(path: Path, content: bytes, seen: FileSeen) -> Replacement:
    """Make the file say ``content``, if it still is what was ``seen``.

    A symbolic link is kept and its target replaced; where the target can't be
    written (another program's place, read-only to the sandbox) the link itself
    becomes a file. Never raises OSError.
    """
    target = Path(os.path.realpath(path)) if seen.link is not None else path
    replacement = _replace_at(target, path, content, seen)
    if target == path or replacement.result is not Replaced.FAILED:
        return replacement
    at_link = _replace_at(path, path, content, seen)
    if at_link.result is not Replaced.DONE:
        return at_link
    return dataclasses.replace(at_link, result=Replaced.LINK_REPLACED, error=replacement.error)


def _replace_at(target: Path, path: Path, content: bytes, seen: FileSeen) -> Replacement:
    temporary = target.with_name(f".{target.name}.dnsguard-{os.getpid()}")
    aside = None
    try:
        write_new(temporary, content, mode_of(target))
        if identity_at(path) != seen.identity:
            return _give_up(temporary, Replacement(result=Replaced.CHANGED))
        if seen.identity is None and target == path and seen.link is None:
            # Nothing was there: link(2) refuses if somebody has been faster.
            os.link(temporary, target)
            temporary.unlink()
        else:
            if seen.trouble not in (None, Trouble.MISSING) or target.is_symlink():
                aside = _set_aside(target)
            os.rename(temporary, target)  # noqa: PTH104 -- the hot path
    except FileExistsError:
        return _give_up(temporary, Replacement(result=Replaced.CHANGED))
    except OSError as error:
        failed = Replacement(result=Replaced.FAILED, error=error, aside=aside)
        if error.errno in (errno.EBUSY, errno.ENOSPC, errno.EDQUOT) and seen.trouble is None:
            failed = _overwrite(target, content, error)
        return _give_up(temporary, failed)
    return Replacement(result=Replaced.DONE, aside=aside)


def write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, _CREATE, mode)
    try:
        os.write(descriptor, content)
        os.fchmod(descriptor, mode)  # whatever the umask and a stale temporary file say
    finally:
        os.close(descriptor)


def mode_of(path: Path) -> int:
    """Return the permissions to keep; readable to all, as every resolver needs it."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- the hot path
    except OSError:
        return _FILE_MODE
    if not stat.S_ISREG(status.st_mode):
        return _FILE_MODE
    return stat.S_IMODE(status.st_mode) & 0o777 | 0o444


def _give_up(temporary: Path, outcome: Replacement) -> Replacement:
    with suppress(OSError):
        temporary.unlink()
    return outcome


def _set_aside(path: Path) -> Path:
    """Keep what can't be edited under another name; nothing foreign is deleted.

    A second name (link(2)) leaves no instant without a file; directories have none.
    """
    names = (path.with_name(f"{path.name}.dnsguard-aside.{n}") for n in range(1, _MOST_ASIDE))
    last = path.with_name(f"{path.name}.dnsguard-aside.{_MOST_ASIDE}")
    aside = next((name for name in names if not os.path.lexists(name)), last)
    if path.is_dir() and not path.is_symlink():
        path.rename(aside)
        return aside
    with suppress(FileNotFoundError):
        aside.unlink()
    os.link(path, aside, follow_symlinks=False)
    return aside


def _overwrite(path: Path, content: bytes, reason: OSError) -> Replacement:
    """Overwrite in place: all that is left on a bind mount (EBUSY) or a full disk.

    One pwrite(2) into the blocks the file has, then the new length: a reader can see
    new text with the old tail, never an empty file.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, len(content))
        finally:
            os.close(descriptor)
    except OSError as error:
        return Replacement(result=Replaced.FAILED, error=error)
    return Replacement(result=Replaced.IN_PLACE, error=reason)


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
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
