"""ruff, over everything, as a test: what it says is the house's style."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from lab import needs

TREE = Path(__file__).parents[2]
CACHE = Path(os.environ.get("DNSGUARD_TEST_CACHE", "/var/cache/dnsguard-tests"))


@pytest.fixture(scope="module")
def ruff() -> str:
    """Return ruff's path: Debian 12 has none, so tests/run installs it and says where."""
    named = (os.environ.get("DNSGUARD_RUFF"), os.environ.get("RUFF"))
    kept = str(CACHE / "ruff-venv/bin/ruff")
    candidates = (name for name in (*named, kept, "ruff") if name)
    found = next((path for name in candidates if (path := shutil.which(name))), None)
    if found is None:
        needs.leave_out(f"ruff: tests/run static gets it from PyPI, or set DNSGUARD_RUFF ({kept})")
    return found


def _run(ruff: str, *arguments: str) -> None:
    done = subprocess.run(
        [ruff, *arguments, "--no-cache", "dnsguard", "tests"],
        cwd=TREE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_code_is_lint_clean(ruff: str) -> None:
    """Every rule that pyproject.toml selects holds, everywhere."""
    _run(ruff, "check", "--no-fix")


def test_the_code_is_formatted(ruff: str) -> None:
    """One formatter owns the layout."""
    _run(ruff, "format", "--check")
