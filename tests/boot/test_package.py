"""The package's life on a running, poisoned node: install, upgrade, remove, purge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from boot import kubespray
from boot.kubespray import CLUSTER_ADDRESSES, NODE_LOCAL, POD_FILE, POISON
from boot.lab import Lab, open_lab
from boot.machine import nameservers
from boot.node import Node
from boot.outside import REGISTRY, REGISTRY_ADDRESS, UPSTREAM
from boot.reader import Reader
from boot.waiting import wait_for

pytestmark = pytest.mark.boot

UNIT = "dnsguard.service"
GATE = "dnsguard-wait.service"
DEB = "/root/dnsguard.deb"

# Samples that a run has to take to say anything; a tight loop takes some ten thousand a second.
ENOUGH = 1000


@pytest.fixture(scope="module")
def bare_lab(tmp_path_factory: pytest.TempPathFactory, deb: Path) -> Iterator[Lab]:
    """Give a running node in the middle of the incident, with the package at hand."""
    with open_lab(tmp_path_factory.mktemp("package")) as lab:
        node = lab.node
        (node.tree / DEB.lstrip("/")).write_bytes(deb.read_bytes())
        node.up()
        assert node.nameservers() == [NODE_LOCAL]
        yield lab


@pytest.fixture
def node(bare_lab: Lab) -> Node:
    """Give the node with the package installed just now, over a poisoned file."""
    node = bare_lab.node
    node.run("dpkg", "--purge", "dnsguard")
    kubespray.poison(node.tree)
    node.run("dpkg", "--install", DEB)
    return node


def test_installing_ends_the_incident_at_once(node: Node) -> None:
    """When dpkg is done the guard is enabled and running, and names resolve."""
    assert node.nameservers() == [UPSTREAM]
    assert REGISTRY_ADDRESS in node.run("getent", "ahostsv4", REGISTRY)
    assert node.property_of(UNIT, "ActiveState") == "active"
    assert node.property_of(UNIT, "UnitFileState") == "enabled"


def test_an_upgrade_leaves_no_instant_without_a_nameserver(node: Node) -> None:
    """The old daemon guards until the new one takes over, and the new one does guard."""
    before = node.property_of(UNIT, "MainPID")

    with Reader(_file(node), _is_safe) as reader:
        node.run("dpkg", "--install", DEB)

    assert reader.bad == []
    assert reader.reads > ENOUGH
    assert node.property_of(UNIT, "MainPID") not in ("0", before)
    _file(node).write_text(POISON)
    wait_for("the repair", lambda: _is_safe(node.resolv_conf()), seconds=2)


def test_an_upgrade_leaves_the_boot_gate_as_it_is(node: Node) -> None:
    """Closed by an upgrade, it would hold kubelet's next restart as it holds a boot.

    A removal closes it: nobody is asked any more.
    """
    node.run("systemctl", "enable", "--now", GATE)
    opened = node.property_of(GATE, "InvocationID")

    node.run("dpkg", "--install", DEB)

    assert node.property_of(GATE, "ActiveState") == "active"
    assert node.property_of(GATE, "InvocationID") == opened
    node.run("dpkg", "--remove", "dnsguard")
    assert node.property_of(GATE, "ActiveState") == "inactive"


def test_a_reload_succeeds_and_keeps_the_daemon(node: Node) -> None:
    """`systemctl reload` is what an operator types after editing dnsguard.toml."""
    before = node.property_of(UNIT, "MainPID")

    node.run("systemctl", "reload", UNIT)

    # systemctl returns with ExecReload=, and the daemon says RELOADING=1 and READY=1 behind it.
    wait_for("it", lambda: node.property_of(UNIT, "ActiveState") == "active", seconds=5)
    assert node.property_of(UNIT, "MainPID") == before


def test_removing_leaves_a_file_that_resolves_names(node: Node) -> None:
    """Nothing runs any more, and pods and node still have their real nameserver."""
    with Reader(_file(node), _is_safe) as reader:
        node.run("dpkg", "--remove", "dnsguard")

    assert reader.bad == []
    assert reader.reads > ENOUGH
    assert node.property_of(UNIT, "ActiveState") == "inactive"
    assert nameservers((node.tree / POD_FILE.lstrip("/")).read_text()) == [UPSTREAM]
    assert REGISTRY_ADDRESS in node.run("getent", "ahostsv4", REGISTRY)


def test_removing_gives_a_managers_link_back(node: Node) -> None:
    """A stop does not, while it leads to cluster DNS; the removal leaves real servers there."""
    managed = "/run/NetworkManager/resolv.conf"
    node.run("sh", "-c", f"mkdir -p /run/NetworkManager; echo nameserver {NODE_LOCAL} >{managed}")
    node.run("ln", "-sfn", f"..{managed}", "/etc/resolv.conf")
    try:
        named = f"in the place of a link to ..{managed}"
        wait_for("a file", lambda: named in node.run("dnsguard", "status"), seconds=10)
        node.run("systemctl", "stop", UNIT)
        assert node.nameservers() == [UPSTREAM]
        done = node.try_("dpkg", "--remove", "dnsguard")
        assert f"is a link to ..{managed} again. That named no real server" in done.stderr
        assert node.run("readlink", "/etc/resolv.conf") == f"..{managed}"
        assert nameservers(node.run("cat", "/etc/resolv.conf")) == [UPSTREAM]
    finally:
        node.run("rm", "/etc/resolv.conf")


def test_the_file_stays_safe_when_the_daemon_is_killed(node: Node) -> None:
    """Kill -9 leaves a file that resolves names, and systemd starts the daemon again."""
    before = node.property_of(UNIT, "MainPID")

    with Reader(_file(node), _is_safe) as reader:
        node.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT)
        wait_for("a new daemon", lambda: node.status().get("mode") == "guarding", seconds=10)

    assert reader.bad == []
    assert node.property_of(UNIT, "MainPID") != before


def test_systemd_secures_the_file_behind_a_daemon_that_hangs(node: Node) -> None:
    """A poison that a stopped process could not repair is repaired when systemd ends the unit."""
    node.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", UNIT)
    _file(node).write_text(POISON)

    node.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT)
    node.run("systemctl", "stop", UNIT)

    assert node.property_of(UNIT, "ActiveState") != "active"
    assert _is_safe(node.resolv_conf())


def test_a_file_poisoned_while_it_was_stopped_is_safe_after_the_start(node: Node) -> None:
    """READY comes after the repair: `systemctl start` returns with a safe file."""
    node.run("systemctl", "stop", UNIT)
    _file(node).write_text(POISON)

    node.run("systemctl", "start", UNIT)

    assert node.nameservers() == [UPSTREAM]


def test_purging_leaves_nothing_of_it(node: Node) -> None:
    """No file of its name is on the disk, and resolv.conf still resolves names."""
    node.run("dpkg", "--purge", "dnsguard")

    assert _is_safe(node.resolv_conf())
    assert _named_after_it(node) == []


def test_removal_tells_of_a_kubelet_that_still_reads_its_file(node: Node) -> None:
    """The file stays and resolves names, but nobody learns of a new upstream.

    And of what poisons the next boot, which nobody repairs then.
    """
    kubespray.point_kubelet_at(node.tree, "/etc/resolv.conf")
    first = node.try_("dpkg", "--remove", "dnsguard")
    quiet = first.stdout
    node.run("dpkg", "--install", DEB)
    kubespray.point_kubelet_at(node.tree, POD_FILE)

    said = node.run("dpkg", "--remove", "dnsguard")

    assert f"kubelet still gives pods {POD_FILE} (/etc/kubernetes/kubelet-config.yaml)" in said
    assert "dnsguard kubelet adopt --undo --restart" in said
    assert "kubelet still" not in quiet
    assert "poisons /etc/resolv.conf again: /etc/dhcp/dhclient.conf:" in first.stderr
    assert nameservers((node.tree / POD_FILE.lstrip("/")).read_text()) == [UPSTREAM]


def test_purging_keeps_what_a_kubelet_still_reads(node: Node) -> None:
    """Kubelet can't make a pod whose resolv.conf is missing: that one file stays."""
    kubespray.point_kubelet_at(node.tree, POD_FILE)

    node.run("dpkg", "--purge", "dnsguard")

    assert _named_after_it(node) == ["var/lib/dnsguard"]
    kept = node.tree / POD_FILE.lstrip("/")
    assert [*kept.parent.iterdir()] == [kept]
    assert nameservers(kept.read_text()) == [UPSTREAM]


def _file(node: Node) -> Path:
    return node.tree / "etc/resolv.conf"


def _is_safe(text: str) -> bool:
    """Whether one of the nameservers is real."""
    return bool({*nameservers(text)} - CLUSTER_ADDRESSES)


def _named_after_it(node: Node) -> list[str]:
    """Return every path with its name, but for the .deb itself and the topmost one only."""
    found = {path.relative_to(node.tree) for path in node.tree.rglob("*dnsguard*")}
    found.discard(Path(DEB.lstrip("/")))
    return sorted(str(path) for path in found if found.isdisjoint(path.parents))
