"""The node before which ``dnsguard doctor`` stands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.doctor.world import Lab, world


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with world(tmp_path) as made:
        yield made
