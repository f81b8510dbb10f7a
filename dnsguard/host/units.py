"""Whether a unit of systemd's is started at boot, as its files say; nobody is asked."""

import os
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from dnsguard.host.patterns import SYSTEMD


class State(StrEnum):
    """What systemctl(1) is-enabled says, as far as a boot is concerned."""

    ENABLED = "enabled"
    DISABLED = "disabled"  # nothing pulls it in
    MASKED = "masked"  # a link to /dev/null, or empty
    ABSENT = "not installed"


def find_state(root: Path, unit: str) -> State:
    """Return whether a unit is started at boot. Never raises OSError."""
    directories = [root / one / "system" for one in SYSTEMD]
    found = [one / unit for one in directories if os.path.lexists(one / unit)]
    if found and _is_masked(found[0]):
        return State.MASKED
    if any(_pulls_in(one, unit) for one in directories):
        return State.ENABLED
    return State.DISABLED if found else State.ABSENT


def _is_masked(path: Path) -> bool:
    with suppress(OSError):
        if path.is_symlink():
            return path.readlink() == Path("/dev/null")
        return path.stat().st_size == 0
    return False


def _pulls_in(directory: Path, unit: str) -> bool:
    with suppress(OSError):
        wanting = [*directory.glob("*.wants"), *directory.glob("*.requires")]
        return any(os.path.lexists(one / unit) for one in wanting)
    return False
