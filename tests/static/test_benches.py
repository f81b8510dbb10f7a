"""The benches on a machine that lacks what they need."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("restore", "util-linux iproute2 gcc libc6-dev inotify-tools"),
        ("footprint", "util-linux iproute2 gcc libc6-dev"),
        ("failover", "util-linux iproute2"),
        ("fleet", "util-linux iproute2 dnsmasq-base"),
    ],
)
def test_what_is_missing_is_said_in_a_line(name: str, packages: str) -> None:
    """With the command that brings it, instead of a traceback."""
    done = subprocess.run(
        [sys.executable, BENCH / name],
        env={"PATH": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("cannot measure: ")
    assert done.stderr.endswith(f" missing: apt-get install {packages}\n")
    assert done.stderr.count("\n") == 1
