"""A lab: one node of a shape, its cluster outside, and the proof that nothing is left behind."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from boot.lab import told_on_failure, untouched_host
from managers import machine

from node import golden
from node.golden import Golden
from node.node import KubernetesNode
from node.outside import Cluster
from node.programs import Programs
from node.shapes import Part, Shape


@dataclass(frozen=True, slots=True)
class Lab:
    """One node, without power at first and without dnsguard; its cluster runs."""

    shape: Shape
    cluster: Cluster
    node: KubernetesNode
    pod: Path
    """pod.go's program."""

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl, as on a control plane."""
        return self.cluster.control_plane.kubectl(*arguments)

    def forget_program(self) -> None:
        """Call the process that has a kubelet inside by a name that nobody knows.

        Its files go with its name; the unit has another one, too.
        """
        tree = self.node.tree
        for unit in self.shape.enabled:
            path = tree / "etc/systemd/system" / unit
            text = path.read_text()
            golden.switch(tree, "disable", (unit,))
            path.unlink()
            for part, program in self.shape.programs:
                if part is Part.POD:
                    text = text.replace(program, _NAMELESS)
            (tree / "etc/systemd/system/nameless.service").write_text(text)
        golden.switch(tree, "enable", ("nameless.service",))
        for file in self.shape.files:
            if file.path.startswith(("/etc/rancher", "/var/snap")):
                (tree / file.path.lstrip("/")).unlink()
        self.node.also = tuple(
            (source, _NAMELESS if source == self.pod else place) for source, place in self.node.also
        )


_NAMELESS = "/usr/local/bin/nameless"


@contextmanager
def open_lab(shape: Shape, directory: Path, programs: Programs, start: Golden) -> Iterator[Lab]:
    """Give a lab in ``directory``, an empty one: the golden state, made into this shape."""
    directory.mkdir(parents=True, exist_ok=True)
    with untouched_host(directory), ExitStack() as stack:
        overlay, containerd, state = start.lay_out(directory, programs)
        cluster = Cluster(directory, programs, storage=start.storage, state=state)
        stack.callback(cluster.close)
        node = KubernetesNode(overlay, containerd, directory / "console.log", cluster, programs)
        stack.callback(node.close)
        parts = {Part.KUBELET: programs.kubernetes / "kubelet", Part.POD: programs.pod}
        machine.write(overlay.tree, shape.files)
        golden.switch(overlay.tree, "disable", shape.disabled)
        golden.switch(overlay.tree, "unmask", shape.enabled)
        golden.switch(overlay.tree, "enable", shape.enabled)
        for path in shape.removed:
            (overlay.tree / path.lstrip("/")).unlink()
        node.also = tuple((parts[part], path) for part, path in shape.programs)
        cluster.control_plane.start()
        with told_on_failure(node):
            yield Lab(shape, cluster, node, programs.pod)
