"""The failures as they are without dnsguard, on the real chain."""

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
