"""dnsguard installed before the reboot, and nothing configured: no incident, and no handover.

The tests share one node and go in this order.
"""

from pathlib import Path

import pytest
from boot.kubespray import NODE_LOCAL
from boot.waiting import wait_for
from managers.outside import FIRST

from node import claims
from node.images import REGISTRY
from node.lab import Lab

pytestmark = pytest.mark.node

_PULL_SECONDS = 15.0
"""The issue's bar."""


def test_images_are_pulled_after_the_reboot(lab: Lab, deb: Path) -> None:
    """Within 15 s of power on; both DNS pods have the real upstream."""
    node = lab.node
    node.install(deb)
    node.switch_on()
    image = f"{REGISTRY}/pod:new-3"
    pulled = node.wait_for_power_on("a pull", lambda: not node.pulls(image), seconds=90)
    claims.wait_for_both(node, FIRST, seconds=90)
    ready = node.wait_for_power_on("names in a pod", lambda: claims.app_resolves(node), seconds=90)
    print(f"pulled {pulled:.1f} s after power on; names in a pod after {ready:.1f} s")
    claims.have_upstream(node, FIRST)
    assert pulled < _PULL_SECONDS


def test_nothing_is_handed_over_and_status_says_why(lab: Lab) -> None:
    """For kubelet gives the file itself to pods."""
    node = lab.node
    claims.wait_until_healthy(node)
    assert node.nameservers() == [FIRST]
    status = node.status()
    assert status["mode"] == "guarding"
    assert any("kubelet gives /etc/resolv.conf to pods" in one for one in status["next"])
    assert "dnsguard kubelet adopt" in node.try_("dnsguard", "status").stdout
    assert status["kubelet"]["pods_file"] == "/etc/resolv.conf"
    assert claims.is_said_fine_for_pods(node)


def test_what_hostpath_mounts_see_of_a_repair(lab: Lab) -> None:
    """A mount of the file keeps the inode that was there when its pod began; one of /etc doesn't.

    README says so. Written in place, the poison reaches the first, and its repair, which is a
    file of its own, only the second.
    """
    node = lab.node
    assert node.seen_by("app", "/node/resolv.conf") == node.seen_by("app", "/node/etc/resolv.conf")
    resolv_conf = node.tree / "etc/resolv.conf"
    poison = f"nameserver {NODE_LOCAL}\n"
    node.run("sh", "-c", f"printf '{poison}' > /etc/resolv.conf")
    wait_for("the repair", lambda: node.nameservers() == [FIRST], seconds=20)
    assert node.seen_by("app", "/node/resolv.conf").strip() == poison.strip()
    assert node.seen_by("app", "/node/etc/resolv.conf").strip() == resolv_conf.read_text().strip()
    # A new pod begins with the new inode.
    lab.kubectl("delete", "pod", "-l=app=app", "--wait=true", "--grace-period=0", "--force")
    wait_for("a new pod's mount", lambda: _is_repaired_in_pod(lab), seconds=90, every=0.5)


def _is_repaired_in_pod(lab: Lab) -> bool:
    running = lab.node.container("app")
    seen = lab.node.try_("cat", f"/proc/{running.pid}/root/node/resolv.conf").stdout
    return f"nameserver {FIRST}" in seen
