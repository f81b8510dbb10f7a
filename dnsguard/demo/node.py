"""The node of the story: its files below one root, the real daemon, the nameservers."""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

from dnsguard import client
from dnsguard.demo import nameserver
from dnsguard.demo.setting import Setting
from dnsguard.errors import DnsguardError, NoDaemonError
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.paths import Paths

POISONED = """\
domain cluster.local
search cluster.local default.svc.cluster.local. svc.cluster.local.
nameserver {nodelocal}
"""
"""What dhclient writes at a boot after Kubespray (FACTS.md)."""
BACKUP = "etc/resolv.conf.4711.2024-05-02@10:11:12~"
"""The copy that Kubespray left beside the file: the one place that knows the upstream."""
KUBELET = "etc/kubernetes/kubelet-config.yaml"
_WORLD_FILE = "etc/resolv.conf.world"
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


class Node:
    """``with node(root) as ...`` is how to get one; its processes end with it."""

    def __init__(self, root: Path, setting: Setting) -> None:
        self.paths = Paths(root)
        self._setting = setting
        self._poison = POISONED.format(nodelocal=setting.nodelocal)
        self._log = root / "log"
        self._log.touch()
        self._told = 0
        self._processes: list[subprocess.Popen[str]] = []
        self._daemon: subprocess.Popen[str] | None = None
        for name in _DIRECTORIES:
            (root / name).mkdir(parents=True)
        for name, content in self._files():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content, "ascii")

    def _files(self) -> Iterator[tuple[str, str]]:
        setting = self._setting
        yield "etc/resolv.conf", self._poison
        yield BACKUP, f"search example.net\nnameserver {setting.upstream}\n"
        if setting.is_private:
            yield KUBELET, 'resolvConf: "/var/lib/dnsguard/resolv.conf"\n'
        else:
            # A loopback address is nobody in a pod: no file for pods, so no kubelet.
            yield _WORLD_FILE, f"nameserver {setting.upstream}\n"
            yield "etc/dnsguard/dnsguard.toml", setting.config

    @property
    def _forwards_by(self) -> Path:
        """The resolv.conf that NodeLocalDNS has inherited."""
        is_private = self._setting.is_private
        return self.paths.pod_file if is_private else self.paths.root / _WORLD_FILE

    def start_daemon(self) -> None:
        """Start the daemon as its unit does; it isn't waited for."""
        self._daemon = self._start("dnsguard", "--root", str(self.paths.root), "run")

    def kill_daemon(self) -> None:
        """Kill it with -9."""
        if self._daemon is not None:
            self._end(self._daemon)
            self._daemon = None

    def secure(self) -> None:
        """Do what systemd does after the daemon has ended, however it ended: ExecStopPost."""
        process = self._start("dnsguard", "--root", str(self.paths.root), "secure")
        self.until(lambda: process.poll() is not None, "dnsguard secure to end")

    def start_upstream(self) -> None:
        self._start_nameserver(self._setting.upstream)

    def start_nodelocal(self) -> Callable[[], None]:
        """Start NodeLocalDNS and return how to kill it with -9; its address must be bound."""
        process = self._start_nameserver(self._setting.nodelocal, str(self._forwards_by))
        return lambda: self._end(process)

    def poison(self) -> None:
        """Write as dhclient-script does: over the file, in place."""
        self.paths.resolv_conf.write_text(self._poison, "ascii")

    def servers(self) -> tuple[IPAddress, ...]:
        """Return the nameservers that resolv.conf names at this moment."""
        found = resolvconf.nameservers(self.paths.resolv_conf.read_bytes())
        return tuple(server.address for server in found if server.glibc)

    def status(self) -> dict[str, object]:
        """Ask the daemon, as ``dnsguard status --json`` does; empty while it isn't there."""
        try:
            return client.ask(self.paths.socket, "status")
        except NoDaemonError:
            return {}

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
        lines = self.log()[self._told :]
        self._told += len(lines)
        return lines

    def log(self) -> list[str]:
        """Return the whole log. Its paths are those on a node."""
        text = self._log.read_text("utf-8", "replace").replace(str(self.paths.root), "")
        return [_LOG_LINE.sub("", line) for line in text.splitlines()]

    def close(self) -> None:
        """End all processes and wait for them."""
        for process in self._processes:
            self._end(process)

    def _start_nameserver(self, address: IPv4Address, *files: str) -> "subprocess.Popen[str]":
        process = self._start(nameserver.__name__, str(address), *files, stdout=subprocess.PIPE)
        is_ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        if not is_ready or process.stdout is None or not process.stdout.readline():
            raise UnexpectedError(f"demo: expected a nameserver on {address}; it did not start")
        return process

    def _start(
        self, module: str, *arguments: str, stdout: int = subprocess.DEVNULL
    ) -> "subprocess.Popen[str]":
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                text=True,
                cwd=self.paths.root,
                env=_environment(),
                process_group=0,  # Ctrl-C is for the story, which then ends them
            )
        self._processes.append(process)
        return process

    @property
    def _prefix(self) -> tuple[str, ...]:
        """In namespaces all processes end with their init; elsewhere with this process."""
        return () if self._setting.is_private else ("setpriv", "--pdeathsig=KILL")

    def _end(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def node(root: Path, setting: Setting) -> Iterator[Node]:
    """Set the node up; at the end nothing of it runs any more.

    The first process is the init of the process id namespace. It reads from a pipe, and so
    ends when this process does, however that ends; the kernel then kills all the others.
    """
    inner, outer = os.pipe()
    init = subprocess.Popen(["cat"], stdin=inner, stdout=subprocess.DEVNULL, process_group=0)
    os.close(inner)
    made = Node(root, setting)
    try:
        yield made
    finally:
        made.close()
        os.close(outer)
        # Without end only if Ctrl-C came in the middle of a start: a process that nobody
        # waits for keeps init from ending until this one has gone (pid_namespaces(7)).
        with suppress(subprocess.TimeoutExpired):
            init.wait(PATIENCE)


def _environment() -> dict[str, str]:
    """Return the same modules from the same places, and nothing of systemd's.

    With NOTIFY_SOCKET the daemon would talk to the service manager of the real machine.
    """
    places = [str(Path(place).resolve()) for place in sys.path]
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(places),
    }
