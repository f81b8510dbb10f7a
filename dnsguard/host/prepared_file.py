"""A copy of the guarded file that is on the disk before it is needed.

A program that poisoned resolv.conf once writes the same text again, at each lease or
each boot. For that text the repair is ready: written, synced, one rename(2) away. That
is faster than writing it then (on ext4 a rename over a file flushes what was just
written: 0.3 ms), and a power cut finds it whole, which fsync(2) before a rename would
buy for 3 to 7 ms. Into a text that differs in other lines only, the same servers are
written then, into the file that is there with all its attributes. For any other text the
daemon decides anew.
"""

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from dnsguard.core.observation import FileObservation
from dnsguard.core.plan import PreparedRepair
from dnsguard.host import atomic, resolvfile
from dnsguard.host.attributes import Attributes, read_attributes

_MOST = 4096
"""Bytes of a poison that a repair is prepared for: Kubespray's has 120."""
_OPEN = resolvfile.READ | os.O_NOFOLLOW


class PreparedFile:
    """The file beside resolv.conf, and the text that it repairs."""

    def __init__(self, resolv_conf: Path) -> None:
        self._resolv_conf = resolv_conf
        self._path, self._spare = str(resolv_conf), ""
        self._descriptor = -1
        """The spare's, for reading only: with one that can write, nobody could remount the
        filesystem read-only (mount(2), EBUSY)."""
        self._like: tuple[int, int, int, list[str]] = (0, 0, 0, [])
        """Mode, owner, group and names of extended attributes, which it was given."""
        self.repair: PreparedRepair | None = None
        """What lies ready; None while nothing does."""
        self.wanted: PreparedRepair | None = None
        """What should, and is put in place: a text that was a poison may be our own by now. Handed
        over, it named NodeLocalDNS and the upstream, just as the poison had, and was repaired."""
        self._unfit: PreparedRepair | None = None
        """What can't lie ready here, whenever it is tried."""

    @property
    def is_stale(self) -> bool:
        is_fit = self.wanted is None or self.wanted != self._unfit
        return is_fit and self.wanted != self.repair

    def prepare(self, repair: PreparedRepair) -> bool:
        """Write the file and sync it, which takes milliseconds; off the event loop."""
        path = self._resolv_conf
        try:
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                like = _attributes(directory, path.name)
                new = atomic.create(directory, path.name, repair.content, like, is_synced=True)
                self._spare = str(path.with_name(new.name))
                self._descriptor = os.open(self._spare, _OPEN)
            finally:
                os.close(directory)
            is_exact = _keeps_nanoseconds(self._descriptor)
        except OSError:
            self.discard()
            return False
        self._like = (like.mode, like.uid, like.gid, [name for name, _ in like.extended])
        # What it could not be given, the repair that is decided then will say.
        if new.lost or not is_exact:
            self._unfit = repair
            self.discard()
            return False
        return True

    def apply(self, after: int = 0) -> tuple[FileObservation, bytes] | None:
        """Put it in place if the file says what it was prepared for.

        Straight system calls on prepared values: after a pause, each other function called
        on the way, and each dataclass made, would cost as much again.

        :param after: the file's mtime will be later than this (nanoseconds since the epoch).
        :returns: the file as it was, and what it says now; None where nothing was done.
        """
        repair = self.repair
        if repair is None or repair != self.wanted:
            return None
        try:
            descriptor = os.open(self._path, _OPEN)
        except OSError:
            return None
        try:
            return self._replace(descriptor, repair, after)
        except OSError:
            return None
        finally:
            os.close(descriptor)
            if self.repair is not repair:
                self.discard()

    def _replace(
        self, descriptor: int, repair: PreparedRepair, after: int
    ) -> tuple[FileObservation, bytes] | None:
        content = os.read(descriptor, _MOST)
        repaired = repair.content_for(content)
        if repaired is None or len(content) == _MOST or not resolvfile.take_lease(descriptor):
            return None
        status = os.fstat(descriptor)
        mode = stat.S_IMODE(status.st_mode) | resolvfile.READABLE
        like = (mode, status.st_uid, status.st_gid, os.listxattr(descriptor))
        if like != self._like or status.st_nlink > 1:
            return None  # the new file is to be like the old one: decided anew
        self.repair = None  # whatever comes of it, the prepared file is used up
        if repaired is not repair.content:
            self._fill(repaired, len(repair.content))
        if not _is_same(status, os.lstat(self._path)):
            return None
        os.rename(self._spare, self._path)  # noqa: PTH104 -- pathlib costs 3 us
        # time(7): the kernel's own stamp stands still for a tick, of up to 10 ms. Not before the
        # rename, which would wait for it: until now it had the time of no other version.
        later = max(after, status.st_mtime_ns, time.time_ns()) + 1
        with suppress(OSError):
            os.utime(self._descriptor, ns=(later, later))
        is_readable = status.st_mode & resolvfile.READABLE == resolvfile.READABLE
        identity = resolvfile.identity_of(status)
        return FileObservation(
            content=content, identity=identity, is_readable=is_readable
        ), repaired

    def _fill(self, content: bytes, length: int) -> None:
        """Write another text into it; what a full disk does not take is not put in place."""
        descriptor = os.open(self._spare, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            atomic.write_all(descriptor, content)
            if len(content) < length:
                os.ftruncate(descriptor, len(content))
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """Remove it: nothing of ours stays in /etc without the daemon."""
        self.repair = None
        with suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = -1
        with suppress(OSError):
            os.unlink(self._spare)  # noqa: PTH108 -- a string, as apply() needs it


def _keeps_nanoseconds(descriptor: int) -> bool:
    """Tell whether a time that is set there stays what it is: ext3 and FAT cut it."""
    before = os.fstat(descriptor)
    os.utime(descriptor, ns=(1, 1))
    is_kept = os.fstat(descriptor).st_mtime_ns == 1
    os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
    return is_kept


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (
        one.st_ino == other.st_ino
        and one.st_dev == other.st_dev
        and one.st_size == other.st_size
        and one.st_mtime_ns == other.st_mtime_ns
        and one.st_ctime_ns == other.st_ctime_ns
    )


def _attributes(directory: int, name: str) -> Attributes:
    descriptor = atomic.look_at(directory, name)
    try:
        return read_attributes(descriptor, readable=resolvfile.READABLE)
    finally:
        os.close(descriptor)
