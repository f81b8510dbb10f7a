"""What a file has beside its text: mode, owner and extended attributes."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a file has beside its text."""

    mode: int = 0o644
    uid: int = field(default_factory=os.geteuid)
    gid: int = field(default_factory=os.getegid)
    extended: tuple[tuple[str, bytes], ...] = ()
    """xattr(7), ACLs among them."""

    def give_to(self, descriptor: int) -> tuple[str, ...]:
        """Give them to an open file of ours and return what could not be given."""
        lost = []
        made = os.fstat(descriptor)
        if (made.st_uid, made.st_gid) != (self.uid, self.gid):
            try:
                os.fchown(descriptor, self.uid, self.gid)
            except OSError:  # the sandbox has no CAP_CHOWN
                lost.append(f"owner {self.uid}:{self.gid}")
        # After fchown(2), which takes bits away; whatever the umask says.
        os.fchmod(descriptor, self.mode)
        for name, value in self.extended:
            try:
                os.setxattr(descriptor, name, value)
            except OSError:  # security.* and trusted.* take capabilities
                lost.append(f"xattr {name}")
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != self.mode:  # an ACL brings its own
            os.fchmod(descriptor, self.mode)
        return tuple(lost)


def read_attributes(descriptor: int, *, readable: int = 0) -> Attributes:
    """Return an open file's attributes.

    :param readable: bits of the mode that it gets besides.
    """
    status = os.fstat(descriptor)
    return Attributes(
        mode=status.st_mode & 0o777 | readable,
        uid=status.st_uid,
        gid=status.st_gid,
        extended=tuple(_read_extended(descriptor)),
    )


def _read_extended(descriptor: int) -> Iterator[tuple[str, bytes]]:
    try:
        names = os.listxattr(descriptor)
    except OSError:  # a filesystem without
        return
    for name in names:
        with suppress(OSError):  # gone by now
            yield name, os.getxattr(descriptor, name)
