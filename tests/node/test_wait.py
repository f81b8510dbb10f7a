"""dnsguard-wait with the real units of kubelet and containerd.

The tests share one node and go in this order.
"""

from pathlib import Path

import pytest
from boot.waiting import wait_for
from managers.outside import FIRST

from node import claims
from node.lab import Lab
from node.node import KubernetesNode

pytestmark = pytest.mark.node

_CAP = 30.0
"""Seconds: dnsguard-wait.service's own."""
_ORDER = ("dnsguard.service", "dnsguard-wait.service", "kubelet.service")


def test_kubelet_comes_after_an_upstream_has_answered(lab: Lab, deb: Path) -> None:
    """No cycle, and the order that dnsguard(8) documents."""
    node = lab.node
    node.install(deb)
    node.start()
    node.run("systemctl", "enable", "dnsguard-wait.service")
    node.shut_down()
    node.start()
    assert "ordering cycle" not in node.run("journalctl", "--no-pager", "--boot")
    starts = [_started(node, unit) for unit in _ORDER]
    print(dict(zip(_ORDER, starts, strict=True)))
    assert starts == sorted(starts)
    claims.wait_for_both(node, FIRST, seconds=90)
    node.cut_power()


def test_its_cap_lets_kubelet_go(lab: Lab) -> None:
    """Without an upstream that answers, kubelet starts all the same, and pods get no poison."""
    node = lab.node
    with lab.cluster.silent(FIRST):
        node.switch_on()
        wait_for("kubelet runs", lambda: bool(_started(node, "kubelet.service")), seconds=120)
        begun = _moment(node, "dnsguard-wait.service", "InactiveExit")
        held = _started(node, "kubelet.service") - begun
        print(f"kubelet was held for {held:.1f} s")
        assert held >= _CAP - 1
        claims.wait_for_both(node, FIRST, seconds=90)
    claims.have_upstream(node, FIRST)


def _started(node: KubernetesNode, unit: str) -> float:
    """Return when it became active; 0: not yet."""
    return _moment(node, unit, "ActiveEnter")


def _moment(node: KubernetesNode, unit: str, what: str) -> float:
    """Return when a unit did this (org.freedesktop.systemd1), in seconds of the node's clock."""
    name = f"--property={what}TimestampMonotonic"
    return int(node.try_("systemctl", "show", "--value", name, unit).stdout.strip() or 0) / 1e6
