"""The node in a network of its own, with two addresses for upstreams in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.guard import OTHER, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.netns import Namespace, cable, namespace


@pytest.fixture
def outside(node: Namespace) -> Iterator[Namespace]:
    """Return the network that the node is in, with the upstreams' addresses."""
    with namespace() as made:
        cable(node, made)
        node.ip("address add 192.0.2.1/24 dev eth0")
        for address in (UPSTREAM, OTHER):
            made.ip(f"address add {address}/24 dev eth0")
        yield made


@pytest.fixture
def guard(tmp_path: Path, node: Namespace, outside: Namespace) -> Iterator[Node]:
    """Return a poisoned node whose upstream answers; no daemon runs yet."""
    with nameserver(outside, UPSTREAM):
        yield Node(tmp_path, node)
