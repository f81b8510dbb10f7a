"""The package under test."""

import os
import subprocess
from pathlib import Path

from boot import tree

_ROOT = Path(__file__).parents[2]


def build(out: Path) -> Path:
    """Return the package: built from this tree once into ``out``, or DNSGUARD_TEST_DEB's."""
    if given := os.environ.get("DNSGUARD_TEST_DEB"):
        return Path(given)
    out.mkdir(exist_ok=True)
    with tree.locked(out / "lock"):  # pytest's workers share it
        if not (found := list(out.glob("*.deb"))):
            command = [_ROOT / "packaging/build", out]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            found = list(out.glob("*.deb"))
    return found[0]
