"""The fleet itself: nodes in namespaces on one wire, a DHCP server and a nameserver at its end."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from bench_lab import PREFIX, dnsguard_script, install_dnsguard
from bench_tree import NODE_LOCAL, CannotMeasureError
from bench_wire import Phase, Tap
from lab.guard import Node, environment
from lab.kubespray_texts import LEASE
from lab.netns import Namespace, namespace

WIRE = "wire"
SERVER, UPSTREAM = "10.99.0.1", "10.99.0.53"
FIRST_NODE = IPv4Address("10.99.1.1")
ROOT_NS = ".,2," + b"\x01a\x0croot-servers\x03net\x00".hex()
"""The answer to what upstreams are asked: ``. NS``."""
PATIENCE_PER_NODE = 2.0
"""Seconds of a start of Python on a machine with much else to do."""
LOOK_EVERY = 0.1
"""Seconds; to look at all files takes processors from the guards."""

_Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Safe:
    """One node's file has named the upstream."""

    at: float
    """Seconds from the start of all."""
    cpu: float
    """Seconds that its guard had computed by then."""


class Fleet:
    """The nodes on their wire, the servers at its end, and who counts."""

    def __init__(
        self, outside: Namespace, nodes: list[Node], servers: list[_Process], code: Path
    ) -> None:
        self.nodes = nodes
        self._code = code
        self.tap = Tap(outside, WIRE)
        self.tap.start()
        self._servers = servers
        self._guards: list[_Process] = []
        self._gate = -1

    def prepare(self) -> None:
        """Start all guards up to their first step, which is to wait for :meth:`power`."""
        hold, self._gate = os.pipe()
        for node in self.nodes:
            command = ["sh", "-c", 'read _; exec "$@"', "sh", *node.command("run")]
            with node.log.open("ab") as log, node.where.inside():
                self._guards.append(
                    subprocess.Popen(
                        command,
                        stdin=hold,
                        stdout=subprocess.DEVNULL,
                        stderr=log,
                        env=environment(self._code),
                    )
                )
        os.close(hold)

    def power(self) -> float:
        """Let all go; return when that was."""
        os.close(self._gate)
        return time.time()

    def wait_until_safe(self, since: float) -> "list[Safe]":
        """Return when each node's file named the upstream, the first one first."""
        found: list[Safe] = []
        waiting = dict(zip(self.nodes, self._guards, strict=True))
        while waiting:
            safe = [node for node in waiting if node.servers() == [UPSTREAM]]
            now = time.time() - since
            found += [Safe(now, _read_cpu(waiting.pop(node).pid)) for node in safe]
            if waiting and time.time() - since > 30 + PATIENCE_PER_NODE * len(self.nodes):
                raise CannotMeasureError(f"not safe:\n{next(iter(waiting)).log.read_text()}")
            time.sleep(LOOK_EVERY)
        return found

    def watch(self, name: str, seconds: float) -> Phase:
        """Return what is asked from now on, for so long."""
        since = time.time()
        time.sleep(seconds)
        return self.since(name, since)

    def since(self, name: str, since: float) -> Phase:
        """Return what has been asked from then until now."""
        now = time.time()
        if lost := self.tap.lost():
            raise CannotMeasureError(f"{lost} packets came too fast to be counted")
        seen = [one for one in self.tap.seen if since <= one.at < now]
        return Phase(name=name, seconds=now - since, nodes=len(self.nodes), seen=seen)

    def signal_servers(self, number: int) -> None:
        for server in self._servers:
            server.send_signal(number)

    def mebibytes(self) -> float:
        """Return what an average guard has for itself: its Pss, in which what is shared is shared."""
        return sum(_read_pss(guard.pid) for guard in self._guards) / len(self._guards) / 1024

    def close(self) -> None:
        for one in (*self._guards, *self._servers):
            one.kill()
        for one in (*self._guards, *self._servers):
            one.wait()


def _read_pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _read_cpu(pid: int) -> float:
    """Return the seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    utime, stime = int(fields[11]), int(fields[12])  # proc(5)
    return (utime + stime) / os.sysconf("SC_CLK_TCK")


@contextmanager
def open_fleet(count: int) -> Iterator[Fleet]:
    """Give so many nodes, and the servers; nobody guards yet."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
        outside = stack.enter_context(namespace())
        outside.bridge(WIRE, f"{SERVER}/16", f"{UPSTREAM}/16")
        outside.ip(f"link set {WIRE} up")
        install_dnsguard(root)  # compiled, as the package is
        nodes = []
        for number in range(count):
            where = stack.enter_context(namespace())
            nodes.append(_make_node(root / f"node{number}", where, outside, FIRST_NODE + number))
        servers = [_serve_leases(outside, root), _serve_names(outside, root)]
        fleet = Fleet(outside, nodes, servers, dnsguard_script(root).parent)
        stack.callback(fleet.close)
        yield fleet


def _make_node(root: Path, where: Namespace, outside: Namespace, address: IPv4Address) -> Node:
    """Make a node with a poisoned lease, wired to the servers."""
    port = f"p{int(address) - int(FIRST_NODE)}"
    where.ip(f"link add eth0 type veth peer name {port} netns {outside.path}")
    where.ip(f"address add {address}/16 dev eth0")
    where.ip("link set eth0 up")
    outside.ip(f"link set {port} master {WIRE} up")
    node = Node(root, where, knows=False)
    leases = root / "var/lib/dhcp"
    leases.mkdir(parents=True)
    now = datetime.now(UTC)
    text = LEASE.format(
        router=SERVER,
        servers=NODE_LOCAL,
        domain="lab.test",
        renew=now + timedelta(minutes=30),
        rebind=now + timedelta(minutes=50),
        expire=now + timedelta(hours=1),
    )
    (leases / "dhclient.eth0.leases").write_text(text.replace("10.99.0.58", str(address)))
    return node


def _serve_leases(outside: Namespace, root: Path) -> _Process:
    return _start_dnsmasq(
        outside,
        root,
        "dhcp",
        "--port=0",
        f"--interface={WIRE}",
        "--dhcp-range=10.99.128.1,10.99.255.254,255.255.0.0,1h",
        f"--dhcp-option=option:dns-server,{UPSTREAM}",
        f"--dhcp-leasefile={root}/leases",
    )


def _serve_names(outside: Namespace, root: Path) -> _Process:
    return _start_dnsmasq(
        outside,
        root,
        "dns",
        f"--listen-address={UPSTREAM}",
        f"--dns-rr={ROOT_NS}",
        "--address=/#/",  # NXDOMAIN for the rest
    )


def _start_dnsmasq(outside: Namespace, root: Path, name: str, *options: str) -> _Process:
    command = [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root"),
        *("--bind-interfaces", "--no-hosts", "--no-resolv", f"--pid-file={root}/{name}.pid"),
        *(f"--log-facility={root}/{name}.log", *options),
    ]
    with outside.inside():
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)
