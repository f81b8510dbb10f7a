"""A node whose kubelet has adopted dnsguard's file, told so in kubelet-config.yaml.

The tests share one node and go in this order. NodeLocalDNS breaks in three ways, and then
dnsguard is removed.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from boot.waiting import wait_for
from managers.outside import FIRST

from node import files, handover
from node.lab import Lab

pytestmark = pytest.mark.node


def test_it_is_found_and_adopted(lab: Lab, deb: Path) -> None:
    """In the YAML, where Kubespray says what pods get."""
    handover.adopt(lab, deb, f"{files.KUBELET_CONFIG}: resolvConf")


def test_the_reboot_is_handed_over(lab: Lab) -> None:
    """Within 20 s of power on."""
    handover.reboot(lab)


def _kill(lab: Lab) -> None:
    lab.node.run("kill", "-KILL", str(lab.node.container("node-cache").pid))


def _hang(lab: Lab) -> None:
    pid = str(lab.node.container("node-cache").pid)
    lab.node.run("kill", "-STOP", pid)
    wait_for("taken back", lambda: lab.node.nameservers() == [FIRST], seconds=30)
    lab.node.run("kill", "-CONT", pid)


def _delete(lab: Lab) -> None:
    lab.kubectl(
        "delete", "pod", "--namespace=kube-system", "-l=k8s-app=node-local-dns", "--wait=false"
    )


@pytest.mark.parametrize("fault", [_kill, _hang, _delete])
def test_it_is_taken_back_and_handed_over_again(lab: Lab, fault: Callable[[Lab], None]) -> None:
    """NodeLocalDNS is killed, it hangs, its pod is deleted: who pulls every second loses none."""
    handover.survive(lab, f"NodeLocalDNS, {fault.__name__.strip('_')}", fault)


def test_removed_it_leaves_a_node_that_resolves(lab: Lab) -> None:
    """With pods running, and for pods that come later."""
    handover.take_away(lab, "--remove")
