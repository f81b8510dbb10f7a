"""The outside of a real node: what managers' outside is, and the registry and control plane.

The registry is known by its name alone, as registries are: a node that resolves nothing pulls
nothing.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boot.waiting import wait_for
from lab import netns
from managers.outside import GATEWAY, Outside

from node import images
from node.control_plane import ControlPlane
from node.images import REGISTRY, Image
from node.programs import Programs

_REGISTRY_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {storage}}}}}
http: {{addr: ":80"}}
"""


class Cluster(Outside):
    """The outside namespace: DHCP, DNS, the registry, and the control plane.

    :param storage: the registry's, which several may share.
    :param state: the control plane's data.
    """

    def __init__(self, directory: Path, programs: Programs, *, storage: Path, state: Path) -> None:
        super().__init__(directory, records={REGISTRY: GATEWAY})
        config = directory / "registry.yml"
        config.write_text(_REGISTRY_CONFIG.format(storage=storage))
        self._registry = subprocess.Popen(
            self.namespace.inside(
                *("setpriv", "--pdeathsig=KILL"),
                *(str(programs.registry), "serve", str(config)),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
            env={"PATH": os.defpath, "OTEL_TRACES_EXPORTER": "none"},
        )
        self.control_plane = ControlPlane(self.namespace, state, programs.kubernetes, programs.etcd)
        wait_for("the registry", self._serves_images, seconds=20)

    def push(self, image: Image, *tags: str) -> None:
        """Push an image, under more tags than its own."""
        with self._inside():
            images.push(image, GATEWAY, tags)

    def close(self) -> None:
        self.control_plane.close()
        self._registry.kill()
        self._registry.wait()
        super().close()

    def log(self) -> str:
        return f"{super().log()}\n{self.control_plane.log()}"

    def _serves_images(self) -> bool:
        with self._inside():
            return images.answers(GATEWAY)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Have this thread's sockets be out there."""
        descriptor = os.open(self.namespace.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with netns.Namespace(descriptor).inside():
                yield
        finally:
            os.close(descriptor)
