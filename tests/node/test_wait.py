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
        held = _started(node, "kubelet.service") - _started(node, "dnsguard.service")
        print(f"kubelet was held for {held:.1f} s")
        assert held >= _CAP - 1
        claims.wait_for_both(node, FIRST, seconds=90)
    claims.have_upstream(node, FIRST)


def _started(node: KubernetesNode, unit: str) -> float:
    """Return when it became active, in seconds of the node's clock; 0: not yet."""
    told = node.try_(
        "systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", unit
    ).stdout.strip()
    return int(told or 0) / 1e6
