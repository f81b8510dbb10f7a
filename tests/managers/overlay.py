"""A node's tree at once: an overlay over the unpacked one, in a mount namespace of the tests'.

What is mounted is gone with the test's process, killed or not: nobody else sees it.
"""

import ctypes
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

_CLONE_NEWNS = 0x00020000
"""<linux/sched.h>"""


@cache
def enter_private_mounts() -> None:
    """Give this process, and its children, mounts of their own.

    :raises OSError: not root.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNS)")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


class Overlay:
    """A writable view of a tree that stays as it is.

    :param above: what another overlay over that tree has written, to begin with.
    """

    def __init__(self, lower: Path, directory: Path, *, above: Path | None = None) -> None:
        enter_private_mounts()
        self.tree = directory / "tree"
        self._work = [directory / name for name in ("upper", "work")]
        for one in (self.tree, *self._work):
            one.mkdir(parents=True)
        upper, work = self._work
        layers = f"{above}:{lower}" if above else str(lower)
        options = f"lowerdir={layers},upperdir={upper},workdir={work}"
        command = ["mount", "-t", "overlay", "-o", options, "overlay", str(self.tree)]
        subprocess.run(command, check=True)

    def close(self) -> None:
        """Take it away, with all that was written."""
        subprocess.run(["umount", self.tree], check=True)
        for one in (self.tree, *self._work):
            shutil.rmtree(one)

    def is_mounted(self) -> bool:
        return os.path.ismount(self.tree)
