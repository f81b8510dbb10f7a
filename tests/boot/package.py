"""The package under test."""

import os
import shutil
import subprocess
from pathlib import Path

from lab.lock import locked

from dnsguard import __version__

ROOT = Path(__file__).parents[2]
VERSION = __version__
NEXT = f"{__version__}.1"
_VERSIONS = {
    "dnsguard/__init__.py": '__version__ = "{}"',
    "pyproject.toml": 'version = "{}"',
    "packaging/debian/changelog": "dnsguard ({}) ",
}
"""Each place where a release names itself, and its words."""


def build(out: Path) -> Path:
    """Return the package: built from this tree once into ``out``, or DNSGUARD_TEST_DEB's."""
    if given := os.environ.get("DNSGUARD_TEST_DEB"):
        return Path(given)
    out.mkdir(exist_ok=True)
    with locked(out / "lock"):  # pytest's workers share it
        found = list(out.glob("*.deb"))
        return found[0] if found else _build(ROOT, out)


def build_next(out: Path) -> Path:
    """Return what an upgrade brings: this tree's package with :data:`NEXT` as its version."""
    copy = out / "tree"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", ".*_cache"))
    for name, line in _VERSIONS.items():
        file = copy / name
        text = file.read_text()
        assert line.format(VERSION) in text
        file.write_text(text.replace(line.format(VERSION), line.format(NEXT), 1))
    return _build(copy, out)


def _build(tree: Path, out: Path) -> Path:
    command = [tree / "packaging/build", out]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    (found,) = out.glob("*.deb")
    return found
