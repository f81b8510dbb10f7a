"""packaging/install on the node that it is for: poisoned, so that apt finds nobody."""

import shutil
from pathlib import Path

import pytest

from boot.lab import Lab
from boot.mirror import mirror
from boot.node import Node
from boot.outside import MIRROR, UPSTREAM
from boot.waiting import wait_for

pytestmark = pytest.mark.boot

_ROOT = Path(__file__).parents[2]
_SOURCES = "/root/dnsguard"
_LOG = "/root/install.log"
_UNIT = "install.service"
_SECONDS = 600


def test_a_poisoned_node_is_made_safe_and_guarded(lab: Lab) -> None:
    """It is safe before anything is fetched; what the build needs is not installed.

    The control is the same node before: nobody tells it where the mirror is.
    """
    node = lab.node
    _give_the_sources(node)
    node.up()
    assert node.try_("timeout", "3", "getent", "ahosts", MIRROR).returncode != 0
    before = node.run("dpkg", "--get-selections").splitlines()

    with mirror(lab.outside.namespace):
        status = _install(node)
    log = (node.tree / _LOG.lstrip("/")).read_text()

    assert status == "0", log
    assert log.index("making this node safe first") < log.index("fetching what the build needs")
    assert f"/etc/resolv.conf has {UPSTREAM}, and names resolve" in log
    assert node.nameservers() == [UPSTREAM]
    assert node.property_of("dnsguard.service", "ActiveState") == "active"
    added = set(node.run("dpkg", "--get-selections").splitlines()) - set(before)
    assert [line.split()[0] for line in added] == ["dnsguard"]
    left = (*node.tree.glob("tmp/dnsguard-*"), *node.tree.glob("var/tmp/dnsguard-*"))
    assert not left


def _give_the_sources(node: Node) -> None:
    ignore = shutil.ignore_patterns(".git", "__pycache__", ".*_cache")
    shutil.copytree(_ROOT, node.tree / _SOURCES.lstrip("/"), ignore=ignore)
    apt = node.tree / "etc/apt/sources.list"
    apt.write_text(f"deb http://{MIRROR} bookworm main\n")


def _install(node: Node) -> str:
    """Return its exit status. It takes longer than a command in a node may."""
    output = (f"--property=StandardOutput=append:{_LOG}", f"--property=StandardError=append:{_LOG}")
    node.run(
        "systemd-run",
        f"--unit={_UNIT}",
        "--remain-after-exit",
        *output,
        f"{_SOURCES}/packaging/install",
    )
    wait_for(
        "packaging/install has ended",
        lambda: node.property_of(_UNIT, "SubState") in ("exited", "failed"),
        seconds=_SECONDS,
    )
    return node.property_of(_UNIT, "ExecMainStatus")
