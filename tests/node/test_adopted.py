"""A node whose kubelet has adopted dnsguard's file: handed over, taken back, handed over again.

The tests of a shape share one node and go in this order.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from boot.kubespray import NODE_LOCAL, POD_FILE
from boot.waiting import wait_for
from managers.outside import FIRST

from node import claims, files
from node.images import REGISTRY
from node.lab import Lab
from node.node import KubernetesNode
from node.pulling import Puller
from node.shapes import KUBELET_ENV, KUBESPRAY, Shape

pytestmark = pytest.mark.node

_HANDED_OVER_SECONDS = 20.0
"""The issue's bar, from power on."""
_AGAIN_SECONDS = 150.0
_IMAGE = f"{REGISTRY}/pod:1"
# Faults come here in a row; that each break has the next handover wait longer is told elsewhere.
_CONFIG = "[health]\nhold_down = 1\n"
_SET_IN = {
    KUBESPRAY.name: f"{files.KUBELET_CONFIG}: resolvConf",
    KUBELET_ENV.name: files.KUBELET_ENV,
}


@pytest.fixture(scope="module", params=[KUBESPRAY, KUBELET_ENV], ids=str)
def shape(request: pytest.FixtureRequest) -> Shape:
    """Return the places in which Kubespray's releases tell kubelet what pods get."""
    chosen: Shape = request.param
    return chosen


def test_it_is_found_and_adopted(lab: Lab, deb: Path) -> None:
    """On the running, healthy node, before the reboot."""
    node = lab.node
    node.install(deb)
    config = node.tree / "etc/dnsguard/dnsguard.toml"
    config.write_text(_CONFIG)
    node.start()
    told = node.try_("dnsguard", "kubelet").stdout
    assert _SET_IN[lab.shape.name] in told
    adopted = node.try_("dnsguard", "kubelet", "adopt", "--restart")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    wait_for("kubelet gives the file", lambda: _pods_file(node) == POD_FILE, seconds=60)
    node.cut_power()


def test_the_reboot_is_handed_over(lab: Lab) -> None:
    """Within 20 s of power on, and no pod has a cluster address for an upstream."""
    node = lab.node
    node.switch_on()
    handed_over = node.wait_for_power_on(
        "handed over",
        lambda: node.nameservers()[:1] == [NODE_LOCAL] and _is_ours(node),
        seconds=120,
    )
    print(f"handed over {handed_over:.1f} s after power on")
    claims.wait_for_both(node, FIRST, seconds=60)
    claims.have_upstream(node, FIRST)
    assert node.mode == "handed-over"
    assert node.nameservers() == [NODE_LOCAL, FIRST]
    wait_for("a pod resolves", lambda: claims.app_resolves(node), seconds=60, every=0.2)
    assert claims.is_said_fine_for_pods(node)
    assert handed_over < _HANDED_OVER_SECONDS


def _kill(lab: Lab) -> None:
    lab.node.run("kill", "-KILL", str(lab.node.container("node-cache").pid))


def _hang(lab: Lab) -> None:
    pid = str(lab.node.container("node-cache").pid)
    lab.node.run("kill", "-STOP", pid)
    wait_for("taken back", lambda: lab.node.nameservers() == [FIRST], seconds=30)
    lab.node.run("kill", "-CONT", pid)


def _delete(lab: Lab) -> None:
    lab.kubectl("delete", "pod", "--namespace=kube-system", "-l=app=nodelocaldns", "--wait=false")


def _scale_down(lab: Lab) -> None:
    scale = ("scale", "--namespace=kube-system", "deployment/coredns")
    lab.kubectl(*scale, "--replicas=0")
    wait_for("taken back", lambda: lab.node.nameservers() == [FIRST], seconds=120)
    lab.kubectl(*scale, "--replicas=1")


_BREAKS: dict[str, Callable[[Lab], None]] = {
    "NodeLocalDNS killed": _kill,
    "NodeLocalDNS hung": _hang,
    "its pod deleted": _delete,
    "CoreDNS scaled to 0": _scale_down,
}
_RESTARTS = ("containerd.service", "kubelet.service")


@pytest.mark.parametrize("fault", _BREAKS)
def test_it_is_taken_back_and_handed_over_again(lab: Lab, fault: str) -> None:
    """Whatever breaks, who pulls every second loses nothing."""
    node = lab.node
    _wait_for_handover(node)
    before = _times_taken_back(node)
    with Puller(node, _IMAGE) as puller:
        begun = time.monotonic()
        _BREAKS[fault](lab)
        wait_for("taken back", lambda: _times_taken_back(node) > before, seconds=60)
        taken_back = time.monotonic() - begun
        _wait_for_handover(node)
        again = time.monotonic() - begun
    print(f"{fault}: taken back by {taken_back:.1f} s, handed over again {again:.1f} s; {puller}")
    assert not puller.lost
    claims.wait_for_both(node, FIRST, seconds=60)
    assert claims.is_said_fine_for_pods(node)


@pytest.mark.parametrize("unit", _RESTARTS)
def test_a_restart_changes_nothing_for_pods(lab: Lab, unit: str) -> None:
    """Of containerd or kubelet: containers go on, and the node is handed over afterwards."""
    node = lab.node
    _wait_for_handover(node)
    attempts = [node.container(name).id for name in claims.BOTH]
    node.run("systemctl", "restart", unit)
    with Puller(node, _IMAGE) as puller:
        wait_for("ten pulls", lambda: len(puller.pulls) >= 5, seconds=90)
    print(f"{unit} restarted: {puller}")
    assert not puller.lost
    assert [node.container(name).id for name in claims.BOTH] == attempts
    _wait_for_handover(node)
    claims.have_upstream(node, FIRST)
    assert claims.is_said_fine_for_pods(node)


@pytest.mark.parametrize("how", ["--remove", "--purge"])
def test_taken_away_it_leaves_a_node_that_resolves(lab: Lab, how: str) -> None:
    """With pods running, old and new; kubelet's file stays as long as kubelet reads it."""
    node = lab.node
    told = node.run("dpkg", how, "dnsguard")
    if how == "--remove":
        assert f"kubelet still gives pods {POD_FILE}" in told
    assert node.nameservers() == [FIRST]
    lab.kubectl("delete", "pods", "--namespace=kube-system", "--all", "--grace-period=0", "--force")
    claims.wait_for_both(node, FIRST, seconds=120)
    claims.have_upstream(node, FIRST)
    assert not node.pulls(f"{REGISTRY}/pod:new-{4 + (how == '--purge')}")
    wait_for("a pod resolves", lambda: claims.app_resolves(node), seconds=60, every=0.2)


def _wait_for_handover(node: KubernetesNode) -> None:
    wait_for("handed over", lambda: _is_ours(node), seconds=_AGAIN_SECONDS, every=0.2)


def _is_ours(node: KubernetesNode) -> bool:
    return node.nameservers() == [NODE_LOCAL, FIRST] and node.mode == "handed-over"


def _times_taken_back(node: KubernetesNode) -> int:
    """Return how often, in this boot."""
    return node.journal().count("mode_changed mode=guarding")


def _pods_file(node: KubernetesNode) -> str | None:
    kubelet = node.status().get("kubelet") or {}
    return None if kubelet.get("needs_restart") else kubelet.get("pods_file")
