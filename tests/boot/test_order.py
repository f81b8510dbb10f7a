"""The guard's place in the boot."""

import pytest

from boot.lab import Lab

pytestmark = pytest.mark.boot

UNIT = "dnsguard.service"


def test_it_is_ready_before_the_network_and_kubelet_start(guarded_lab: Lab) -> None:
    """READY means that the file is safe; nobody who reads or poisons it starts earlier.

    Nor does systemd leave a unit out: it does that to break an ordering cycle.
    """
    node = guarded_lab.node
    node.up()
    ready = int(node.property_of(UNIT, "ActiveEnterTimestampMonotonic"))

    assert ready > 0
    for unit in ("networking.service", "kubelet.service"):
        assert ready < int(node.property_of(unit, "ExecMainStartTimestampMonotonic")), unit
    assert "ordering cycle" not in node.run("journalctl", "--boot", "--no-pager")
    assert node.run("systemctl", "list-units", "--failed", "--plain", "--no-legend") == ""


def test_it_is_ordered_before_the_network(running_lab: Lab) -> None:
    """By systemd.special(7)'s target for that, not by being lucky in the test above."""
    node = running_lab.node

    assert "network-pre.target" in node.property_of(UNIT, "Before").split()
    assert "network-pre.target" in node.property_of("networking.service", "After").split()
    assert node.property_of("network-pre.target", "ActiveState") == "active"


def test_it_is_ordered_before_every_container_runtime(running_lab: Lab) -> None:
    """Those that this node doesn't have included."""
    before = running_lab.node.property_of(UNIT, "Before").split()

    assert {"kubelet.service", "containerd.service", "docker.service", "crio.service"} <= {*before}
