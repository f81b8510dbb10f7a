"""One boot of a tree: systemd-nspawn with a network namespace and control groups of its own."""

import os
import signal
import subprocess
from pathlib import Path

from boot.cgroup import ControlGroup
from boot.net import Namespace
from boot.waiting import wait_for

_END_SECONDS = 60
_COMMAND_SECONDS = 60


class Container:
    """A running tree. Its namespaces are new with every boot: a reboot forgets links and routes."""

    def __init__(self, tree: Path, console: Path, network: Namespace, *init: str) -> None:
        self._network = network
        self._group = ControlGroup()
        self._init = 0
        arguments = [
            "--capability=CAP_NET_ADMIN",  # or dhclient can't raise its link
            f"--network-namespace-path={_NETWORK}",
            "--boot",
            *init,
        ]
        with console.open("ab") as output:
            self._nspawn = subprocess.Popen(
                [*_PID1_OF_ITS_OWN, *nspawn(tree, self._group, *arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def is_running(self) -> bool:
        return self._nspawn.poll() is None

    @property
    def init(self) -> int:
        """The container's PID 1 as the host numbers it; 0 while there is none."""
        if not self._init:
            children = _children(self._nspawn.pid)
            self._init = next((pid for pid in children if _number_inside(pid) == 1), 0)
        return self._init

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root, and return how it ended."""
        kinds = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        return subprocess.run(
            ["nsenter", f"--target={self.init}", *kinds, "--", *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )

    def power_off(self) -> int:
        """Ask systemd to shut down in order, by its SIGRTMIN+4; return nspawn's exit status."""
        os.kill(self.init, signal.SIGRTMIN + 4)
        return self.end()

    def kill(self) -> None:
        """Kill every process at once: the kernel does that when a PID 1 is killed."""
        if self.is_running:
            os.kill(self.init or self._nspawn.pid, signal.SIGKILL)
        self.end()

    def end(self) -> int:
        """Wait for the end and clear away what is left; return nspawn's exit status."""
        try:
            return self._nspawn.wait(timeout=_END_SECONDS)
        finally:
            if self.is_running:
                os.kill(self.init or self._nspawn.pid, signal.SIGKILL)
                self._nspawn.wait()
            self._network.close()
            self._group.close()


def nspawn(tree: Path, group: ControlGroup, *arguments: str) -> list[str]:
    """Return the command that runs ``tree``, touching nothing else of this machine."""
    # The host's /run is hidden under a tmpfs that only nspawn sees: nspawn keeps files there, and
    # on a host that was not booted by systemd, /run is part of the root file system.
    prepare = f'{group.enter()} && mount -t tmpfs tmpfs /run && exec "$@"'
    return [
        *("setpriv", "--pdeathsig=KILL"),  # a killed test takes its node with it
        *("unshare", "--mount", "--propagation=private", "sh", "-c", prepare, "sh"),
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--machine=node1",
        f"--directory={tree}",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        *arguments,
    ]


def wait_until_up(container: Container, *, seconds: float) -> None:
    """Return when systemd has run all its start jobs."""

    def is_up() -> bool:
        if not container.is_running:
            raise ChildProcessError("the container ended during the boot")
        if not container.init:
            return False
        state = container.run("systemctl", "is-system-running", "--wait").stdout.strip()
        return state in ("running", "degraded")

    wait_for("systemd has run all start jobs", is_up, seconds=seconds)


def _children(parent: int) -> list[int]:
    """Return a process's children; not every kernel has /proc/PID/task/PID/children."""
    pids = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return [pid for pid in pids if _status(pid).get("PPid") == str(parent)]


def _number_inside(pid: int) -> int:
    """Return a process's number in its own, innermost PID namespace; 0 where it is gone."""
    return int(_status(pid).get("NSpid", "0").split()[-1])


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key: value.strip() for key, _, value in pairs}
