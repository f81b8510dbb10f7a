"""A control group of a server's own, as its container would have one (cgroups(7)).

Version 2 tells who a socket's owner is, and Debian has it alone. Where it stands beside
version 1 (``/sys/fs/cgroup/unified``), that one has the CPU.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab import needs
from lab.wait import until

_PERIOD = 100_000
"""Microseconds: the kernel's default, and Kubernetes'."""


@dataclass(frozen=True, slots=True)
class Container:
    """The groups that a server enters at its start; none where this machine gives none."""

    groups: tuple[Path, ...] = ()

    def enter(self) -> list[str]:
        """Return a command that enters it, to be followed by the one that is run in it."""
        if not self.groups:
            return []
        steps = "; ".join(f"echo $$ >{group}/cgroup.procs" for group in self.groups)
        return ["sh", "-c", f'{steps}; exec "$0" "$@"']

    def limit(self, cores: float | None) -> None:
        """Give it this share of a core, as ``limits.cpu`` does; None: all there is."""
        quota = None if cores is None else int(cores * _PERIOD)
        for group in self.groups:
            if (group / "cpu.max").exists():
                (group / "cpu.max").write_text("max" if quota is None else f"{quota} {_PERIOD}")
            if (group / "cpu.cfs_quota_us").exists():
                (group / "cpu.cfs_quota_us").write_text(str(quota or -1))

    def read_throttled(self) -> int:
        """Return for how many of its periods it had used up its share."""
        for group in self.groups:
            with suppress(OSError):
                words = (group / "cpu.stat").read_text().split()
                if "nr_throttled" in words:
                    return int(words[words.index("nr_throttled") + 1])
        return 0


NO_CONTAINER = Container()


@contextmanager
def container() -> Iterator[Container]:
    """Make its groups; who is in them has to be dead in the end."""
    trees = needs.cgroup_trees() if needs.missing("cgroups") is None else ()
    groups = [Path(tempfile.mkdtemp(prefix="dnsguard-test-", dir=tree)) for tree in trees]
    try:
        yield Container(tuple(groups))
    finally:
        for group in groups:
            until(partial(_is_removed, group), within=10.0)


def _is_removed(group: Path) -> bool:
    """Remove it, once the kernel has seen its last process out."""
    with suppress(OSError):
        os.rmdir(group)  # noqa: PTH106 -- with the kernel's files in it
    return not group.exists()
