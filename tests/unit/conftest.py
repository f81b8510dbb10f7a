"""What many of the unit tests begin with."""

from pathlib import Path

import pytest

from dnsguard.paths import Paths
from unit.machine import Machine


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return the paths of a node with nothing on it."""
    (tmp_path / "etc").mkdir()
    return Paths(tmp_path)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a root with nothing on it but /etc, and a guard to be started in it."""
    return Machine(tmp_path)
