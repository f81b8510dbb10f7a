"""The package's life as piuparts sees it: what was not there before is not there after.

On a booted node, whose whole disk is compared; piuparts itself knows chroots only, in which no
daemon runs and nothing is ever written.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from boot import manifest, package
from boot.lab import Lab, open_lab
from boot.manifest import Manifest
from boot.node import Node
from boot.waiting import wait_for

pytestmark = pytest.mark.boot

_DEB, _NEXT = "/root/now.deb", "/root/next.deb"
_STATE = "var/lib/dnsguard"
_CONFFILES = frozenset(
    {
        "etc/dnsguard",
        "etc/dnsguard/dnsguard.toml",
        "etc/dhcp/dhclient-enter-hooks.d/dnsguard",
    }
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, deb: Path, next_deb: Path) -> Iterator[Lab]:
    """Give a running node with both versions at hand."""
    with open_lab(tmp_path_factory.mktemp("cycle")) as lab:
        for name, file in ((_DEB, deb), (_NEXT, next_deb)):
            (lab.node.tree / name.lstrip("/")).write_bytes(file.read_bytes())
        lab.node.up()
        yield lab


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.node


@pytest.fixture(scope="module")
def before(lab: Lab) -> Manifest:
    """Return the disk of a node that never had the package."""
    return manifest.take(lab.node.tree)


def test_removed_it_leaves_its_configuration_and_its_memory(node: Node, before: Manifest) -> None:
    """Conffiles, as policy has it, and the file that kubelet may still read."""
    _install(node, _DEB)
    node.run("dpkg", "--remove", "dnsguard")

    found = manifest.compare(before, manifest.take(node.tree))

    left = {path for path in found.more if not path.startswith(_STATE)}
    assert left - _helpers(left) == _CONFFILES
    assert f"{_STATE}/resolv.conf" in found.more
    assert not found.less
    assert not found.other


def test_reinstalled_it_runs_as_on_the_first_day(node: Node) -> None:
    """What the removal left is taken up again."""
    _install(node, _DEB)
    assert node.property_of("dnsguard.service", "UnitFileState") == "enabled"


def test_an_upgrade_leaves_nothing_of_the_old_version(node: Node) -> None:
    """Every file of the package's name is one of the new package's, or its state."""
    _install(node, _NEXT)
    assert node.run("dnsguard", "--version").split()[-1] == package.NEXT
    listed = set(node.run("dpkg", "--listfiles", "dnsguard").splitlines())
    place = node.tree / "usr/lib/python3/dist-packages"
    ours = [
        path
        for path in (*place.glob("dnsguard*"), *place.glob("dnsguard/**/*"))
        if "__pycache__" not in path.parts
    ]
    assert [path for path in ours if f"/{path.relative_to(node.tree)}" not in listed] == []
    # The lab's trees are made without documentation (boot.tree).
    wrong = node.try_("dpkg", "--verify", "dnsguard").stdout.splitlines()
    assert [line for line in wrong if "/usr/share/doc/" not in line and "/man/" not in line] == []


def test_purged_it_was_never_there(node: Node, before: Manifest) -> None:
    """After install, removal, reinstallation and upgrade: the disk is what it was."""
    node.run("dpkg", "--purge", "dnsguard")
    assert not manifest.compare(before, manifest.take(node.tree))


def test_a_purge_without_a_removal_before_leaves_nothing_neither(
    node: Node, before: Manifest
) -> None:
    """Straight from a running daemon."""
    _install(node, _DEB)
    node.run("dpkg", "--purge", "dnsguard")
    assert not manifest.compare(before, manifest.take(node.tree))


def test_what_is_left_would_be_found(node: Node, before: Manifest) -> None:
    """The control: a file more, one less, and one with another mode."""
    made = node.tree / "etc/left"
    made.write_text("")
    hosts = node.tree / "etc/hosts"
    hosts.chmod(0o600)
    try:
        found = manifest.compare(before, manifest.take(node.tree))
    finally:
        made.unlink()
        hosts.chmod(0o644)
    assert found == manifest.Difference(
        more=frozenset({"etc/left"}), less=frozenset(), other=frozenset({"etc/hosts"})
    )


def _install(node: Node, deb: str) -> None:
    """Install, and give the daemon the time to write what it writes."""
    node.run("dpkg", "--install", deb)
    wait_for("a mode", lambda: node.status().get("mode") == "guarding", seconds=20)


def _helpers(paths: set[str]) -> set[str]:
    """Return what deb-systemd-helper(1p) keeps until the purge, to enable again as it was."""
    return {path for path in paths if "deb-systemd-helper" in path or path.endswith(".wants")} | {
        path for path in paths if path.startswith("etc/systemd/system/")
    }
