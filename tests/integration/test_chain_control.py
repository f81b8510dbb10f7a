"""The failures as they are without dnsguard, on the real chain."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import gobin
from lab.chain import World, chain
from lab.chain_client import resolve
from lab.chain_files import INSIDE, OUTSIDE, SERVICE, WORLD
from lab.chain_server import GOOD, STARTED
from lab.guard import NODELOCAL, POISON
from lab.wait import until

pytestmark = gobin.needed

README = Path(__file__).parents[2] / "README.md"
IMAGES = "registry.k8s.io"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with chain(tmp_path) as made:
        yield made


def test_with_real_upstreams_the_chain_works(world: World) -> None:
    """The lab is right: the cluster's names and the world's resolve on the node."""
    world.serve(GOOD)
    assert resolve(world, INSIDE, NODELOCAL) == SERVICE
    assert resolve(world, OUTSIDE, NODELOCAL) == WORLD


def test_node_cache_dies_of_the_file_it_inherits(world: World) -> None:
    """After the reboot resolv.conf names NodeLocalDNS alone, and its pod gets a copy."""
    world.cluster.start(GOOD)
    world.nodelocal.start(POISON)
    log = world.nodelocal.wait_for_death()
    assert 'detected for zone "."' in log, log
    assert resolve(world, OUTSIDE, NODELOCAL) is None


def test_cluster_dns_dies_of_it_too(world: World) -> None:
    """CoreDNS asks NodeLocalDNS, and that asks CoreDNS: one of them ends."""
    world.nodelocal.start(b"nameserver 10.233.0.3\n")
    world.cluster.start(POISON)
    servers = (world.nodelocal, world.cluster)
    until(lambda: not all(server.is_alive for server in servers), within=STARTED)
    (ended, *_) = (server for server in servers if not server.is_alive)
    assert 'detected for zone "."' in ended.log, ended.log


def test_before_nodelocal_is_up_the_node_resolves_nothing(world: World) -> None:
    """The address is bound, or isn't; nobody answers there."""
    assert resolve(world, OUTSIDE, NODELOCAL) is None
    world.remove_address()
    assert resolve(world, OUTSIDE, NODELOCAL) is None


def _symptoms() -> list[re.Pattern[str]]:
    """Return README.md's first block, line by line; numbers of each time's own are any."""
    block = README.read_text(encoding="utf-8").partition("\n    ")[2].partition("\n\n")[0]
    return [re.compile(_any_number(line.strip())) for line in block.splitlines()]


def _any_number(line: str) -> str:
    # Ports, pids and loop's random name differ; addresses of the lab are not the reader's.
    return re.sub(r"\d+", r"\\d+", re.escape(line))


def _pull(world: World) -> str:
    """Return what Go's resolver says, as containerd's and kubelet's does, where nobody answers."""
    enter = 'mount --make-rprivate / && mount --bind "$1" /etc/resolv.conf && exec "$2"'
    file = world.root.parent / "poison"
    file.write_bytes(POISON)
    command = ["unshare", "--mount", "sh", "-c", enter, "sh", str(file), str(gobin.lookup())]
    with world.node.inside():
        done = subprocess.run(
            command, input=f"{IMAGES}\n", check=True, capture_output=True, text=True
        )
    return done.stdout


def test_the_symptoms_are_those_that_readme_shows(world: World) -> None:
    """Somebody who searches for the lines of his log finds them there to the letter."""
    pulled = _pull(world)
    world.cluster.start(POISON)
    until(lambda: "HINFO" in world.cluster.log, within=STARTED)
    world.nodelocal.start(POISON)
    told = pulled + world.nodelocal.wait_for_death() + world.cluster.log
    missing = [one.pattern for one in _symptoms() if not one.search(told)]
    assert missing == [], told
