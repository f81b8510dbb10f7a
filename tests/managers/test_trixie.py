"""The package on Debian 13: built there, and installed as it was built."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from managers import trees
from managers.overlay import Overlay

pytestmark = pytest.mark.managers

_SOURCE = Path(__file__).parents[2]
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}


@pytest.fixture
def trixie(tmp_path: Path) -> Iterator[Path]:
    """Give a Debian 13 that can build packages, and has no network for it."""
    overlay = Overlay(trees.unpacked(trees.TRIXIE_BUILD), tmp_path)
    yield overlay.tree
    overlay.close()


@pytest.mark.xdist_group("trixie-build")
def test_the_package_builds_and_installs_on_debian_13_without_a_warning(trixie: Path) -> None:
    """Its setuptools deprecates what Debian 12's demands, and its dpkg is stricter."""
    copy = trixie / "root/dnsguard"
    subprocess.run(["cp", "--recursive", "--no-target-directory", _SOURCE, copy], check=True)
    built = _run_in(trixie, "/root/dnsguard/packaging/build", "/root")
    deb = built.splitlines()[-1]
    installed = _run_in(trixie, "dpkg", "--install", deb)
    said = f"{built}\n{installed}"
    assert "warning" not in said.lower(), said
    assert "0.1.0" in _run_in(trixie, "dnsguard", "--version")


def _run_in(tree: Path, *command: str) -> str:
    """Run a command in there, cut off from every network; return all that it said."""
    alone = ("unshare", "--net", "--pid", "--fork", f"--root={tree}", "--mount-proc")
    done = subprocess.run(
        [*alone, *command],
        check=False,
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
