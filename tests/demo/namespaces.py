"""Leave the machine: this process gets a network, mounts and process ids of its own.

Root needs no user namespace; everybody else, and root without its capabilities as in a
container, gets one in which it is root. All of it ends with this process. Nothing is
left on the disk either: files go to a tmpfs that only this mount namespace has.
"""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

from lab import needs
from lab.netns import LIBC, check

from demo.setting import scratch
from dnsguard.errors import DnsguardError

_NEWNS, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
"""CLONE_NEW...: clone(2). ``os.unshare`` comes with Python 3.12."""
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x4000, 0x40000
"""mount(2)."""

STAGE = Path("/dev/shm")  # noqa: S108 -- covered by a tmpfs of our own, nothing in it is touched
"""Where the tmpfs is mounted: every Linux has the directory, and none keeps programs there."""

_SWITCHES = (
    ("user/max_user_namespaces", "0", "16384"),
    ("kernel/unprivileged_userns_clone", "0", "1"),  # Debian's own, since 3.16
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu, since 23.10
)
"""What forbids user namespaces: the file below /proc/sys, its forbidding value, the remedy."""


class NoNamespacesError(DnsguardError):
    """Raised when the kernel gives no namespaces here; says why and what to do."""


def enter() -> Path:
    """Move this process into new namespaces and return an empty directory in there.

    Processes started from now on are in the process id namespace, the first of them as its
    init: when that one ends, the kernel kills all others. This process must be
    single-threaded (unshare(2), CLONE_NEWUSER), and can't start threads afterwards.

    :raises NoNamespacesError: not permitted.
    """
    user, group = os.geteuid(), os.getegid()
    spaces = _NEWNET | _NEWNS | _NEWPID
    try:
        if not needs.may_change_links() or not _is_done(lambda: check(LIBC.unshare(spaces))):
            check(LIBC.unshare(_NEWUSER | spaces))
            _become_root(user, group)
        if not _is_private():
            return scratch()
        _mount("tmpfs", STAGE, "tmpfs", _MS_NOSUID | _MS_NODEV)
    except OSError as error:
        reason = " ".join(filter(None, (error.strerror, error.filename)))
        raise NoNamespacesError(
            f"demo needs namespaces of its own, the kernel refuses ({reason}): {_remedy(user)}"
        ) from error
    return STAGE


def _is_private() -> bool:
    """Keep our mounts to ourselves; in a chroot, whose / is no mount, that can't be."""
    try:
        _mount(None, Path("/"), None, _MS_REC | _MS_PRIVATE)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def _become_root(user: int, group: int) -> None:
    """Map root of the new user namespace to who we are (user_namespaces(7))."""
    # A user without privileges must give up setgroups(2) to map a group.
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(line, "ascii")


def _remedy(user: int) -> str:
    for name, forbids, permits in _SWITCHES:
        if _read(Path("/proc/sys", name)) == forbids:
            setting = f"sudo sysctl -w {name.replace('/', '.')}={permits}"
            return setting if user == 0 else f"run it as root, or {setting}"
    if user == 0:
        return "run it outside of the container, or in a privileged one"
    return "run it as root; in a container, in a privileged one"


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return None


def _is_done(step: Callable[[], None]) -> bool:
    try:
        step()
    except PermissionError:
        return False
    return True


def _mount(source: str | None, target: Path, kind: str | None, flags: int) -> None:
    words = (None if word is None else word.encode() for word in (source, str(target), kind))
    check(LIBC.mount(*words, ctypes.c_ulong(flags), None), str(target))
