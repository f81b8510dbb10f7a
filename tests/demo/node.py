"""The node of the story: the lab's, with the files of its setting, and the world around it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from lab import guard
from lab.nameserver import Nameserver, nameserver, nodelocal
from lab.netns import HERE

import dnsguard
from demo.setting import Setting
from dnsguard import client
from dnsguard.errors import DnsguardError, NoDaemonError
from dnsguard.paths import Paths

BACKUP = "etc/resolv.conf.4711.2024-05-02@10:11:12~"
"""The copy that Kubespray left beside the file: the one place that knows the upstream."""
SERVICE, WORLD = "10.233.0.1", "198.51.100.7"
"""The A record of every name inside, and of every name outside of the cluster."""
_KUBELET = "etc/kubernetes/kubelet-config.yaml"
_WORLD_FILE = "etc/resolv.conf.world"
_CODE = "usr/lib/python3/dist-packages"
_DIRECTORIES = ("etc/dhcp", "run", "var/lib/dhcp")

PATIENCE = 5.0
"""Seconds that everything but a dead NodeLocalDNS may take."""
_TIGHT, _TIGHT_PAUSE, _PAUSE = 0.1, 50e-6, 0.002
"""Seconds that a condition is tried tightly, the pauses of that time, and those later.

Without any pause the reader would keep the daemon from working where there is one CPU.
"""
_LOG_LINE = re.compile(r"^\S+Z \w+ +")
"""The time and the level, which the story has no use for."""


class UnexpectedError(DnsguardError):
    """Raised when something was not so in time; the story ends with the daemon's log."""


class Node(guard.Node):
    """``with node(root, setting) as ...`` is how to get one; its processes end with it."""

    def __init__(self, root: Path, setting: Setting, processes: ExitStack) -> None:
        super().__init__(root, HERE, knows=False, code=root / _CODE)
        self.paths = Paths(root)
        self._setting = setting
        self._poison = guard.POISON.replace(guard.NODELOCAL.encode(), setting.nodelocal.encode())
        self._processes = processes
        self._daemon: subprocess.Popen[bytes] | None = None
        self._told = 0
        self.log.touch()
        for name in _DIRECTORIES:
            (root / name).mkdir(parents=True)
        for name, content in self._files():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        self._compiler = self._install()

    def _files(self) -> Iterator[tuple[str, bytes]]:
        named = f"nameserver {self._setting.upstream}\n".encode()
        yield "etc/resolv.conf", self._poison
        yield BACKUP, b"search example.net\n" + named
        if self._setting.is_private:
            yield _KUBELET, b'resolvConf: "/var/lib/dnsguard/resolv.conf"\n'
        else:
            # A loopback address is nobody in a pod: no file for pods, so no kubelet.
            yield _WORLD_FILE, named
            yield "etc/dnsguard/dnsguard.toml", self._setting.config.encode()

    def _install(self) -> "subprocess.Popen[bytes]":
        """Start to compile a copy, as the package has it: the tree is only read."""
        code = self.root / _CODE
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(dnsguard.__file__).parent, code / "dnsguard", ignore=ignore)
        command = [sys.executable, "-m", "compileall", "-q", str(code)]
        return self._keep(subprocess.Popen(command, start_new_session=True))

    def command(self, *arguments: str) -> list[str]:
        """In namespaces all processes end with their init; elsewhere with this process."""
        prefix = () if self._setting.is_private else ("setpriv", "--pdeathsig=KILL")
        return [*prefix, *super().command(*arguments)]

    def start_daemon(self) -> None:
        """Start the daemon as its unit does; it isn't waited for."""
        self._daemon = self._keep(self.start("run"))

    def kill_daemon(self) -> None:
        """Kill it with -9."""
        if self._daemon is not None:
            _end(self._daemon)
            self._daemon = None

    def secure(self) -> None:
        """Do what systemd does after the daemon has ended, however it ended: ExecStopPost."""
        process = self._keep(self.start("secure"))
        self.until(lambda: process.poll() is not None, "dnsguard secure to end")

    def start_upstream(self) -> None:
        self._begin(nameserver(HERE, self._setting.upstream, says=WORLD))

    def start_nodelocal(self) -> Callable[[], None]:
        """Start NodeLocalDNS and return how to kill it with -9; its address must be bound."""
        is_private = self._setting.is_private
        inherited = self.paths.pod_file if is_private else self.root / _WORLD_FILE
        address = self._setting.nodelocal
        return self._begin(nodelocal(HERE, address, says=SERVICE, resolv_conf=inherited))

    def poison(self) -> None:
        """Write as dhclient-script does: over the file, in place."""
        self.file.write_bytes(self._poison)

    def status(self) -> dict[str, object]:
        """Ask the daemon, as ``dnsguard status --json`` does; empty while it isn't there."""
        try:
            return client.ask(self.paths.socket, "status")
        except NoDaemonError:
            return {}

    def is_installed(self) -> bool:
        return self._compiler.poll() is not None

    def until(
        self, condition: Callable[[], bool], expected: str, *, within: float = PATIENCE
    ) -> float:
        """Wait until this is so, and return when it was (CLOCK_MONOTONIC).

        :raises UnexpectedError: it was not so in time, or the daemon has ended.
        """
        started = time.monotonic()
        while not condition():
            waited = time.monotonic() - started
            if self._daemon is not None and self._daemon.poll() is not None:
                ended = f"the daemon ended with {self._daemon.returncode}"
                raise UnexpectedError(f"demo: expected {expected}, but {ended}")
            if waited > within:
                raise UnexpectedError(f"demo: expected {expected}; not so after {within:g} s")
            time.sleep(_TIGHT_PAUSE if waited < _TIGHT else _PAUSE)
        return time.monotonic()

    def told(self) -> list[str]:
        """Return what the log says since the last call."""
        self.status()  # It answers between two looks: the log of the last one is complete.
        lines = self.log_lines()[self._told :]
        self._told += len(lines)
        return lines

    def log_lines(self) -> list[str]:
        """Return the whole log. Its paths are those on a node."""
        text = self.log.read_text("utf-8", "replace").replace(str(self.root), "")
        return [_LOG_LINE.sub("", line) for line in text.splitlines()]

    def _keep(self, process: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
        self._processes.callback(_end, process)
        return process

    def _begin(self, server: AbstractContextManager[Nameserver]) -> Callable[[], None]:
        """Start it; return how to kill it."""
        one = self._processes.enter_context(ExitStack())
        try:
            one.enter_context(server)
        except RuntimeError as error:
            raise UnexpectedError(f"demo: expected a nameserver to start; {error}") from error
        return one.close


@contextmanager
def node(root: Path, setting: Setting) -> Iterator[Node]:
    """Set the node up; at the end nothing of it runs any more.

    The first process is the init of the process id namespace. It reads from a pipe, and so
    ends when this process does, however that ends; the kernel then kills all the others.
    """
    inner, outer = os.pipe()
    init = subprocess.Popen(["cat"], stdin=inner, stdout=subprocess.DEVNULL, process_group=0)
    os.close(inner)
    try:
        with ExitStack() as processes:
            yield Node(root, setting, processes)
    finally:
        os.close(outer)
        # Without end only if Ctrl-C came in the middle of a start: a process that nobody
        # waits for keeps init from ending until this one has gone (pid_namespaces(7)).
        with suppress(subprocess.TimeoutExpired):
            init.wait(PATIENCE)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
