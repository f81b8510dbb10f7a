"""Who a user id is, by /etc/passwd alone.

The C library (getpwuid(3)) goes on to a directory service for whom it does not find there:
that may need DNS itself, and nothing of ours may wait for it.
"""

import os
from pathlib import Path

from dnsguard.host.files import read_bounded

_MOST = 1 << 18


def find_name(uid: int, root: Path = Path("/")) -> str | None:
    """Return a user's name, None where the node itself knows none."""
    lines = os.fsdecode(read_bounded(root / "etc/passwd", _MOST) or b"").splitlines()
    fields = (line.split(":") for line in lines)
    return next((one[0] for one in fields if one[2:3] == [str(uid)]), None)
