"""The package by apt: from a signed repository, on a poisoned node, and to the next version."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from boot import package, repository
from boot.kubespray import CLUSTER_ADDRESSES, NODE_LOCAL
from boot.lab import Lab, open_lab
from boot.machine import nameservers
from boot.node import Node
from boot.outside import UPSTREAM
from boot.reader import Reader
from boot.repository import Keyring
from boot.waiting import wait_for

pytestmark = pytest.mark.boot

_KEY = "etc/apt/keyrings/dnsguard.asc"
_UNIT = "dnsguard.service"


@dataclass(frozen=True, slots=True)
class Shop:
    """A node in the middle of the incident, and the repository that it is told of."""

    lab: Lab
    repository: Path
    keyring: Keyring
    log: Path
    """Of the web server."""

    @property
    def node(self) -> Node:
        return self.lab.node


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, deb: Path) -> Iterator[Shop]:
    """Give them. The tests follow each other as a node's life does."""
    place = tmp_path_factory.mktemp("repository") / "served"
    with (
        open_lab(tmp_path_factory.mktemp("shop")) as lab,
        tempfile.TemporaryDirectory(prefix="gpg") as home,
        repository.keyring(Path(home, "k")) as keyring,
    ):
        done = repository.publish(place, keyring, deb)
        assert done.returncode == 0, done.stderr
        _tell(lab.node, place)
        lab.node.up()
        assert lab.node.nameservers() == [NODE_LOCAL]
        with repository.served(place, lab.outside.namespace) as log:
            yield Shop(lab, place, keyring, log)


def test_another_key_is_refused(shop: Shop) -> None:
    """The control: what somebody else has signed is not installed."""
    key = shop.node.tree / _KEY
    right = key.read_text()
    with (
        tempfile.TemporaryDirectory(prefix="gpg") as home,
        repository.keyring(Path(home, "k")) as other,
    ):
        key.write_text(other.public_key())
    try:
        updated = shop.node.try_("apt-get", "update", "--error-on=any")
        installed = shop.node.try_("apt-get", "install", "--yes", "dnsguard")
    finally:
        key.write_text(right)
    assert updated.returncode != 0
    assert "NO_PUBKEY" in updated.stderr
    assert installed.returncode != 0


def test_a_changed_index_is_refused(shop: Shop) -> None:
    """The key signs for every byte of it: here each index differs in its last one."""
    indexes = shop.repository.glob("dists/stable/main/**/*")
    kept = {path: path.read_bytes() for path in indexes if path.is_file()}
    try:
        for path, content in kept.items():
            path.write_bytes(content[:-1] + b"!")
        updated = shop.node.try_("apt-get", "update", "--error-on=any")
        installed = shop.node.try_("apt-get", "install", "--yes", "dnsguard")
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
    assert updated.returncode != 0
    assert installed.returncode != 0


def test_apt_installs_it_on_a_poisoned_node(shop: Shop) -> None:
    """With nothing but the key and the line of README.md; the indexes come by their hashes."""
    node = shop.node

    node.run("apt-get", "update", "--error-on=any")
    node.run("apt-get", "install", "--yes", "dnsguard")

    assert node.nameservers() == [UPSTREAM]
    assert node.property_of(_UNIT, "ActiveState") == "active"
    asked = shop.log.read_text().splitlines()
    assert [line for line in asked if "/by-hash/SHA256/" in line and '" 200 ' in line]
    assert f"http://{UPSTREAM} stable/main" in node.run("apt-cache", "policy", "dnsguard")


def test_apt_upgrades_it_without_an_instant_of_poison(shop: Shop, next_deb: Path) -> None:
    """A higher version takes over a guarded node: its file, its memory, what an operator holds."""
    node = shop.node
    wait_for("a verified upstream", lambda: _upstream(node) == "verified", seconds=20)
    node.run("dnsguard", "hold", "upstream")
    done = repository.publish(shop.repository, shop.keyring, next_deb)
    assert done.returncode == 0, done.stderr

    with Reader(node.tree / "etc/resolv.conf", _is_safe) as reader:
        node.run("apt-get", "update", "--error-on=any")
        node.run("apt-get", "upgrade", "--yes")

    assert reader.bad == []
    assert node.run("dnsguard", "--version").split()[-1] == package.NEXT
    assert node.status()["mode"] == "held"
    journal = node.run("journalctl", "--boot", "--output=cat", f"--unit={_UNIT}")
    assert f"started version={package.NEXT}" in journal
    assert "state_unreadable" not in journal
    assert node.property_of(_UNIT, "NRestarts") == "0"


def test_apt_goes_back_to_the_version_before(shop: Shop) -> None:
    """The repository keeps what it had; a downgrade has no instant of poison either."""
    node = shop.node
    downgrade = ("--yes", "--allow-downgrades", f"dnsguard={package.VERSION}")

    with Reader(node.tree / "etc/resolv.conf", _is_safe) as reader:
        node.run("apt-get", "install", *downgrade)

    assert reader.bad == []
    assert node.run("dnsguard", "--version").split()[-1] == package.VERSION
    assert node.nameservers() == [UPSTREAM]


def _tell(node: Node, place: Path) -> None:
    """Give the node the key and the line, and nothing else to install from."""
    key = node.tree / _KEY
    key.parent.mkdir(parents=True, exist_ok=True)
    key.write_bytes((place / "dnsguard.asc").read_bytes())
    line = f"deb [signed-by=/{_KEY}] {repository.URI} stable main\n"
    (node.tree / "etc/apt/sources.list").write_text(line)


def _upstream(node: Node) -> str:
    return str(node.status().get("upstream", {}).get("state"))


def _is_safe(text: str) -> bool:
    """Whether one of the nameservers is real."""
    return bool({*nameservers(text)} - CLUSTER_ADDRESSES)
