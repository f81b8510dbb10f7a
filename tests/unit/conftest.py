"""What many of the unit tests begin with."""

from pathlib import Path

import pytest

from dnsguard.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return the paths of a node with nothing on it."""
    (tmp_path / "etc").mkdir()
    return Paths(tmp_path)
