"""dnsguard on the real chain: a loop can't come about, and what breaks costs little.

Each test prints what a program on the node lost that resolves a name every 10 ms.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from lab import gobin
from lab.chain import World, chain
from lab.chain_client import Count, client, resolve
from lab.chain_files import INSIDE, OUTSIDE, SERVICE, WORLD
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.wait import until

from integration.conftest import TOLD

pytestmark = gobin.needed

ADOPTED = "resolvConf: /var/lib/dnsguard/resolv.conf\n"
LOOPING = "resolvConf: /etc/resolv.conf\n"
BESIDE_UPSTREAM = f"nameserver {NODELOCAL}\nnameserver {UPSTREAM}\n".encode()
LONG = 30.0
"""Seconds for what takes some on a busy machine."""
HANDED_OVER = (NODELOCAL, UPSTREAM)
Teller = Callable[[str, Count], None]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with chain(tmp_path) as made:
        yield made


@pytest.fixture
def node(world: World) -> Node:
    """Return the node after its reboot: poisoned, and kubelet hands pods our file."""
    made = world.guard()
    _kubelet(made, ADOPTED)
    return made


def _kubelet(node: Node, text: str) -> None:
    path = node.root / "etc/kubernetes/kubelet-config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@contextmanager
def _handed_over(world: World, node: Node) -> Iterator[None]:
    """Run dnsguard, then the chain as kubelet starts it, and come to the handover."""
    with node.guarded():
        node.wait_for(UPSTREAM)
        world.serve(_pod_file(node))
        node.wait_for(*HANDED_OVER, within=LONG)
        yield


def _pod_file(node: Node) -> bytes:
    path = node.root / "var/lib/dnsguard/resolv.conf"
    until(path.exists)
    return path.read_bytes()


def _breaks(node: Node) -> int:
    """Return how often the file went back to the upstream."""
    lines = node.log.read_text().splitlines()
    return sum("mode_changed" in line and "mode=guarding" in line for line in lines) - 1


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Teller:
    """Return how a test tells its count, whether it passes or not."""
    return lambda what, count: record_property(TOLD, f"{what}: {count}")


@pytest.mark.parametrize("poison", [POISON, BESIDE_UPSTREAM], ids=["alone", "beside an upstream"])
def test_the_same_boot_with_dnsguard(world: World, node: Node, poison: bytes) -> None:
    """No loop; NodeLocalDNS comes up, the node is handed over, and all names resolve.

    What is written then may be what the poison said: that is nobody's trample.
    """
    node.file.write_bytes(poison)
    with _handed_over(world, node):
        time.sleep(0.5)  # what our own write could set off has happened by then
        assert node.status()["tramples"]["count"] == 0
        assert node.status()["mode"] == "handed-over"
        assert resolve(world, INSIDE, NODELOCAL) == SERVICE
        assert resolve(world, OUTSIDE, NODELOCAL) == WORLD
        assert world.nodelocal.is_alive
        assert world.cluster.is_alive
        assert "Loop" not in world.nodelocal.log + world.cluster.log
    assert node.servers() == [UPSTREAM], "what is left behind names no NodeLocalDNS"


@contextmanager
def _dnsmasq(world: World, node: Node) -> Iterator[str]:
    """Have a resolver at the node's own address that asks whom resolv.conf names."""
    own = "192.0.2.1"
    command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root"]
    command += ["--pid-file", f"--listen-address={own}", "--bind-interfaces", "--strict-order"]
    with world.node.inside():
        started = subprocess.Popen([*command, f"--resolv-file={node.file}"])
    try:
        until(lambda: resolve(world, OUTSIDE, own) == WORLD)
        yield own
    finally:
        started.kill()
        started.wait()


