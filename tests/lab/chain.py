r"""The chain that broke: node-cache, cluster DNS and an upstream, each in its place.

Three network namespaces. NodeLocalDNS is on the node at 169.254.25.10, cluster DNS behind
its service address 10.233.0.3, the upstream at 192.0.2.53. All three are CoreDNS, the first
one node-cache where that can be had (:mod:`lab.gobin`), with Kubespray's Corefiles; only
cluster DNS has ``template`` where a cluster has ``kubernetes``, for there is no API here.
Each server has the resolv.conf that kubelet would have given it at its start, a copy::

    with chain(tmp_path) as world:
        world.cluster.start(b"nameserver 192.0.2.53\n")
        world.nodelocal.start(b"nameserver 192.0.2.53\n")
        world.nodelocal.wait_until_serves()
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import gobin
from lab.chain_files import (
    CLUSTER_COREFILE,
    CLUSTER_DNS,
    NODELOCAL_COREFILE,
    OUTSIDE,
    UPSTREAM_COREFILE,
    make_second,
)
from lab.chain_server import GOOD, Server
from lab.container import container
from lab.guard import NODELOCAL, UPSTREAM, Node
from lab.netns import Namespace, cable, namespace

LINK = "nodelocaldns"


@dataclass(frozen=True, slots=True)
class World:
    """The three namespaces, and who serves in them."""

    node: Namespace
    cluster_node: Namespace
    """Where cluster DNS is."""
    root: Path
    nodelocal: Server
    second: Server
    """NodeLocalDNS's secondary instance, on the same address (SO_REUSEPORT)."""
    cluster: Server
    upstream: Server

    def guard(self, *, knows: bool = True, config: str = "") -> Node:
        """Return the node's files, Kubespray's poison in resolv.conf."""
        node = Node(self.root, self.node, knows=knows)
        (self.root / "etc/dnsguard/dnsguard.toml").write_text(config)
        return node

    def remove_address(self) -> None:
        self.node.ip(f"address del {NODELOCAL}/32 dev {LINK}")

    def add_address(self) -> None:
        self.node.ip(f"address add {NODELOCAL}/32 dev {LINK}")

    def serve(self, resolv_conf: bytes = GOOD) -> None:
        """Start cluster DNS and NodeLocalDNS, both with this file, and wait for them."""
        self.cluster.start(resolv_conf)
        self.nodelocal.start(resolv_conf)
        self.cluster.wait_until_serves()
        self.nodelocal.wait_until_serves(OUTSIDE)
        self.nodelocal.wait_until_serves()


@contextmanager
def chain(root: Path) -> Iterator[World]:
    """Make the world, with its upstream running and nobody else.

    :param root: an empty directory: the node's, and beside it the servers' files.
    """
    coredns, local = gobin.coredns(), gobin.nodelocal()
    with ExitStack() as stack:
        node, cluster, outside = (stack.enter_context(namespace()) for _ in range(3))
        _wire(node, cluster, outside)

        def server(name: str, where: Namespace, address: str, corefile: str) -> Server:
            work = root / name
            work.mkdir(parents=True)
            conf = work / "Corefile"
            conf.write_text(corefile)
            command = [str(coredns), "-conf", str(conf)]
            if address == NODELOCAL:
                # Its name alone is the process's: dnsguard doctor knows it by that.
                program = shutil.copy(local.program, work / "node-cache")
                command = [str(program), "-conf", str(conf)]
                if local.is_node_cache:
                    command += ["-localip", NODELOCAL, "-upstreamsvc", "coredns"]
                    command += ["-setupinterface=false", "-setupiptables=false"]
            made = Server(command, where, address, work, stack.enter_context(container()))
            stack.callback(made.kill)
            return made

        world = World(
            node=node,
            cluster_node=cluster,
            root=root / "node",
            nodelocal=server("nodelocal", node, NODELOCAL, NODELOCAL_COREFILE),
            second=server("second", node, NODELOCAL, make_second(NODELOCAL_COREFILE)),
            cluster=server("cluster", cluster, CLUSTER_DNS, CLUSTER_COREFILE),
            upstream=server("upstream", outside, UPSTREAM, UPSTREAM_COREFILE),
        )
        world.upstream.start()
        world.upstream.wait_until_serves(OUTSIDE)
        yield world


def _wire(node: Namespace, cluster: Namespace, outside: Namespace) -> None:
    node.bridge(LINK, f"{NODELOCAL}/32")
    cable(node, outside)
    cable(node, cluster, name="pods")
    node.ip("address add 192.0.2.1/24 dev eth0")
    node.ip("address add 10.233.64.1/24 dev pods")
    node.ip(f"route add {CLUSTER_DNS}/32 via 10.233.64.2")
    # What nobody on the node knows leaves it, and is never heard of again.
    node.ip("route add default via 192.0.2.53")
    node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    outside.ip(f"address add {UPSTREAM}/24 dev eth0")
    outside.ip("route add default via 192.0.2.1")
    cluster.ip("address add 10.233.64.2/24 dev pods")
    cluster.bridge("service", f"{CLUSTER_DNS}/32")
    cluster.ip("route add default via 10.233.64.1")
