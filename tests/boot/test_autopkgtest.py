"""Debian's own tests of the installed package (packaging/debian/tests), by autopkgtest.

The testbed is a booted node that is poisoned and reached by ssh.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from boot.controller import Fleet, address_of, open_fleet
from boot.kubespray import NODE_LOCAL
from boot.package import ROOT

pytestmark = pytest.mark.boot

NODE = "testbed"
_SECONDS = 600


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with open_fleet(tmp_path_factory.mktemp("autopkgtest"), (NODE,)) as fleet:
        fleet.start(NODE)
        yield fleet


def test_every_test_of_the_package_passes(fleet: Fleet, deb: Path, tmp_path: Path) -> None:
    """None is skipped, neither: the testbed has systemd, and an upstream that answers."""
    node = fleet.nodes[NODE]
    assert node.nameservers() == [NODE_LOCAL]
    source = tmp_path / "source"
    (source / "debian").mkdir(parents=True)
    subprocess.run(["cp", "-R", f"{ROOT}/packaging/debian/.", source / "debian"], check=True)
    # To autopkgtest a tree that has been built: the testbed needs nothing to build with.
    (source / "debian/files").write_text(f"{deb.name} admin optional\n")

    done = _run_autopkgtest(fleet, deb, source, tmp_path / "out")

    lines = (tmp_path / "out/summary").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["smoke", "PASS"], ["repair", "PASS"]], done
    assert NODE_LOCAL not in node.nameservers()


def _run_autopkgtest(fleet: Fleet, deb: Path, source: Path, out: Path) -> str:
    """Run it out there, and return what it said."""
    key = fleet.directory / "key"
    testbed = (
        *("ssh", "--hostname", address_of(fleet.nodes[NODE]), "--login", "root"),
        *("--identity", str(key), "--capability", "isolation-container"),
        "--options=-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no",
    )
    command = ("autopkgtest", "--no-built-binaries", f"--output-dir={out}", str(deb), str(source))
    done = subprocess.run(
        fleet.outside.namespace.inside("setpriv", "--pdeathsig=KILL", *command, "--", *testbed),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
    )
    return done.stdout
