"""What an operator types on the booted node, and what systemd shows of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from boot.kubespray import NODE_LOCAL, POD_FILE
from boot.lab import Lab, open_lab
from boot.node import Node
from boot.outside import UPSTREAM
from boot.waiting import wait_for

pytestmark = pytest.mark.boot

UNIT = "dnsguard.service"
GATE = "dnsguard-wait.service"
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, deb: Path) -> Iterator[Lab]:
    """Give a running, guarded node whose kubelet reads the file for pods."""
    with open_lab(tmp_path_factory.mktemp("operator")) as made:
        made.node.install(deb)
        made.node.up()
        made.node.point_kubelet_at(POD_FILE)
        yield made


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.node


def test_systemctl_shows_mode_and_reason(node: Node) -> None:
    """In the Status line, and what it says follows the mode."""
    said = node.property_of(UNIT, "StatusText")
    assert said.startswith(f"guarding: {UPSTREAM}; ")
    assert "waits until NodeLocalDNS is healthy" in said
    with node.nodelocaldns():
        node.wait_for_mode("handed-over")
        handed = f"handed-over: {NODE_LOCAL} {UPSTREAM}"
        wait_for("it", lambda: node.property_of(UNIT, "StatusText").startswith(handed), seconds=5)


def test_only_root_holds_and_everybody_sees_it(node: Node) -> None:
    """An unprivileged user is refused by the kernel's word, and may look."""
    refused = node.try_(*AS_NOBODY, "dnsguard", "hold", "upstream")
    assert refused.returncode == 77
    assert "only root may" in refused.stderr
    node.run("dnsguard", "hold", "upstream", "--for", "1h")
    assert "HELD" in node.run(*AS_NOBODY, "dnsguard", "status")
    assert node.property_of(UNIT, "StatusText").startswith("held: ")


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_hold_survives_a_restart(node: Node, end: str) -> None:
    """By systemctl, and by systemd after a kill -9."""
    node.run("dnsguard", "hold", "upstream", "--for", "1h")
    before = node.property_of(UNIT, "MainPID")
    if end == "restart":
        node.run("systemctl", "restart", UNIT)
    else:
        node.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT)
    wait_for(
        "a new daemon",
        lambda: bool(node.status().get("pid", int(before)) != int(before)),
        seconds=10,
    )
    assert node.status()["mode"] == "held"
    node.run("dnsguard", "release")
    assert node.status()["mode"] == "guarding"


def test_stopped_it_can_be_restored_by_hand(node: Node) -> None:
    """What somebody else wrote last comes back; the guard repairs it when it is started."""
    node.run("systemctl", "stop", UNIT)
    said = node.run("dnsguard", "restore", "--yes")
    assert f"+nameserver {NODE_LOCAL}" in said
    assert node.nameservers() == [NODE_LOCAL]
    node.run("systemctl", "start", UNIT)
    assert node.nameservers() == [UPSTREAM]


def test_the_gate_is_off_and_holds_kubelet_once_enabled(node: Node) -> None:
    """Enabled, it is ordered before kubelet, and ends when an upstream has answered."""
    assert node.property_of(GATE, "UnitFileState") == "disabled"
    node.run("systemctl", "enable", GATE)
    assert "kubelet.service" in node.property_of(GATE, "Before").split()
    assert GATE in node.property_of("kubelet.service", "Wants").split()
    node.run("systemctl", "start", GATE)
    assert node.property_of(GATE, "Result") == "success"
    assert node.property_of(GATE, "ExecMainStatus") == "0"
    node.run("systemctl", "disable", GATE)
