"""An ordinary container: what Docker gives by default, made with systemd-nspawn.

A fresh Debian 12 with nothing added, the machine's own network, root with Docker's default
capabilities, and no namespace or mount of its own.
"""

import os
import shutil
import subprocess
from pathlib import Path

from boot import tree

_ROOT = Path(__file__).parents[2]

_DROPPED = (
    # What systemd-nspawn gives and Docker does not.
    "CAP_AUDIT_CONTROL",
    "CAP_DAC_READ_SEARCH",
    "CAP_IPC_OWNER",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_ADMIN",
    "CAP_NET_BROADCAST",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TTY_CONFIG",
)
_REFUSED = (
    # Not @mount: chroot(2) is in it, which Docker allows.
    "fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root setns"
    " umount umount2 unshare"
)
_SCRIPT = 'mount -t tmpfs tmpfs /run && exec "$@"'
"""nspawn keeps files there, and the host's are not to be touched."""


class Box:
    """A tree, and commands in it."""

    def __init__(self, directory: Path) -> None:
        self.tree = directory / "box"
        tree.make_minimal(self.tree)
        # Not tests/run's "boot" file: names are looked up as on this machine.
        (self.tree / "etc/resolv.conf").write_bytes(Path("/etc/resolv.conf").read_bytes())
        self._copy_the_sources()

    def run(self, *command: str, timeout: float) -> "subprocess.CompletedProcess[str]":
        """Run a command in the sources' directory, as root, and return how it ended."""
        return subprocess.run(
            [*self._enter(), *command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            env={"PATH": os.environ["PATH"]},
        )

    def selections(self) -> set[str]:
        """Return the packages that dpkg has installed."""
        told = self.run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", timeout=60)
        return {line.split()[0] for line in told.stdout.splitlines() if " installed" in line}

    def close(self) -> None:
        shutil.rmtree(self.tree)

    def _copy_the_sources(self) -> None:
        ignore = shutil.ignore_patterns(".git", "__pycache__", ".*_cache")
        shutil.copytree(_ROOT, self.tree / "root/dnsguard", ignore=ignore)

    def _enter(self) -> list[str]:
        return [
            *("setpriv", "--pdeathsig=KILL"),
            *("unshare", "--mount", "--propagation=private", "sh", "-c", _SCRIPT, "sh"),
            *("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--machine=box",
            f"--directory={self.tree}",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--pipe",
            "--as-pid2",
            f"--drop-capability={','.join(_DROPPED)}",
            f"--system-call-filter=~{_REFUSED}",
            "--chdir=/root/dnsguard",
        ]
