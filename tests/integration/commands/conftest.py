"""The node that an operator types on."""

from collections.abc import Iterator

import pytest
from lab.guard import Node, open_node
from lab.netns import Namespace


@pytest.fixture
def guard(node: Namespace) -> Iterator[Node]:
    """Return a poisoned node whose upstream answers, in a short path that anyone may enter."""
    with open_node(node) as made:
        yield made
