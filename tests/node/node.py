"""A Kubernetes node, from its power to what its pods see."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boot.cgroup import ControlGroup
from boot.container import Container, wait_until_up
from boot.machine import nameservers
from boot.net import Namespace
from boot.node import Node
from boot.waiting import wait_for
from managers.overlay import Overlay

from node.outside import Cluster
from node.programs import Programs

_SANDBOXES = "/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes"
_LOGS = "var/log/pods"
_UP_SECONDS = 120.0
_ON_PATH = ("kubelet", "kube-proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A container that runs, as containerd has it."""

    id: str
    sandbox: str
    pid: int
    """In the node."""
    attempt: int
    """How often it was started in this sandbox before."""


class KubernetesNode(Node):
    """One node: without power at first.

    :param containerd: its ``/var/lib/containerd``, on a disk: overlays stand on no overlay.
    """

    def __init__(
        self,
        overlay: Overlay,
        containerd: Path,
        console: Path,
        cluster: Cluster,
        programs: Programs,
    ) -> None:
        super().__init__(overlay.tree, console, cluster)
        self._overlay = overlay
        self._containerd = containerd
        self._programs = programs
        self.cluster = cluster
        self.powered_on = 0.0
        """When power came, by ``time.monotonic()``."""
        self.also: tuple[tuple[Path, str], ...] = ()
        """More programs, and what they are called in the node."""

    # Power

    def switch_on(self) -> None:
        """Give it power; return as soon as commands can be run in it."""
        self.powered_on = time.monotonic()
        self._power_on()
        wait_for("the node's init", lambda: self.has_init, seconds=30)

    def start(self) -> None:
        """Boot; return when systemd has run all its start jobs."""
        self.switch_on()
        wait_until_up(self._running, seconds=_UP_SECONDS)

    @property
    def has_init(self) -> bool:
        """Whether commands can be run in it by now."""
        return bool(self._running.init)

    @property
    def has_runtime(self) -> bool:
        """Whether containerd answers."""
        return self.try_("crictl", "info").returncode == 0

    def since_power_on(self) -> float:
        """Return the seconds."""
        return time.monotonic() - self.powered_on

    def wait_for_power_on(self, what: str, look: Callable[[], bool], *, seconds: float) -> float:
        """Wait for this, and return after how many seconds of power it was so."""
        wait_for(what, look, seconds=seconds, every=0.2)
        return self.since_power_on()

    # Pods

    def containers(self, name: str) -> list[Running]:
        """Return those that run and are called so."""
        said = self.try_("crictl", "ps", "--name", f"^{name}$", "--output=json").stdout
        found = json.loads(said or "{}").get("containers") or []
        return [one for each in found if (one := self._inspect(each)) is not None]

    def container(self, name: str, *, seconds: float = 60) -> Running:
        """Return the one that runs and is called so; wait for it."""
        found: list[Running] = []

        def is_there() -> bool:
            found[:] = self.containers(name)
            return len(found) == 1

        wait_for(f"container {name}", is_there, seconds=seconds, every=0.2)
        return found[0]

    def servers_of(self, name: str) -> list[str]:
        """Return the nameservers that a container's process sees."""
        return nameservers(self.seen_by(name, "/etc/resolv.conf"))

    def seen_by(self, name: str, path: str) -> str:
        """Return a file as a container's process sees it."""
        running = self.container(name)
        return self.run("cat", f"/proc/{running.pid}/root{path}") + "\n"

    def servers_of_sandbox(self, name: str) -> list[str]:
        """Return the nameservers that a restarted container would see."""
        sandbox = self.container(name).sandbox
        return nameservers(self.run("cat", f"{_SANDBOXES}/{sandbox}/resolv.conf"))

    def sandbox_files(self) -> list[Path]:
        """Return the resolv.conf of all sandboxes that there are, where the host sees them."""
        place = self._containerd / _SANDBOXES.removeprefix("/var/lib/containerd/")
        return list(place.glob("*/resolv.conf"))

    def ask_from(self, name: str, question: str) -> str:
        """Look a name up from inside a container; return what it said."""
        running = self.container(name)
        done = self.try_("crictl", "exec", running.id, "/pod", "ask", question)
        return done.stdout + done.stderr

    def pulls(self, image: str) -> str:
        """Have containerd pull an image, as kubelet does; return what went wrong, or nothing."""
        done = self.try_("timeout", "30", "crictl", "pull", image)
        return "" if done.returncode == 0 else (done.stderr or done.stdout or "timeout")

    def logs(self, name: str) -> str:
        """Return all that containers of this name have said, before this boot too."""
        found = sorted((self.tree / _LOGS).glob(f"*/{name}/*.log"))
        return "\n".join(one.read_text(errors="replace") for one in found)

    # dnsguard

    @property
    def mode(self) -> str | None:
        """What it says it does; None while there is none."""
        told: str | None = self.status().get("mode")
        return told

    def journal(self, unit: str = "dnsguard.service") -> str:
        output = ("--no-pager", "--boot", "--output=cat")
        return self.try_("journalctl", *output, f"--unit={unit}").stdout

    def account_of_pods(self) -> str:
        """Return what there is to know of pods and guard, for people."""
        if not self.is_running:
            return "(it has no power)"
        commands = (
            ("crictl", "ps", "--all"),
            ("crictl", "pods"),
            ("cat", "/etc/resolv.conf"),
            ("dnsguard", "status", "--verbose"),
            ("dnsguard", "events"),
            ("journalctl", "--no-pager", "--boot", "--unit=dnsguard", "--lines=40"),
            ("journalctl", "--no-pager", "--boot", "--unit=kubelet", "--lines=60"),
            ("journalctl", "--no-pager", "--boot", "--unit=containerd", "--lines=30"),
        )
        said = [(one, self.try_(*one)) for one in commands]
        return "\n".join(f"$ {' '.join(one)}\n{it.stdout}{it.stderr}" for one, it in said)

    def _inspect(self, listed: dict[str, Any]) -> Running | None:
        said = self.try_("crictl", "inspect", "--output=json", listed["id"])
        if said.returncode != 0:
            return None
        pid = json.loads(said.stdout)["info"].get("pid", 0)
        attempt = listed["metadata"].get("attempt", 0)
        sandbox = listed["podSandboxId"]
        return Running(id=listed["id"], sandbox=sandbox, pid=pid, attempt=attempt)

    def _power_on(self, *init: str) -> Container:
        assert self._container is None, "the node has power already"
        network = Namespace()
        self._plug.plug_in(network)
        self._container = Container(
            self.tree,
            self.console,
            network,
            *_PRIVILEGES,
            f"--bind={self._containerd}:/var/lib/containerd",
            *(f"--bind-ro={path}:{place}" for path, place in self._bound()),
            *init,
            group=ControlGroup(has_controllers=True),
            environment={"SYSTEMD_SECCOMP": "0"},
        )
        return self._container

    def _bound(self) -> tuple[tuple[Path, str], ...]:
        kubernetes = self._programs.kubernetes
        return (
            *((kubernetes / name, f"/usr/local/bin/{name}") for name in _ON_PATH),
            (self._programs.crictl, "/usr/local/bin/crictl"),
            *self.also,
        )

    def _discard(self) -> None:
        self._overlay.close()


_PRIVILEGES = ("--capability=all", "--drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE")
"""Of a machine's root, but what is the host's alone."""
