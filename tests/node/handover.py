"""Adopting, handing over, taking back: what both kinds of adopted nodes are put through."""

import time
from collections.abc import Callable
from pathlib import Path

from boot.kubespray import NODE_LOCAL, POD_FILE
from boot.waiting import wait_for
from managers.outside import FIRST

from node import claims
from node.images import REGISTRY
from node.lab import Lab
from node.node import KubernetesNode
from node.pulling import Puller

_HANDED_OVER_SECONDS = 20.0
"""The issue's bar, from power on."""
_AGAIN_SECONDS = 150.0
_IMAGE = f"{REGISTRY}/pod:1"
# Faults come here in a row; that each break has the next handover wait longer is told elsewhere.
_CONFIG = "[health]\nhold_down = 1\n"


def adopt(lab: Lab, deb: Path, set_in: str) -> None:
    """Install on the healthy node, before the reboot, and have kubelet adopt the file.

    :param set_in: where ``dnsguard kubelet`` has to find what pods get.
    """
    node = lab.node
    node.install(deb)
    (node.tree / "etc/dnsguard/dnsguard.toml").write_text(_CONFIG)
    node.start()
    told = node.try_("dnsguard", "kubelet").stdout
    assert set_in in told, told
    adopted = node.try_("dnsguard", "kubelet", "adopt", "--restart")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    wait_for("kubelet gives the file", lambda: _pods_file(node) == POD_FILE, seconds=60)
    node.cut_power()


def reboot(lab: Lab) -> None:
    """See that the reboot is handed over, and that no pod has a cluster address for upstream."""
    node = lab.node
    node.switch_on()
    handed_over = node.wait_for_power_on("handed over", lambda: is_done(node), seconds=120)
    print(f"handed over {handed_over:.1f} s after power on")
    claims.wait_for_both(node, FIRST, seconds=60)
    claims.have_upstream(node, FIRST)
    wait_for("a pod resolves", lambda: claims.app_resolves(node), seconds=60, every=0.2)
    assert claims.is_said_fine_for_pods(node)
    assert handed_over < _HANDED_OVER_SECONDS


def survive(lab: Lab, what: str, fault: Callable[[Lab], None]) -> None:
    """See that a fault of NodeLocalDNS costs nobody who pulls every second anything."""
    node = lab.node
    wait_until_done(node)
    before = _times_taken_back(node)
    with Puller(node, _IMAGE) as puller:
        begun = time.monotonic()
        fault(lab)
        wait_for("taken back", lambda: _times_taken_back(node) > before, seconds=60)
        taken_back = time.monotonic() - begun
        wait_until_done(node)
        again = time.monotonic() - begun
    print(f"{what}: taken back by {taken_back:.1f} s, handed over again {again:.1f} s; {puller}")
    assert not puller.lost
    claims.wait_for_both(node, FIRST, seconds=60)
    claims.have_upstream(node, FIRST)
    assert claims.is_said_fine_for_pods(node)


def survive_restart(lab: Lab, unit: str) -> None:
    """See that containers go on beside the restart of a service, and names, too."""
    node = lab.node
    wait_until_done(node)
    before = [node.container(name).id for name in claims.BOTH]
    node.run("systemctl", "restart", unit)
    wait_for("somebody to ask for a pull", lambda: node.has_runtime, seconds=30)
    with Puller(node, _IMAGE) as puller:
        wait_for("some pulls", lambda: len(puller.pulls) >= 5, seconds=90)
    print(f"{unit} restarted: {puller}")
    assert not puller.lost
    assert [node.container(name).id for name in claims.BOTH] == before
    wait_until_done(node)
    claims.have_upstream(node, FIRST)
    assert claims.is_said_fine_for_pods(node)


def take_away(lab: Lab, how: str) -> None:
    """See that the node resolves without the package, and pods, old and new ones.

    :param how: dpkg's option. kubelet's file stays, because kubelet reads it.
    """
    node = lab.node
    told = node.run("dpkg", how, "dnsguard")
    print(told)
    assert f"kubelet still gives pods {POD_FILE}" in told
    if how == "--purge":
        assert f"{POD_FILE} stays" in told
    assert node.nameservers() == [FIRST]
    claims.have_upstream(node, FIRST)
    dns_pods = ("--namespace=kube-system", "--all", "--grace-period=0", "--force")
    lab.kubectl("delete", "pods", *dns_pods)
    claims.wait_for_both(node, FIRST, seconds=120)
    claims.have_upstream(node, FIRST)
    assert not node.pulls(f"{REGISTRY}/pod:new-4")
    wait_for("a pod resolves", lambda: claims.app_resolves(node), seconds=60, every=0.2)


def wait_until_done(node: KubernetesNode) -> None:
    """Wait until the node is handed over."""
    wait_for("handed over", lambda: is_done(node), seconds=_AGAIN_SECONDS, every=0.2)


def is_done(node: KubernetesNode) -> bool:
    """Tell whether it is: by the file, and then by what dnsguard says."""
    return node.nameservers() == [NODE_LOCAL, FIRST] and node.mode == "handed-over"


def _times_taken_back(node: KubernetesNode) -> int:
    """Return how often, in this boot."""
    return node.journal().count("mode_changed mode=guarding")


def _pods_file(node: KubernetesNode) -> str | None:
    kubelet = node.status().get("kubelet") or {}
    return None if kubelet.get("needs_restart") else kubelet.get("pods_file")
