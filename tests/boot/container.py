"""One boot of a tree: systemd-nspawn with a network namespace and control groups of its own."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType

from boot.cgroup import ControlGroup
from boot.net import Namespace
from boot.waiting import wait_for

_NETWORK = "/run/network"
_END_SECONDS = 60
_COMMAND_SECONDS = 60
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}
"""Root's on Debian."""


class Container:
    """A running tree. Its namespaces are new with every boot: a reboot forgets links and routes.

    :param group: where it runs; it is removed with the container.
    :param environment: more of it for nspawn.
    """

    def __init__(
        self,
        tree: Path,
        console: Path,
        network: Namespace,
        *arguments: str,
        group: ControlGroup | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._network = network
        self._group = group or ControlGroup()
        self._init = 0
        # An argument without a dash is init's.
        options = [argument for argument in arguments if argument.startswith("-")]
        init = [argument for argument in arguments if not argument.startswith("-")]
        # Without the capability dhclient can't raise its link.
        given = ["--capability=CAP_NET_ADMIN", "--boot", *options, *init]
        with console.open("ab") as output:
            self._nspawn = subprocess.Popen(
                nspawn(tree, self._group, *given, network=network),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # ^C is for the test, which then cleans up
                # Its own network's sysctls are a node's own: dhcpcd 10 ends where it has none.
                env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network", **environment},
            )

    @property
    def is_running(self) -> bool:
        return self._nspawn.poll() is None

    @property
    def init(self) -> int:
        """The container's PID 1 as the host numbers it; 0 while there is none."""
        if not self._init:
            # unshare(1) is what we started; nspawn is PID 1 below it, and this below nspawn.
            nspawns = _first_processes_below(self._nspawn.pid)
            inits = [pid for parent in nspawns for pid in _first_processes_below(parent)]
            self._init = inits[0] if inits else 0
        return self._init

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root, and return how it ended."""
        return subprocess.run(
            self.inside(*command),
            check=False,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            stdin=subprocess.DEVNULL,
            env=_ENVIRONMENT,
        )

    def spawn(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a command inside, as root, with both its outputs in one pipe."""
        return subprocess.Popen(
            self.inside(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_ENVIRONMENT,
            process_group=0,
        )

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs ``command`` in here."""
        kinds = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        return ["nsenter", f"--target={self.init}", *kinds, "--", *command]

    def kill(self) -> None:
        """Kill every process at once: the kernel does that when a PID 1 is killed."""
        self._strike()
        self.end()

    def end(self) -> int:
        """Wait for the end and clear away what is left; return nspawn's exit status."""
        try:
            return self._nspawn.wait(timeout=_END_SECONDS)
        finally:
            self._strike()
            self._nspawn.wait()
            with ExitStack() as stack:  # the one even where the other fails
                stack.callback(self._group.close)
                stack.callback(self._network.close)

    def _strike(self) -> None:
        if self.is_running:
            with suppress(ProcessLookupError):  # it may end by itself this very moment
                os.kill(self.init or self._nspawn.pid, signal.SIGKILL)
            self._group.thaw()


def nspawn(
    tree: Path, group: ControlGroup, *arguments: str, network: Namespace | None = None
) -> list[str]:
    """Return the command that runs ``tree``, touching nothing else of this machine.

    A killed test takes the node with it: unshare(1) dies with the test, and with it the PID
    namespace around nspawn. (A killed nspawn alone would leave its container running.)
    """
    prepare = _prepare(group, network)
    return [
        *("setpriv", "--pdeathsig=KILL"),
        *("unshare", "--mount", "--propagation=private", "sh", "-c", prepare, "sh"),
        *("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--machine=node1",
        f"--directory={tree}",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        f"--network-namespace-path={_NETWORK}" if network else "--private-network",
        *arguments,
    ]


def _prepare(group: ControlGroup, network: Namespace | None) -> str:
    """Return the shell script that makes a place for nspawn, then runs it.

    The host's /run is hidden under a tmpfs that only nspawn sees: nspawn keeps files there, and
    on a host that was not booted by systemd, /run is part of the root file system.
    """
    steps = [group.enter(), "mount -t tmpfs tmpfs /run"]
    if network:  # a /proc of the host's is no longer there when nspawn looks
        steps += [f"touch {_NETWORK}", f"mount --bind {network.path} {_NETWORK}"]
    return " && ".join([*steps, 'exec "$@"'])


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


def _first_processes_below(parent: int) -> list[int]:
    """Return the children of a process that are PID 1 of a namespace of their own."""
    pids = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    found = {pid: status for pid in pids if (status := _status(pid)).get("PPid") == str(parent)}
    return [pid for pid, status in found.items() if status["NSpid"].split()[-1] == "1"]


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key: value.strip() for key, _, value in pairs}
