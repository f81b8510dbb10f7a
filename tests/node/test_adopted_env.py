"""A node whose kubelet has adopted dnsguard's file, told so by a flag in kubelet.env.

The tests share one node and go in this order. What NodeLocalDNS needs goes away, and then
dnsguard with all that is its own.
"""

from pathlib import Path

import pytest
from boot.waiting import wait_for
from managers.outside import FIRST

from node import files, handover
from node.lab import Lab
from node.shapes import KUBELET_ENV

pytestmark = pytest.mark.node

SHAPE = KUBELET_ENV


def test_it_is_found_and_adopted(lab: Lab, deb: Path) -> None:
    """In kubelet.env, which kubelet's unit reads."""
    handover.adopt(lab, deb, files.KUBELET_ENV)


def test_the_reboot_is_handed_over(lab: Lab) -> None:
    """Within 20 s of power on."""
    handover.reboot(lab)


def test_it_is_taken_back_without_coredns(lab: Lab) -> None:
    """Scaled to 0, CoreDNS leaves NodeLocalDNS its cache and no names of the cluster."""
    handover.survive(lab, "CoreDNS scaled to 0", _scale)


def _scale(lab: Lab) -> None:
    scale = ("scale", "--namespace=kube-system", "deployment/coredns")
    lab.kubectl(*scale, "--replicas=0")
    wait_for("taken back", lambda: lab.node.nameservers() == [FIRST], seconds=120)
    lab.kubectl(*scale, "--replicas=1")


@pytest.mark.parametrize("unit", ["containerd.service", "kubelet.service"])
def test_a_restart_changes_nothing_for_pods(lab: Lab, unit: str) -> None:
    """Containers go on, and the node is handed over."""
    handover.survive_restart(lab, unit)


def test_purged_it_leaves_a_node_that_resolves(lab: Lab) -> None:
    """Of all its files the one that kubelet reads stays."""
    handover.take_away(lab, "--purge")
