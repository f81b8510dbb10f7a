"""Which unit systemd has to restart for kubelet to start anew: its own, or that of what holds it."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from dnsguard.host.files import read_bounded
from dnsguard.host.patterns import SYSTEMD

PLACES = tuple(f"/{place}/system" for place in SYSTEMD)
"""The strongest first."""
K0S = "k0scontroller", "k0sworker"
RKE2 = "rke2-server", "rke2-agent"
UNITS = (
    *("kubelet", "k3s", "k3s-agent", *RKE2, *K0S),
    "snap.microk8s.daemon-kubelite",
)
_CGROUP = re.compile(rb"/([^/\n]+)\.service(?=[/\n]|$)")
_MOST_CGROUPS = 4096


def find_unit(root: Path, pid: int | None = None, likely: Iterable[str] = ()) -> str:
    """Return the unit's name, without ``.service``.

    The process tells by its cgroup, unless its program moves it (k0s, into containerd's);
    else it is one that is installed, those first that are ``likely``.
    """
    own = None if pid is None else _of_process(root / "proc" / str(pid))
    if own is not None:
        return own
    names = (*likely, *UNITS)
    return next((unit for unit in names if _is_installed(root, unit)), names[0])


def _of_process(process: Path) -> str | None:
    """Return what of it systemd calls a kubelet (cgroups(7), both versions)."""
    found = _CGROUP.findall(read_bounded(process / "cgroup", _MOST_CGROUPS) or b"")
    named = [os.fsdecode(one) for one in found]
    renamed = (one for one in named if one.startswith("k3s-"))  # INSTALL_K3S_NAME
    return next((unit for unit in (*UNITS, *renamed) if unit in named), None)


def _is_installed(root: Path, unit: str) -> bool:
    """Tell whether there is such a unit; a masked one, a link to /dev/null, is none."""
    return any((root / place.lstrip("/") / f"{unit}.service").is_file() for place in PLACES)
