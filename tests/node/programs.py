"""The programs of the ring: Kubernetes', the DNS servers, and what Debian's packages bring.

``python3 -m node.programs`` makes what is missing and says what there is: tests/run does so
before the ring's time begins, and beside other rings.
"""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from boot import tree
from boot.tree import Recipe
from lab import gobin, gobuild
from lab.gobin import NodeLocal
from managers import trees

from node import kubernetes
from node.images import Image

CRICTL = "v1.34.0"
"""Of the few versions that the module proxy serves; it speaks to every containerd with CRI v1."""

_NO_GO = 75
"""tests/run knows it."""
_OF_STAND_IN = (
    f"github.com/coredns/coredns {gobin.COREDNS}",
    "github.com/vishvananda/netlink v1.3.0",
)

TREE = Recipe(
    name="bookworm-node",
    packages=(
        *("ifupdown", "isc-dhcp-client"),
        # For kubeadm's shape; off on the others.
        *("systemd-resolved", "libnss-resolve"),
        *("containerd", "runc", "containernetworking-plugins", "iptables", "conntrack"),
        *("procps", "kmod", "ca-certificates"),
        # Of the outside: run from here, so that no server is started by its package.
        *("etcd-server", "docker-registry"),
    ),
)
"""The node's Debian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where everything lies."""

    tree: Path
    """The node's Debian, unpacked."""
    kubernetes: Path
    nodelocal: NodeLocal
    coredns: Path
    crictl: Path
    pod: Path

    @property
    def etcd(self) -> Path:
        return self.tree / "usr/bin/etcd"

    @property
    def registry(self) -> Path:
        return self.tree / "usr/bin/docker-registry"

    @property
    def images(self) -> tuple[Image, ...]:
        """What the registry has."""
        return (
            Image(name="pod", tag="1", program=self.pod, command=("pause",)),
            Image(name="coredns", tag="1", program=self.coredns),
            Image(name="node-cache", tag="1", program=self.nodelocal.program),
        )

    def __str__(self) -> str:
        return (
            f"Kubernetes {kubernetes.version()}, {self.nodelocal},"
            f" CoreDNS {gobin.COREDNS}, crictl {CRICTL}; {_debians(self.tree)}"
        )


def find() -> Programs:
    """Return everything, made where it is missing.

    :raises gobuild.MissingError: it can't be made on this machine.
    """
    return Programs(
        tree=trees.unpacked(TREE),
        kubernetes=tree.unpacked(kubernetes.programs(tree.cache())),
        nodelocal=_nodelocal(),
        coredns=gobin.coredns(),
        crictl=gobuild.of_module("crictl", "sigs.k8s.io/cri-tools", CRICTL, "cmd/crictl"),
        pod=gobuild.of_file(Path(__file__).with_name("pod.go")),
    )


def _nodelocal() -> NodeLocal:
    """Return node-cache, or CoreDNS in a frame like its own."""
    found = gobin.nodelocal()
    if found.is_node_cache:
        return found
    source = Path(__file__).with_name("node-cache.go")
    return replace(found, program=gobuild.of_file(source, *_OF_STAND_IN))


def _debians(root: Path) -> str:
    form = "${Package} ${Version}, "
    command = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", f"-f={form}"]
    named = [*command, "containerd", "runc", "etcd-server"]
    return subprocess.run(named, check=True, capture_output=True, text=True).stdout.rstrip(", ")


def main() -> int:
    """Make what is missing and say what there is."""
    if gobuild.go() is None:
        print("no Go: the ring of the real node is left out")
        return _NO_GO
    try:
        print(find())
    except gobuild.MissingError as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
