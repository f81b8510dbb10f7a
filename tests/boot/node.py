"""A node: the tree of a machine and, while it has power, its container."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from boot import kubespray, machine
from boot.cgroup import ControlGroup
from boot.container import Container, nspawn, wait_until_up
from boot.machine import KubeletRecord, nameservers
from boot.net import Namespace
from boot.waiting import wait_for

_BOOT_SECONDS = 60
_DPKG_SECONDS = 120


class Plug(Protocol):
    """Where a node gets its eth0."""

    def plug_in(self, node: Namespace) -> None:
        """Give ``node`` its link to the outside."""


class Node:
    """One node of the lab. It is made without power; ``boot`` and ``up`` give it some.

    :param tree: its root, furnished; it is the node's from now on.
    :param arguments: for systemd-nspawn.
    """

    def __init__(
        self, tree: Path, console: Path, plug: Plug, arguments: tuple[str, ...] = ()
    ) -> None:
        self._plug = plug
        self._arguments = arguments
        self._container: Container | None = None
        self.tree = tree
        self.console = console

    # Power

    def boot(self) -> KubeletRecord:
        """Boot until kubelet has started, shut down in order, return what kubelet saw."""
        machine.forget_records(self.tree)
        container = self._power_on(f"systemd.wants={machine.END}")
        self._container = None
        status = container.end()
        assert status == machine.EXIT_STATUS, f"the boot ended with status {status}"
        return machine.read_record(self.tree)

    def up(self) -> KubeletRecord:
        """Boot, stay up, return what kubelet saw."""
        machine.forget_records(self.tree)
        self.power_on()
        return machine.read_record(self.tree)

    def power_on(self, *, seconds: float = _BOOT_SECONDS) -> None:
        """Boot, and stay up."""
        wait_until_up(self._power_on(), seconds=seconds)

    @property
    def is_running(self) -> bool:
        return self._container is not None and self._container.is_running

    def shut_down(self) -> None:
        """End in order, as poweroff(8) does."""
        container = self._running
        self.run("systemctl", "--no-block", "poweroff")
        self._container = None
        status = container.end()
        assert status == 0, f"the node ended with status {status}"

    def cut_power(self) -> None:
        """End every process of the node at once. What was written stays, as on a disk that syncs."""
        container, self._container = self._running, None
        container.kill()

    def close(self) -> None:
        """Take power and tree away, in whatever state the node is."""
        if self._container is not None:
            self.cut_power()
        self._discard()

    # While it runs

    def try_(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the node, as root, however it ends."""
        return self._running.run(*command)

    def inside(self, *command: str) -> list[str]:
        """Return the command of the host's that runs ``command`` in the node."""
        return self._running.inside(*command)

    def spawn(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a program in the node, which ends with what is returned; both its outputs a pipe."""
        return self._running.spawn("setpriv", "--pdeathsig=KILL", *command)

    def run(self, *command: str) -> str:
        """Run a command in the node, as root, and return what it said; it must succeed."""
        done = self.try_(*command)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def property_of(self, unit: str, name: str) -> str:
        """Return one property of a unit, as systemctl(1) show has it."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    def status(self) -> dict[str, Any]:
        """Return `dnsguard status --json`, whatever its exit status; empty while there is none."""
        said = self.try_("dnsguard", "status", "--json").stdout
        answer: dict[str, Any] = json.loads(said or "{}")
        return answer

    def point_kubelet_at(self, resolv_conf: str) -> None:
        """Change kubelet's configuration and have the guard read it now, not within seconds."""
        kubespray.point_kubelet_at(self.tree, resolv_conf)
        self.run("systemctl", "kill", "--signal=HUP", "--kill-whom=main", "dnsguard.service")

    @contextmanager
    def nodelocaldns(self) -> Iterator[None]:
        """Run the stand-in for NodeLocalDNS, as its pod would; afterwards it and its link are gone."""
        self.run("systemctl", "start", machine.NODELOCALDNS)
        try:
            yield
        finally:
            self.run("systemctl", "stop", machine.NODELOCALDNS)
            self.run("ip", "link", "delete", "nodelocaldns")
            self.wait_for_mode("guarding")

    def wait_for_mode(self, mode: str, *, seconds: float = 20) -> None:
        wait_for(f"mode {mode}", lambda: self.status().get("mode") == mode, seconds=seconds)

    # With and without power

    def resolv_conf(self) -> str:
        return (self.tree / "etc/resolv.conf").read_text()

    def nameservers(self) -> list[str]:
        return nameservers(self.resolv_conf())

    def install(self, deb: Path) -> None:
        """Install the package into the tree without power, as images are built: no systemd, no net."""
        group = ControlGroup()  # its removal proves that no maintainer script left a process
        arguments = (f"--bind-ro={deb}:/{deb.name}", "--as-pid2")
        done = subprocess.run(
            [*nspawn(self.tree, group, *arguments), "dpkg", "--install", f"/{deb.name}"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DPKG_SECONDS,
        )
        group.close()
        (self.tree / deb.name).unlink()  # nspawn's mount point
        assert done.returncode == 0, done.stdout

    def account(self) -> str:
        """Return what is known of this node's boots, for people: console and journal."""
        console = self.console.read_text(errors="replace") if self.console.exists() else ""
        journal = subprocess.run(
            [
                *("journalctl", f"--directory={self.tree}/var/log/journal"),
                *("--no-pager", "--output=short-monotonic", "--lines=400"),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        return f"console:\n{console[-6000:]}\njournal:\n{journal.stdout[-20000:]}"

    @property
    def _running(self) -> Container:
        assert self._container is not None, "the node has no power"
        return self._container

    def _power_on(self, *init: str) -> Container:
        assert self._container is None, "the node has power already"
        network = Namespace()
        self._plug.plug_in(network)
        self._container = Container(self.tree, self.console, network, *self._arguments, *init)
        return self._container

    def _discard(self) -> None:
        shutil.rmtree(self.tree)
