"""A copy of the guarded file that is on the disk before it is needed.

A program that poisoned resolv.conf once writes the same text again, at each lease or
each boot. For that text the remedy is ready: written, synced, one rename(2) away. That
is faster than writing it then (on ext4 a rename over a file flushes what was just
written: 0.3 ms), and a power cut finds it whole, which fsync(2) before a rename would
buy for 3 to 7 ms. For any other text the daemon decides anew.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from dnsguard.core.model import MAX_FILE, FileSeen, Remedy
from dnsguard.host import atomic, resolvfile
from dnsguard.host.atomic import Attributes


class Spare:
    """The file beside resolv.conf, and the text it is the remedy for."""

    def __init__(self, resolv_conf: Path) -> None:
        self._resolv_conf = resolv_conf
        self._struck, self._spare = str(resolv_conf), ""
        self._like: tuple[int, int, int, list[str]] = (0, 0, 0, [])
        """Mode, owner, group and names of extended attributes, which it was given."""
        self.remedy: Remedy | None = None
        """What lies ready; None while nothing does."""

    def prepare(self, remedy: Remedy) -> bool:
        """Write the spare and sync it, which takes milliseconds; off the event loop."""
        path = self._resolv_conf
        try:
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                like = _attributes(directory, path.name)
                new = atomic.create(directory, path.name, remedy.content, like, is_synced=True)
            finally:
                os.close(directory)
        except OSError:
            return False
        self._spare = str(path.with_name(new.name))
        self._like = (like.mode, like.uid, like.gid, [name for name, _ in like.extended])
        # What it could not be given, the repair that is decided then will say.
        if new.lost:
            self.discard()
        return not new.lost

    def strike(self, after: int = 0) -> FileSeen | None:
        """Put the spare in place if the file says just what it is the remedy for.

        Straight system calls on prepared strings: after a pause, each other function
        called on the way would cost as much again (0.1 ms for ``resolvfile.observe``).

        :param after: the file's mtime will be later than this (nanoseconds since the epoch).
        :returns: the file as it was; None where nothing was done.
        """
        if self.remedy is None:
            return None
        path = self._struck
        try:
            descriptor = os.open(path, resolvfile.READ | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            content = os.read(descriptor, MAX_FILE + 1)
            if content != self.remedy.poisoned or resolvfile.is_being_written(descriptor):
                return None
            status = os.fstat(descriptor)
            mode = stat.S_IMODE(status.st_mode) | resolvfile.READABLE
            like = (mode, status.st_uid, status.st_gid, os.listxattr(descriptor))
            identity = resolvfile.identity_of(status)
            is_still_there = resolvfile.identity_of(os.lstat(path)) == identity
            if like != self._like or status.st_nlink > 1 or not is_still_there:
                return None  # the new file is to be like the old one: decided anew
            self.remedy = None  # whatever rename(2) says, the spare is spent
            atomic.see_that_later(self._spare, max(after, identity.mtime_ns))
            os.rename(self._spare, path)  # noqa: PTH104 -- pathlib costs 3 us
        except OSError:
            return None
        finally:
            os.close(descriptor)
        is_readable = status.st_mode & resolvfile.READABLE == resolvfile.READABLE
        return FileSeen(content=content, identity=identity, is_readable=is_readable)

    def discard(self) -> None:
        """Remove the spare: nothing of ours stays in /etc without the daemon."""
        self.remedy = None
        with suppress(OSError):
            os.unlink(self._spare)  # noqa: PTH108 -- a string, as strike() needs it


def _attributes(directory: int, name: str) -> Attributes:
    descriptor = atomic.look_at(directory, name)
    try:
        return atomic.attributes_of(descriptor, readable=resolvfile.READABLE)
    finally:
        os.close(descriptor)
