"""A node's files below a root, as Kubespray leaves them."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from dnsguard.commands import adopt as adoption
from dnsguard.formats.kubelet import Kubelet
from dnsguard.host.kubelet import read_kubelet
from dnsguard.paths import Paths

CONFIG = "etc/kubernetes/kubelet-config.yaml"
FLAGS = "var/lib/kubelet/kubeadm-flags.env"
KUBESPRAY = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDomain: cluster.local   # ours
clusterDNS:
- 169.254.25.10
resolvConf: "/etc/resolv.conf"
featureGates:
  GracefulNodeShutdown: true
"""
Start = Callable[..., int]


class Node:
    """A node's files below a root, and of all processes the ones that are put there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = Paths(root)
        (root / "proc").mkdir()
        self.write("etc/resolv.conf", "nameserver 169.254.25.10\n")
        self.write("var/lib/dnsguard/resolv.conf", "nameserver 10.0.0.2\n")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def look(self) -> Kubelet:
        found = read_kubelet(self.root)
        assert found is not None
        return found

    def adopt(self, *, dry_run: bool = False, undo: bool = False) -> None:
        done = adoption.adopt(self.paths, is_dry_run=dry_run, is_undo=undo, is_restart=False)
        assert done == 0

    def backups(self) -> list[Path]:
        return sorted(self.root.rglob("*.dnsguard-*~"))


def change_later(path: Path, text: str) -> None:
    """Write a file as if after everything that has been started so far."""
    path.write_text(text)
    later = time.time() + 5
    os.utime(path, (later, later))
