"""Which process is the node's kubelet, or has it inside.

systemd's is known by its cgroup. Any other has to be searched for among all processes, of
which a user may have thousands: in slices, and root's alone.
"""

import math
import time
from collections.abc import Iterable
from pathlib import Path

from dnsguard.core import embedded
from dnsguard.core.embedded import DISTRIBUTIONS, Distribution
from dnsguard.host import processes, trust
from dnsguard.host.files import read_bounded
from dnsguard.host.processes import Process, Search

UNIT = "kubelet.service"
SEARCH_EVERY = 30.0
"""Seconds from one search to the next, while none is known."""
_CGROUPS = ("sys/fs/cgroup", "sys/fs/cgroup/systemd")
"""cgroup v2 and v1."""
_NAMES = frozenset({"kubelet"})
_ANY = _NAMES | embedded.PROGRAMS
_MOST_PIDS = 1 << 16


class Finder:
    """Finds the process again and again; the known one costs one small read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: Process | None = None
        self._search: Search | None = None
        self._searched: float | None = None
        """When the last search came to its end."""
        self._is_lost = True
        """Whether the next search is due at once."""

    @property
    def has_searched(self) -> bool:
        """Tell whether all processes have been looked at once, or need not be."""
        return self._searched is not None

    @property
    def is_due(self) -> bool:
        """Tell whether a search has more to do, or is to be begun."""
        if self._known is not None or self._searched is None:
            return self._searched is None
        is_over = time.monotonic() - self._searched >= SEARCH_EVERY
        return self._search is not None or self._is_lost or is_over

    def find(self) -> Process | None:
        """Return the process that is known, None where none is."""
        proc, known = self._root / "proc", self._known
        if known is not None and processes.started(proc, known.pid) == known.ticks:
            return known
        self._is_lost = self._is_lost or known is not None
        self._known = self._of_systemd(proc)
        return self._known

    def search(self, seconds: float = math.inf) -> bool:
        """Search the processes for a kubelet that is not systemd's, for about so long.

        :returns: whether there is more to search. Nothing is done while one is known, nor
            soon after the last search.
        """
        if self.find() is not None:
            self._search, self._searched = None, time.monotonic()
            return False
        if self._search is None:
            if not self.is_due:
                return False
            self._search, self._is_lost = Search(self._root / "proc", _ANY), False
        if self._search.go_on(seconds):
            return True
        self._known = _first(self._root / "proc", self._search.found)
        self._search, self._searched = None, time.monotonic()
        return False

    def _of_systemd(self, proc: Path) -> Process | None:
        for place in _CGROUPS:
            group = self._root / place / "system.slice" / UNIT / "cgroup.procs"
            for pid in (read_bounded(group, _MOST_PIDS) or b"").split():
                found = processes.process(proc, int(pid))
                if found and found.arguments[0].rpartition("/")[2] in _NAMES:
                    return found
        return None


def _first(proc: Path, found: Iterable[Process]) -> Process | None:
    """Return the node's kubelet: one of its own name rather than another program."""
    theirs = [one for one in found if _is_the_nodes(proc, one)]
    theirs.sort(key=lambda one: (distribution_of(one) is not None, one.pid))
    return theirs[0] if theirs else None


def _is_the_nodes(proc: Path, process: Process) -> bool:
    """Tell it from a pod's, and from what anybody may call ``kubelet``."""
    is_pods = process.is_nested or trust.pod_of(proc / str(process.pid)) is not None
    its = distribution_of(process)
    is_other = its is not None and not embedded.has_kubelet(process.arguments)
    return process.uid == 0 and not is_pods and not is_other


def distribution_of(process: Process) -> Distribution | None:
    """Return what the process is with a kubelet in it; None for a kubelet."""
    called = {process.arguments[0].rpartition("/")[2], process.name}
    if called & _NAMES:
        return None
    return next((one for one in DISTRIBUTIONS if called & one.programs), None)
