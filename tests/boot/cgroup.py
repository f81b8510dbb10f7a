"""Control groups of our own for a node.

systemd-nspawn puts `payload` and `supervisor` below the group that it was started in, and two
nodes in one group would be one tree to both of their systemds. An empty group that can be
removed is also the proof that no process of the node is left.
"""

import os
from contextlib import suppress
from functools import partial
from itertools import permutations
from pathlib import Path
from uuid import uuid4

from boot.waiting import wait_for


class ControlGroup:
    """One group, in every hierarchy where systemd keeps its processes.

    :param has_controllers: in those of cgroup v1's controllers as well, which kubelet divides
        among its pods.
    """

    def __init__(self, *, has_controllers: bool = False) -> None:
        name = f"dnsguard-lab-{uuid4().hex[:12]}"  # no PID: a test may run in a PID namespace
        self._directories = [
            parent / name for parent in _own_groups(has_controllers=has_controllers)
        ]
        for directory in self._directories:
            directory.mkdir()
            _take_over_cpus(directory)

    def enter(self) -> str:
        """Return the shell command by which a process enters."""
        return " && ".join(f"echo $$ > {directory}/cgroup.procs" for directory in self._directories)

    def thaw(self) -> None:
        """Let go of frozen processes: under cgroup v1 a kill waits until they are thawed.

        runc freezes a container for the moment in which it changes it.
        """
        for directory in self._directories:
            for state in directory.rglob("freezer.state"):
                with suppress(OSError):  # it may go this very moment
                    state.write_text("THAWED")

    def close(self) -> None:
        """Remove the group. Raises TimeoutError while a process is still in it."""
        for directory in self._directories:
            wait_for(f"no process in {directory}", partial(_removed, directory), seconds=10)


def _removed(group: Path) -> bool:
    """Remove a group and all below it; an exiting process may hold it for a moment."""
    try:
        for below, _, _ in os.walk(group, topdown=False):
            Path(below).rmdir()
    except OSError:
        return False
    return True


def _take_over_cpus(group: Path) -> None:
    """Give it its parent's CPUs: a cpuset of v1 is made with none, and takes no process then."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (group / name).exists() and (group / "tasks").exists():
            (group / name).write_text((group.parent / name).read_text())


def _own_groups(*, has_controllers: bool) -> list[Path]:
    """Return this process's group in cgroup v2 and, where systemd still uses it, in v1."""
    mounts = dict(_hierarchies(has_controllers=has_controllers))
    groups = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    return [mounts[name] / path.lstrip("/") for _, name, path in groups if name in mounts]


def _hierarchies(*, has_controllers: bool) -> list[tuple[str, Path]]:
    """Return where they are mounted, by the names that /proc/self/cgroup has for them."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            found.append(("", Path(left.split()[4])))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            found.append(("name=systemd", Path(left.split()[4])))
        elif kind == "cgroup" and has_controllers:
            controllers = set(options.split(",")) - {"rw", "ro"}
            found += [(name, Path(left.split()[4])) for name in _spellings(controllers)]
    return found


def _spellings(controllers: set[str]) -> set[str]:
    """Return the ways to list them: a mount of two names them in an order of its own."""
    return {",".join(one) for one in permutations(sorted(controllers))}
