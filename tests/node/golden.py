"""The golden state: a healthy node and its cluster, made once and stopped. Tests boot copies.

It is the day before the incident. Kubespray has run, its ``supersede`` stands in dhclient.conf
for dhclient's next start, all pods are Ready, and then the power is cut.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from boot.lab import told_on_failure, untouched_host
from boot.waiting import wait_for
from managers import kubespray, machine
from managers.overlay import Overlay
from managers.setup import File

from node import files
from node.manifests import manifests
from node.node import KubernetesNode
from node.outside import Cluster
from node.programs import Programs

APPS = ("node-cache", "coredns", "app")
"""The containers of a healthy node."""
_READY_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Golden:
    """What every lab begins with: copies, or layers that nobody writes."""

    directory: Path

    @property
    def written(self) -> Path:
        """What the node's overlay holds."""
        return self.directory / "upper"

    @property
    def containerd(self) -> Path:
        return self.directory / "containerd"

    @property
    def state(self) -> Path:
        """The control plane's."""
        return self.directory / "state"

    @property
    def storage(self) -> Path:
        """The registry's."""
        return self.directory / "storage"

    def lay_out(self, directory: Path, programs: Programs) -> tuple[Overlay, Path, Path]:
        """Return a node's tree, its ``/var/lib/containerd`` and its cluster's data, copied."""
        containerd, state = directory / "containerd", directory / "state"
        # The DHCP server remembers the node, or it would say nothing to its first question.
        kept = (self.containerd, self.state, self.directory / "leases")
        subprocess.run(["cp", "--archive", *map(str, kept), str(directory)], check=True)
        overlay = Overlay(programs.tree, directory, above=self.written)
        return overlay, containerd, state


def make(directory: Path, programs: Programs) -> Golden:
    """Make it in an empty directory."""
    golden = Golden(directory)
    for one in (golden.containerd, golden.storage, golden.state):
        one.mkdir(parents=True)
    with untouched_host(directory), ExitStack() as stack:
        cluster = Cluster(directory, programs, storage=golden.storage, state=golden.state)
        stack.callback(cluster.close)
        cluster.control_plane.start()
        _fill_registry(cluster, programs)
        with _mounted(directory, programs) as overlay:
            furnish(overlay.tree, (golden.state / "api.crt").read_text())
            console = directory / "console.log"
            node = KubernetesNode(overlay, golden.containerd, console, cluster, programs)
            with told_on_failure(node):
                _run_until_ready(node)
        cluster.control_plane.stop()
    return golden


def furnish(tree: Path, certificate: str) -> None:
    """Write everything that makes ``tree`` a node that Kubespray has set up."""
    (tree / "etc/.resolv.conf.systemd-resolved.bak").unlink(missing_ok=True)
    resolv_conf = File("/etc/resolv.conf", kubespray.HEALTHY)
    machine.write(tree, (*files.common(certificate), *files.kubelet(), resolv_conf))
    for path in ("usr/local/bin/kubelet", "usr/local/bin/kube-proxy", "usr/local/bin/crictl"):
        (tree / path).touch(mode=0o755)  # what is bound there
    switch(tree, "disable", files.OFF)
    switch(tree, "mask", files.OFF)
    switch(tree, "enable", files.ENABLED)


def switch(tree: Path, verb: str, units: tuple[str, ...]) -> None:
    """Enable, disable, mask or unmask units of a tree without power."""
    for unit in units:
        command = ["systemctl", f"--root={tree}", "--quiet", verb, unit]
        subprocess.run(command, check=verb == "enable", capture_output=True)


@contextmanager
def _mounted(directory: Path, programs: Programs) -> Iterator[Overlay]:
    overlay = Overlay(programs.tree, directory)
    try:
        yield overlay
    finally:
        # What was written stays.
        subprocess.run(["umount", overlay.tree], check=True)
        shutil.rmtree(directory / "work")


def _fill_registry(cluster: Cluster, programs: Programs) -> None:
    # Every tag but the first is new to a node: it has to be pulled.
    for image in programs.images:
        cluster.push(image, *(f"new-{number}" for number in range(20)))


def _run_until_ready(node: KubernetesNode) -> None:
    plane = node.cluster.control_plane
    plane.apply(manifests())
    try:
        node.start()
        wait_for("all pods are ready", lambda: is_ready(node), seconds=_READY_SECONDS, every=0.5)
    except BaseException:
        print(node.account_of_pods(), plane.kubectl("get", "pods,nodes,events", "-A"))
        raise
    finally:
        node.cut_power()


def is_ready(node: KubernetesNode) -> bool:
    """Tell whether the cluster calls all its pods ready."""
    form = "{range .items[*]}{.status.conditions[?(@.type=='Ready')].status} {end}"
    told = node.cluster.control_plane.kubectl("get", "pods", "-A", f"-o=jsonpath={form}").split()
    return len(told) >= len(APPS) and set(told) == {"True"}