@pytest.mark.parametrize("handover", ["auto", "always"])
def test_pods_that_ask_the_node_itself(world: World, node: Node, handover: str) -> None:
    """Handed over, the node's dnsmasq would ask NodeLocalDNS, whose pod asks it: no handover.

    An operator's "always" is the control: a name that no cache has is asked in a circle.
    """
    (node.root / "etc/dnsguard/dnsguard.toml").write_text(f'[handover]\nmode = "{handover}"\n')
    _kubelet(node, "resolvConf: /etc/pods.conf\n")

    def resolves() -> bool:
        return world.nodelocal.serves(f"{time.monotonic_ns()}.example.org.")

    with node.guarded(), ExitStack() as stack:
        node.wait_for(UPSTREAM)
        pods = f"nameserver {stack.enter_context(_dnsmasq(world, node))}\n".encode()
        (node.root / "etc/pods.conf").write_bytes(pods)
        world.serve(pods)
        if handover == "always":
            assert resolves()
            node.wait_for(*HANDED_OVER, within=LONG)
            until(lambda: not resolves())
        else:
            until(lambda: "is this node and may ask" in node.done("status"), within=LONG)
            assert node.servers() == [UPSTREAM]
            assert all(resolves() for _ in range(20))


@pytest.mark.parametrize("fault", ["kill", "hang", "address"])
def test_it_breaks_and_comes_back(world: World, node: Node, tell: Teller, fault: str) -> None:
    """The upstream is back in the file, and NodeLocalDNS once it is well again."""
    breaks = {"kill": world.nodelocal.kill, "hang": world.nodelocal.pause}
    mends = {"hang": world.nodelocal.resume, "address": world.add_address}
    with _handed_over(world, node), client(world) as application:
        breaks.get(fault, world.remove_address)()
        node.wait_for(UPSTREAM)
        assert node.status()["mode"] == "guarding"
        assert _state(node) == ("absent" if fault == "address" else "silent")
        tell(f"until {fault} was met", application.count())
        if fault == "kill":
            world.nodelocal.start(_pod_file(node))
        else:
            mends[fault]()
        node.wait_for(*HANDED_OVER, within=LONG)
        count = application.count()
        tell("until it was back", count)
        assert count.lost == 0


def test_an_outage_of_cluster_dns(world: World, node: Node, tell: Teller) -> None:
    """Names of the cluster are gone for everybody; names outside are the upstream's."""
    with _handed_over(world, node), client(world) as application:
        world.cluster.kill()
        node.wait_for(UPSTREAM, within=LONG)
        assert node.status()["mode"] == "guarding"
        assert _state(node) == "silent"
        world.cluster.start(_pod_file(node))
        node.wait_for(*HANDED_OVER, within=LONG)
        count = application.count()
        tell("from end to end", count)
        assert count.lost == 0


def test_an_outage_of_the_upstream(world: World, node: Node, tell: Teller) -> None:
    """It isn't NodeLocalDNS's fault: what it has in its cache is better than nothing."""
    with _handed_over(world, node), client(world) as application:
        world.upstream.kill()

        def is_known() -> bool:
            return "the upstream is silent, too" in str(node.status()["nodelocal"])

        until(is_known, within=LONG)
        assert node.servers() == [*HANDED_OVER]
        tell("while it lasted", application.count())
        world.upstream.start()
        until(lambda: not is_known(), within=LONG)
        assert node.servers() == [*HANDED_OVER]
        assert node.status()["mode"] == "handed-over"
        assert _breaks(node) == 0


def test_a_rolling_update_is_no_break(world: World, node: Node, tell: Teller) -> None:
    """The secondary instance is there before the first one goes (SO_REUSEPORT)."""
    with _handed_over(world, node), client(world) as application:
        world.second.start(_pod_file(node))
        until(lambda: "CoreDNS-" in world.second.log, within=LONG)
        world.nodelocal.stop()
        assert _stays(node)
        world.nodelocal.start(_pod_file(node))
        until(lambda: world.nodelocal.log.count("CoreDNS-") == 2, within=LONG)
        world.second.stop()
        assert _stays(node)
        assert _breaks(node) == 0, node.log.read_text()
        count = application.count()
        tell("two changes of instance", count)
        assert count.lost == 0


def test_a_reload_is_no_break(world: World, node: Node, tell: Teller) -> None:
    """CoreDNS hands its sockets to itself."""
    with _handed_over(world, node), client(world) as application:
        for number in range(1, 4):
            world.nodelocal.reload()
            until(partial(_is_reloaded, world, number), within=LONG)
        assert _stays(node)
        assert _breaks(node) == 0
        tell("three reloads", application.count())


