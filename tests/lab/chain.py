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

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from lab import gobin
from lab.guard import NODELOCAL, UPSTREAM, Node
from lab.netns import Namespace, cable, namespace
from lab.wait import until

CLUSTER_DNS = "10.233.0.3"
INSIDE = "kubernetes.default.svc.cluster.local."
OUTSIDE = "www.example.org."
SERVICE, WORLD = "10.233.0.1", "198.51.100.7"
"""What the one and the other name resolve to."""
LINK = "nodelocaldns"
GOOD = f"nameserver {UPSTREAM}\n".encode()
STARTED = 10.0
"""Seconds that a server may take to serve, or to find its loop, beside other tests."""

_NODELOCAL = f"""
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    cache {{
        success 9984 30
        denial 9984 5
    }}
    reload
    loop
    bind {NODELOCAL}
    forward . {CLUSTER_DNS} {{
        force_tcp
    }}
    prometheus :9253
    health {NODELOCAL}:9254
}}
.:53 {{
    errors
    cache 30
    reload
    loop
    bind {NODELOCAL}
    forward . /etc/resolv.conf
    prometheus :9253
}}
"""

_CLUSTER = f"""
cluster.local:53 {{
    errors
    template IN A {{
        match ^kubernetes[.]default[.]svc[.]cluster[.]local[.]$
        answer "{{{{ .Name }}}} 5 IN A {SERVICE}"
        fallthrough
    }}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
    bind {CLUSTER_DNS}
}}
.:53 {{
    errors
    health :8080
    forward . /etc/resolv.conf
    loop
    cache 30
    reload
    bind {CLUSTER_DNS}
}}
"""

_UPSTREAM = f"""
cluster.local:53 {{
    template ANY ANY {{
        rcode NXDOMAIN
    }}
    bind {UPSTREAM}
}}
.:53 {{
    template IN A {{
        answer "{{{{ .Name }}}} 30 IN A {WORLD}"
    }}
    template IN NS . {{
        match ^[.]$
        answer ". 1 IN NS a.root-servers.net."
        fallthrough
    }}
    template ANY ANY {{
        rcode NOERROR
    }}
    bind {UPSTREAM}
}}
"""


class Server:
    """One of the servers: started, killed and started again, its log kept."""

    def __init__(self, command: list[str], where: Namespace, address: str, work: Path) -> None:
        self.address = address
        self.process: subprocess.Popen[bytes] | None = None
        # Of its own: a mount that nobody else sees, and death with its test.
        enter = 'mount --make-rprivate / && mount --bind "$0" /etc/resolv.conf && exec "$@"'
        private = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c", enter]
        self._command = [*private, str(work / "resolv.conf"), *command]
        self._where = where
        self._conf = work / "resolv.conf"
        self._log = work / "log"
        self._log.touch()

    def start(self, resolv_conf: bytes = GOOD) -> None:
        """Start it as kubelet would have: with a copy of this file for good."""
        self._conf.write_bytes(resolv_conf)
        with self._log.open("ab") as log, self._where.inside():
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def serves(self, name: str = INSIDE, *, tcp: bool = False, within: float = 0.5) -> bool:
        """Tell whether it answers a question."""
        query = dns.message.make_query(name, "A")
        with self._where.inside():
            try:
                if tcp:
                    reply = dns.query.tcp(query, self.address, within)
                else:
                    reply = dns.query.udp(query, self.address, within)
            except (OSError, dns.exception.DNSException, EOFError):
                return False
        return reply.rcode() in (0, 3)

    def wait_until_serves(self, name: str = INSIDE) -> None:
        """Wait for an answer over UDP and over TCP.

        :raises AssertionError: none came; with its log.
        """

        def is_up() -> bool:
            assert self.is_alive, self.log
            return self.serves(name) and self.serves(name, tcp=True)

        try:
            until(is_up, within=STARTED)
        except TimeoutError as error:
            raise AssertionError(f"{self.address} does not serve\n{self.log}") from error

    def wait_for_death(self, *, within: float = STARTED) -> str:
        """Wait until it has ended by itself; return its log."""
        assert self.process is not None
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.address} lives\n{self.log}") from error
        return self.log

    def stop(self) -> None:
        """End it as kubelet does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel does; its addresses stay."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self.process is not None and self.is_alive:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(10)

    def pause(self) -> None:
        """Let it hang: its socket is there, and nobody reads from it."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """Have it read its Corefile anew: it hands its sockets to itself."""
        self._signal(signal.SIGUSR1)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)


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
            made = Server(command, where, address, work)
            stack.callback(made.kill)
            return made

        world = World(
            node=node,
            cluster_node=cluster,
            root=root / "node",
            nodelocal=server("nodelocal", node, NODELOCAL, _NODELOCAL),
            second=server("second", node, NODELOCAL, _second(_NODELOCAL)),
            cluster=server("cluster", cluster, CLUSTER_DNS, _CLUSTER),
            upstream=server("upstream", outside, UPSTREAM, _UPSTREAM),
        )
        world.upstream.start()
        world.upstream.wait_until_serves(OUTSIDE)
        yield world


def _second(corefile: str) -> str:
    """Return the secondary's Corefile: what listens without SO_REUSEPORT, elsewhere."""
    return corefile.replace(":9253", ":9255").replace(":9254", ":9256")


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


@contextmanager
def client(world: World) -> Iterator["Client"]:
    """Run a program on the node that resolves a name every 10 ms."""
    (world.root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    # The whole /etc, so that a file renamed into it is seen.
    script = 'mount --make-rprivate / && mount --bind "$1" /etc && exec "$2" -m lab.client "$3"'
    command = ["unshare", "--mount", "sh", "-c", script, "client", str(world.root / "etc")]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with world.node.spawn([*command, "/usr/bin/python3", OUTSIDE], environ=environ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the client's names."""

    asked: int
    lost: int
    """Not resolved: the application got an error."""
    late: int
    """Resolved after more than a second."""
    worst: float
    """Seconds that the slowest one took."""

    def __str__(self) -> str:
        return (
            f"{self.asked} names asked, {self.lost} lost, {self.late} later than 1 s, "
            f"slowest {self.worst * 1000:.0f} ms"
        )


class Client:
    """The program as its test sees it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.count()

    def count(self) -> Count:
        """Return what became of the names since the last call; waits for those under way."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        asked, lost, late, worst = self._process.stdout.readline().split()
        return Count(int(asked), int(lost), int(late), float(worst))


def resolve(world: World, name: str, server: str) -> str | None:
    """Return the address that a server on the node's network has for a name."""
    with world.node.inside():
        try:
            reply = dns.query.udp(dns.message.make_query(name, "A"), server, 1.0)
        except (OSError, dns.exception.DNSException):
            return None
    found = [str(record) for rrset in reply.answer for record in rrset]
    return found[0] if found else None
