"""A node that knows nobody, in a network with addresses for servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.guard import UPSTREAM, Node
from lab.netns import Namespace, cable, namespace

from integration.evidence.known import OWN, SERVICE, UNTOLD


@pytest.fixture
def outside(node: Namespace) -> Iterator[Namespace]:
    """Return the network that the node is in; nobody answers there yet."""
    with namespace() as made:
        cable(node, made)
        node.ip(f"address add {OWN}/24 dev eth0")
        for address in (UPSTREAM, UNTOLD, SERVICE):
            made.ip(f"address add {address}/24 dev eth0")
        node.ip(f"route add {SERVICE} dev eth0")
        yield made


@pytest.fixture
def guard(tmp_path: Path, node: Namespace, outside: Namespace) -> Node:
    """Return a poisoned node that knows nobody."""
    assert outside
    return Node(tmp_path, node, knows=False)
