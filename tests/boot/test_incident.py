"""The incident, without dnsguard and with it, on a Debian 12 that really boots."""

from pathlib import Path

import pytest

from boot import kubespray, machine
from boot.kubespray import CLUSTER_ADDRESSES, NODE_LOCAL, POD_FILE, POISON
from boot.lab import Lab
from boot.machine import KubeletRecord, nameservers
from boot.node import Node
from boot.outside import REGISTRY, REGISTRY_ADDRESS, UPSTREAM
from boot.waiting import wait_for

pytestmark = pytest.mark.boot


def test_without_dnsguard_a_pod_inherits_the_dead_end(lab: Lab) -> None:
    """The control: kubelet copies the node-local address alone, and no question gets out.

    Only the file is to blame: there is a lease and a route, and with the real server in the
    file the same lookup works.
    """
    node = lab.node
    record = node.up()

    assert record.nameservers == [NODE_LOCAL]
    assert record.lookup_status != 0
    assert not record.found_registry
    assert not lab.outside.was_asked(REGISTRY)

    node.run("sh", "-c", f"echo nameserver {UPSTREAM} > /etc/resolv.conf")
    assert REGISTRY_ADDRESS in node.run("getent", "ahostsv4", REGISTRY)
    assert lab.outside.was_asked(REGISTRY)


def test_three_reboots_and_a_power_cut_never_reach_the_dead_end(guarded_lab: Lab) -> None:
    """Pods get a real upstream and names resolve at each boot, and each end leaves a safe file.

    The second boot ends by a power cut at the very write that hands the node over.
    """
    node = guarded_lab.node
    assert node.nameservers() == [NODE_LOCAL], "the first boot has to start poisoned"

    _assert_pods_resolve(node.boot(), guarded_lab)
    _assert_safe_at_rest(node)

    kubespray.point_kubelet_at(node.tree, POD_FILE)
    _assert_pods_resolve(node.up(), guarded_lab)
    _cut_power_in_a_handover(node)
    _assert_safe_at_rest(node)

    _assert_pods_resolve(node.boot(), guarded_lab)
    _assert_safe_at_rest(node)


def test_a_living_nodelocaldns_gets_the_node_and_a_dead_one_loses_it(running_lab: Lab) -> None:
    """It comes up: handed over, upstreams behind it. It is killed: guarding, no cluster address."""
    node = running_lab.node
    node.point_kubelet_at(POD_FILE)
    with node.nodelocaldns():
        node.wait_for_mode("handed-over")
        assert node.nameservers() == [NODE_LOCAL, UPSTREAM]
        assert "10.233.0.1" in node.run(
            "getent", "ahostsv4", "kubernetes.default.svc.cluster.local"
        )
        assert REGISTRY_ADDRESS in node.run("getent", "ahostsv4", REGISTRY)

        # SIGKILL leaves the address bound, as node-cache's own death does.
        node.run("systemctl", "kill", "--signal=KILL", machine.NODELOCALDNS)
        node.wait_for_mode("guarding")
        assert node.nameservers() == [UPSTREAM]
        assert NODE_LOCAL in node.run("ip", "-oneline", "address")
        assert REGISTRY_ADDRESS in node.run("getent", "ahostsv4", REGISTRY)


def test_a_healthy_nodelocaldns_waits_while_pods_would_inherit_it(running_lab: Lab) -> None:
    """Kubespray's kubelet hands /etc/resolv.conf to pods: the node is not handed over then."""
    node = running_lab.node
    node.point_kubelet_at("/etc/resolv.conf")
    with node.nodelocaldns():
        wait_for("NodeLocalDNS healthy", lambda: _is_healthy(node), seconds=20)
        assert node.status()["mode"] == "guarding"
        assert node.nameservers() == [UPSTREAM]


def test_a_guard_stopped_while_handed_over_leaves_a_real_upstream(running_lab: Lab) -> None:
    """Whatever becomes of NodeLocalDNS then, nobody watching: names resolve."""
    node = running_lab.node
    node.point_kubelet_at(POD_FILE)
    with node.nodelocaldns():
        node.wait_for_mode("handed-over")
        node.run("systemctl", "stop", "dnsguard.service")
        node.run("systemctl", "stop", machine.NODELOCALDNS)
        assert UPSTREAM in node.nameservers()
        assert REGISTRY_ADDRESS in node.run("getent", "ahostsv4", REGISTRY)
        node.run("systemctl", "start", "dnsguard.service")


def test_dhclient_starting_again_does_not_bring_the_poison_back(running_lab: Lab) -> None:
    """The lease is bound anew, the supersede and the hook act, and the file is real again."""
    node = running_lab.node
    # Without the hook's lines, so that it is seen to act.
    (node.tree / "etc/resolv.conf").write_text(POISON)
    wait_for("the repair", lambda: node.nameservers() == [UPSTREAM], seconds=2)
    assert "options ndots:2" not in node.resolv_conf()

    node.run("systemctl", "restart", "networking.service")

    wait_for("the repair", lambda: node.nameservers() == [UPSTREAM], seconds=2)
    # zdnsupdate comes a little after dhclient-script's own write, and writes in place.
    wait_for("the hook's lines", lambda: "options ndots:2" in node.resolv_conf(), seconds=5)
    wait_for("the repair", lambda: node.nameservers() == [UPSTREAM], seconds=2)


def test_the_file_for_pods_holds_upstreams_and_no_cluster_domain(running_lab: Lab) -> None:
    """It is there for kubelet, readable by all, whatever /etc/resolv.conf says."""
    text = (running_lab.node.tree / POD_FILE.lstrip("/")).read_text()

    assert nameservers(text) == [UPSTREAM]
    assert "cluster.local" not in text


def _assert_pods_resolve(record: KubeletRecord, lab: Lab) -> None:
    """Assert that what kubelet saw at its start is a file that resolves names and can't loop."""
    assert UPSTREAM in record.nameservers
    assert CLUSTER_ADDRESSES.isdisjoint(record.nameservers)
    assert record.found_registry
    assert lab.outside.was_asked(REGISTRY)


def _assert_safe_at_rest(node: Node) -> None:
    """Assert that the disk names a real upstream, in the file and in the one for pods."""
    assert UPSTREAM in node.nameservers()
    assert nameservers(Path(f"{node.tree}{POD_FILE}").read_text()) == [UPSTREAM]


def _cut_power_in_a_handover(node: Node) -> None:
    """Start NodeLocalDNS and cut the power as soon as its address is seen in the file."""
    node.run("systemctl", "start", machine.NODELOCALDNS)
    wait_for("the handover", lambda: NODE_LOCAL in node.nameservers(), seconds=20, every=0)
    node.cut_power()


def _is_healthy(node: Node) -> bool:
    return bool(node.status()["nodelocal"]["state"] == "healthy")
