"""mypy --strict, over sources and tests, as a test."""

import os
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
MYPY = Path("/usr/bin/mypy")
"""Debian's own: it sees the libraries that the package depends on."""


def test_the_types_hold(tmp_path: Path) -> None:
    """Strictly, in sources and tests alike."""
    if not MYPY.exists():
        pytest.fail("no mypy: apt-get install mypy, or run tests/run static, which does")
    cache = os.environ.get("MYPY_CACHE_DIR", str(tmp_path))
    done = subprocess.run(
        [MYPY, "--strict", "--cache-dir", cache, "--no-error-summary"],
        cwd=TREE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
