"""A copy of the guarded file that is on the disk before it is needed.

A program that poisoned resolv.conf once writes the same text again, at each lease or
each boot. For that text the remedy is ready: written, synced, one rename(2) away. That
is faster than writing it then (on ext4 a rename over a file flushes what was just
written: 0.3 ms), and a power cut finds it whole, which fsync(2) before a rename would
buy for 3 to 7 ms. For any other text the daemon decides anew.
"""

import os
from contextlib import suppress
from pathlib import Path

from dnsguard.core.model import MAX_FILE, FileSeen, Remedy
from dnsguard.host import resolvfile


class Spare:
    """The file beside resolv.conf, and the text it is the remedy for."""

    def __init__(self, resolv_conf: Path) -> None:
        self._resolv_conf = resolv_conf
        self._path = resolv_conf.with_name(f".{resolv_conf.name}.dnsguard-spare")
        self._struck, self._spare = str(resolv_conf), str(self._path)
        self.remedy: Remedy | None = None
        """What lies ready; None while nothing does."""

    def prepare(self, remedy: Remedy) -> bool:
        """Write the spare and sync it, which takes milliseconds; off the event loop."""
        try:
            mode = resolvfile.mode_of(self._resolv_conf)
            resolvfile.write_new(self._path, remedy.content, mode)
            resolvfile.fsync(self._path)
        except OSError:
            return False
        return True

    def strike(self) -> FileSeen | None:
        """Put the spare in place if the file says just what it is the remedy for.

        Straight system calls on prepared strings: after a pause, each other function
        called on the way would cost as much again (0.1 ms for ``resolvfile.observe``).

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
            identity = resolvfile.identity_of(os.fstat(descriptor))
            if resolvfile.identity_of(os.lstat(path)) != identity:
                return None
            self.remedy = None  # whatever rename(2) says, the spare is spent
            os.rename(self._spare, path)  # noqa: PTH104 -- pathlib costs 3 us
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return FileSeen(content=content, identity=identity)

    def discard(self) -> None:
        """Remove the spare: nothing of ours stays in /etc without the daemon."""
        self.remedy = None
        with suppress(OSError):
            self._path.unlink()
