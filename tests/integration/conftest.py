"""What the integration tests share: a node of their own."""

import os
from collections.abc import Iterator

import pytest
from lab.netns import Namespace, namespace


@pytest.fixture
def node() -> Iterator[Namespace]:
    """Return a network namespace, and be inside it during the test."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    with namespace() as made, made.inside():
        yield made