def _is_reloaded(world: World, times: int) -> bool:
    return world.nodelocal.log.count("Reloading complete") == times


def _state(node: Node) -> str:
    return str(node.status()["nodelocal"]["state"])


def _uptime(node: Node) -> float:
    return float(node.status()["uptime_seconds"])


def _stays(node: Node) -> bool:
    """Wait for two rounds of questions more; say whether the file was left as it is."""
    asked = _uptime(node)
    until(lambda: _uptime(node) > asked + 2.5, within=LONG)
    return node.servers() == [*HANDED_OVER]


def test_flapping_is_met_with_patience(world: World, node: Node, tell: Teller) -> None:
    """Each break doubles the time to the next handover."""
    with _handed_over(world, node), client(world) as application:
        for _ in range(3):
            world.nodelocal.kill()
            node.wait_for(UPSTREAM)
            world.nodelocal.start(_pod_file(node))
            node.wait_for(*HANDED_OVER, within=LONG)
        node.wait_for_line("healthy", "waits for 4 s: NodeLocalDNS has failed 3 times in the last")
        assert _breaks(node) == 3
        count = application.count()
        tell("three breaks", count)
        assert count.lost == 0


def test_a_restart_under_load(world: World, node: Node, tell: Teller) -> None:
    """As the liveness probe does it: SIGTERM, and a new one."""
    with _handed_over(world, node), client(world) as application:
        world.nodelocal.stop()
        node.wait_for(UPSTREAM)
        world.nodelocal.start(_pod_file(node))
        node.wait_for(*HANDED_OVER, within=LONG)
        count = application.count()
        tell("one restart", count)
        assert count.lost == 0


def test_where_pods_inherit_the_file_there_is_no_handover(world: World, node: Node) -> None:
    """However well NodeLocalDNS is: the next CoreDNS pod would get the loop."""
    _kubelet(node, LOOPING)
    with node.guarded():
        node.wait_for(UPSTREAM)
        world.serve(_pod_file(node))
        until(lambda: _state(node) == "healthy", within=LONG)
        world.nodelocal.reload()
        world.remove_address()
        until(lambda: _state(node) == "absent", within=LONG)
        world.add_address()
        until(lambda: _state(node) == "healthy", within=LONG)
        status = dict(node.status()["because"])
        assert "kubelet gives /etc/resolv.conf to pods" in status["handover"]
        assert "remedy: dnsguard kubelet adopt" in status["handover"]
        assert node.servers() == [UPSTREAM]
    log = node.log.read_text()
    assert "mode=handed-over" not in log
    assert log.count("kubelet adopt") <= 3  # each time that it became healthy, and no more
    # Left alone by dnsguard, a pod that starts with the node's file finds no loop.
    world.cluster.stop()
    world.cluster.start(node.file.read_bytes())
    world.cluster.wait_until_serves(OUTSIDE)


def test_a_kubelet_that_comes_later_is_noticed(world: World, node: Node) -> None:
    """Reconfigured while the node is handed over: the upstream is back in the file."""
    with _handed_over(world, node):
        _kubelet(node, LOOPING)
        node.wait_for(UPSTREAM, within=LONG)
        _kubelet(node, ADOPTED)
        node.wait_for(*HANDED_OVER, within=LONG)


def test_an_answer_without_a_binding(world: World) -> None:
    """Cilium's local redirect policy: simulated by a route, for there is no Cilium here."""
    node = world.guard(config="[nodelocal]\nrequire_binding = false\n")
    world.remove_address()
    world.node.ip(f"route add {NODELOCAL}/32 via 10.233.64.2")
    world.cluster_node.bridge("elsewhere", f"{NODELOCAL}/32")
    with nameserver(world.cluster_node, NODELOCAL) as server, node.guarded():
        node.wait_for(*HANDED_OVER, within=LONG)
        server.process.kill()
        node.wait_for(UPSTREAM)
