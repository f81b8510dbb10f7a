"""What tests need of a machine, and whether this one has it.

``python3 tests/lab/needs.py NEED...`` prints a line for each that is missing (tests/run asks
before it installs anything, hence the standard library alone). A test calls ``require``: it is
skipped where the need is missing, and fails where nothing may be left out (CI).
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

NEEDS_ALL = "DNSGUARD_NEEDS_ALL"
"""This variable of the environment forbids leaving anything out."""
_NET_ADMIN = 12
"""CAP_NET_ADMIN (linux/capability.h)."""
_PTRACE = "import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0, 0, 0, 0) != 0)"
"""PTRACE_TRACEME: ptrace(2)."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that not every machine gives."""

    about: str
    """What it is, and who has it, in a line."""
    is_met: Callable[[], bool]


def _is_root() -> bool:
    return os.geteuid() == 0


def _has_namespaces() -> bool:
    """Try what the lab does: links of one's own, mounts of one's own."""
    spaces = ("unshare", "--net", "--mount", "--pid", "--fork")
    return may_change_links() and _works(*spaces, "mount", "-t", "tmpfs", "none", "/mnt")


def may_change_links() -> bool:
    """Tell whether we have CAP_NET_ADMIN: root in a container often has all but that."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    effective = next(line for line in lines if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> _NET_ADMIN & 1)


def _has_user_namespaces() -> bool:
    return _works("unshare", "--user", "--map-root-user", "--net", "true")


def _can_boot() -> bool:
    """Tell whether systemd-nspawn can: it wants control groups as well."""
    return _has_namespaces() and os.access("/sys/fs/cgroup", os.W_OK)


def cgroup_trees() -> tuple[Path, ...]:
    """Return where groups are made: version 2, and version 1's for the CPU where that has it."""
    top = Path("/sys/fs/cgroup")
    trees = (top, top / "unified", top / "cpu", top / "cpu,cpuacct")
    marks = ("cgroup.controllers", "cpu.cfs_quota_us", "cpu.stat")
    kept = [tree for tree in trees if any((tree / mark).exists() for mark in marks)]
    return tuple(dict.fromkeys(tree.resolve() for tree in kept))


def _has_cgroups() -> bool:
    has_2 = any((tree / "cgroup.controllers").exists() for tree in cgroup_trees())
    return has_2 and all(os.access(tree, os.W_OK) for tree in cgroup_trees())


def _can_trace() -> bool:
    return _works(sys.executable, "-c", _PTRACE)


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


NEEDS = {
    "root": Need("root (sudo)", _is_root),
    "namespaces": Need(
        "network and mount namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN: no ordinary container)",
        _has_namespaces,
    ),
    "user-namespaces": Need("user namespaces (no ordinary container)", _has_user_namespaces),
    "boot": Need(
        "systemd-nspawn (CAP_SYS_ADMIN and writable control groups: no ordinary container)",
        _can_boot,
    ),
    "cgroups": Need("writable control groups, version 2 (no ordinary container)", _has_cgroups),
    "ptrace": Need("ptrace(2), for strace", _can_trace),
}


@cache
def missing(name: str) -> str | None:
    """Return what this machine lacks, None where it has it."""
    need = NEEDS[name]
    return None if need.is_met() else need.about


def require(*names: str) -> None:
    """Skip the test, or fail it under DNSGUARD_NEEDS_ALL, where this machine lacks something."""
    for name in names:
        if (lacking := missing(name)) is not None:
            leave_out(lacking)


def leave_out(lacking: str) -> NoReturn:
    """Skip the test for want of this, or fail it under DNSGUARD_NEEDS_ALL."""
    import pytest

    if NEEDS_ALL in os.environ:
        pytest.fail(f"needs {lacking}, and nothing may be left out here ({NEEDS_ALL})")
    pytest.skip(f"needs {lacking}")


def main() -> int:
    """Print what is missing; 1 where something is."""
    lacking = [about for name in sys.argv[1:] if (about := missing(name)) is not None]
    print(*lacking, sep="\n", end="\n" if lacking else "")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
