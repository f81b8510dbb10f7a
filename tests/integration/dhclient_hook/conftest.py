"""The real dhclient and the real dhclient-script, with our enter hook."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.dhcp import World, world

from integration.dhclient_hook.hooked import HEALTHY, ROUTERLESS


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[World]:
    """Return a world whose client has our hook; no daemon runs yet."""
    with world(tmp_path, offer=ROUTERLESS) as made:
        made.machine.install()
        made.machine.file.write_bytes(HEALTHY)
        yield made
