"""A node of a set-up, from its tree to what its programs get."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from boot.kubespray import NODE_LOCAL
from boot.machine import nameservers
from boot.node import Node
from boot.waiting import wait_for

from managers import asking, coredns, machine
from managers.asking import Answer, Way
from managers.outside import Outside
from managers.overlay import Overlay
from managers.setup import Setup

_BOOT_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What kubelet met when it started: as soon as systemd calls the network online."""

    pod_resolv_conf: str
    answers: dict[Way, Answer]


class ManagedNode(Node):
    """One node: without power at first, healthy and without dnsguard."""

    def __init__(self, setup: Setup, overlay: Overlay, console: Path, outside: Outside) -> None:
        super().__init__(overlay.tree, console, outside)
        self.setup = setup
        self.outside = outside
        self._overlay = overlay
        machine.furnish(self.tree, setup)

    def poison(self) -> None:
        """Have been Kubespray's: the next boot is the incident's."""
        machine.write(self.tree, self.setup.poison)

    def reboot_poisoned(self) -> None:
        """Boot once and shut down, unguarded: what clients and managers keep is poisoned, too."""
        self.start_unasked()
        self.shut_down()

    def start_unasked(self) -> None:
        """Boot and ask nobody: that all ways are dead is the control's to tell, and takes time."""
        ways = self._records / "ways"
        kept = ways.read_text()
        ways.write_text("")
        self.power_on(seconds=_BOOT_SECONDS)
        ways.write_text(kept)

    # Power

    def start(self) -> Start:
        """Boot, stay up, return what kubelet met."""
        name = asking.new_name()
        (self._records / "name").write_text(name)
        self.power_on(seconds=_BOOT_SECONDS)
        return self._read_start(name)

    # Asking

    def ask(self, ways: Iterable[Way] | None = None) -> dict[Way, Answer]:
        """Ask for names outside the cluster in all ways that the node has."""
        return asking.ask_all(self, self.setup.ways if ways is None else ways)

    def ask_cluster(self, ways: Iterable[Way] | None = None) -> dict[Way, Answer]:
        """Ask for names of the cluster."""
        chosen = self.setup.ways if ways is None else ways
        return asking.ask_all(self, chosen, zone=asking.CLUSTER_ZONE)

    # What pods get

    def pods_file(self) -> str:
        """Return the file that kubelet gives to pods, as it is now; empty where it is missing."""
        path = (self._records / "pods-file").read_text().strip()
        return self.try_("cat", path).stdout

    def give_pods(self, path: str) -> None:
        """Change kubelet's resolvConf and have the guard, if there is one, read it now."""
        (self._records / "pods-file").write_text(path)
        self.point_kubelet_at(path)

    def restart_coredns(self, resolv_conf: str, times: int) -> "coredns.Starts":
        """Restart a CoreDNS with this file; on NodeLocalDNS's address, which has to be free."""
        return coredns.restart(self, resolv_conf, times)

    def reread(self, path: str) -> str:
        """Return a file of the running node, /run included."""
        return self.try_("cat", path).stdout

    def named_by(self, path: str) -> list[str]:
        """Return the nameservers in a file of the running node."""
        return nameservers(self.reread(path))

    # NodeLocalDNS

    def bind_node_local(self) -> None:
        """Bind the cluster's addresses, as a killed node-cache leaves them."""
        for command in machine.BIND:
            self.try_(*command.split())

    def start_nodelocaldns(self, upstream: str | None = None) -> None:
        """Start NodeLocalDNS with this upstream; wait until it serves."""
        resolv_conf = f"nameserver {upstream or self.setup.first}\n"
        (self.tree / machine.RESOLV_CONF_OF_NODELOCALDNS.lstrip("/")).write_text(resolv_conf)
        self.run("systemctl", "start", machine.NODELOCALDNS)
        health = f"http://{NODE_LOCAL}:9254/health"
        ask = ("python3", "-c", f"import urllib.request as r; r.urlopen({health!r}, timeout=1)")
        wait_for("NodeLocalDNS", lambda: self.try_(*ask).returncode == 0, seconds=10)

    def stop_nodelocaldns(self) -> None:
        """End it in order; its link goes, too."""
        self.run("systemctl", "stop", machine.NODELOCALDNS)
        self.try_("ip", "link", "delete", "nodelocaldns")

    def kill_nodelocaldns(self) -> None:
        """End it as the kernel does; its address stays."""
        self._signal_nodelocaldns("KILL")

    def hang_nodelocaldns(self) -> None:
        """Let it hang: its socket is there, and nobody reads from it."""
        self._signal_nodelocaldns("STOP")

    def resume_nodelocaldns(self) -> None:
        self._signal_nodelocaldns("CONT")

    # The lease

    def renew(self) -> None:
        """Have the lease renewed; return when the server has answered."""
        before = self.outside.leases_given()
        if self.setup.renew:
            self.run(*self.setup.renew)
        wait_for("a lease", lambda: self.outside.leases_given() > before, seconds=20)

    # dnsguard

    def journal(self, unit: str = "dnsguard.service") -> str:
        return self.try_(
            "journalctl", "--no-pager", "--boot", "--output=cat", f"--unit={unit}"
        ).stdout

    def account_of_guard(self) -> str:
        """Return what the guard says of itself and what there is, for people."""
        if not self.is_running:
            return "(it has no power)"
        status = json.dumps(self.status(), indent=1)
        return "\n".join(
            (
                f"resolv.conf -> {self.try_('readlink', '/etc/resolv.conf').stdout.strip()}",
                self.reread("/etc/resolv.conf"),
                f"for pods:\n{self.pods_file()}",
                f"status:\n{status}",
                f"journal:\n{self.journal()[-6000:]}",
            )
        )

    @property
    def _records(self) -> Path:
        return self.tree / machine.RECORDS.lstrip("/")

    def _signal_nodelocaldns(self, name: str) -> None:
        self.run("systemctl", "kill", f"--signal={name}", machine.NODELOCALDNS)

    def _read_start(self, name: str) -> Start:
        return Start(
            pod_resolv_conf=(self._records / "pod-resolv.conf").read_text(),
            answers={way: self._read_answer(way, name) for way in self.setup.ways},
        )

    def _read_answer(self, way: Way, name: str) -> Answer:
        status = int((self._records / f"{way}.status").read_text())
        said = (self._records / f"{way}.said").read_text()
        return Answer(way=way, name=f"{way}-{name}", resolved=status == 0, seconds=0.0, said=said)

    def _discard(self) -> None:
        self._overlay.close()
