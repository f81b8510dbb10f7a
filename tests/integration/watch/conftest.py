"""A directory with a resolv.conf, and a watch on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsguard.host.watch import Watch

POISON = "nameserver 169.254.25.10\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a directory with a resolv.conf and somebody's new version of it."""
    made = tmp_path / "etc"
    made.mkdir()
    (made / "resolv.conf").write_text("nameserver 10.0.2.3\n")
    (made / "resolv.conf.new").write_text(POISON)
    return made


@pytest.fixture
def watch(etc: Path) -> Iterator[Watch]:
    """Return a watch on that directory."""
    made = Watch()
    assert made.cover([etc])
    yield made
    made.close()
