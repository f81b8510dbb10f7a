"""A node that has never known better: the truth is found, and found in time."""

import json
from pathlib import Path

import pytest

from boot.kubespray import CLUSTER_ADDRESSES, NODE_LOCAL
from boot.lab import Lab
from boot.node import Node
from boot.outside import REGISTRY, REGISTRY_ADDRESS, UPSTREAM

pytestmark = pytest.mark.boot

MOST_SECONDS = 2.0
"""From the interface being up to a real upstream in the file: the promise's own figure."""
HOOK = "etc/dhcp/dhclient-enter-hooks.d/dnsguard"


def test_the_real_upstream_is_found_on_a_node_that_never_knew_it(lab: Lab, deb: Path) -> None:
    """Poisoned before dnsguard ever ran, no backup left, the lease poisoned, too.

    The control is the same node at the same boots without the package.
    """
    node = lab.node
    _forget_everything(node)
    assert node.boot().nameservers == [NODE_LOCAL]
    assert node.boot().nameservers == [NODE_LOCAL]
    leases = "".join(file.read_text() for file in _leases(node))
    assert NODE_LOCAL in leases
    assert f"domain-name-servers {UPSTREAM}" not in leases

    node.install(deb)
    assert not list((node.tree / "var/lib/dnsguard").glob("state*"))
    record = node.up()

    seconds = _seconds_to_upstream(node)
    print(f"a real upstream {seconds:.2f} s after networking.service began to bring eth0 up")
    assert seconds < MOST_SECONDS
    assert UPSTREAM in record.nameservers
    assert CLUSTER_ADDRESSES.isdisjoint(record.nameservers)
    assert REGISTRY_ADDRESS in node.run("getent", "ahostsv4", REGISTRY)
    assert node.try_("pgrep", "-x", "dhclient").returncode in (0, 127)
    _assert_commands_tell(node)


def _assert_commands_tell(node: Node) -> None:
    """Type what an operator would."""
    listed = json.loads(node.run("dnsguard", "upstreams", "--json"))["upstreams"]
    best = next(one for one in listed if one["in_use"])
    assert best["address"] == UPSTREAM
    assert best["udp_ms"] is not None
    assert best["tcp_ms"] is not None
    refused = {one["address"]: one["refused"] for one in listed if one["refused"]}
    assert refused[NODE_LOCAL] == "a cluster address"

    foreseen = json.loads(node.run("dnsguard", "forecast", "--json"))
    for future in (*foreseen["renewal"], *foreseen["reboot"]):
        assert future["without"]["poisoned"]
        assert not future["with"]["poisoned"]
    (hazard, *_) = node.status()["dhclient"]["hazards"]
    assert (hazard["path"], hazard["defused"]) == ("/etc/dhcp/dhclient.conf", True)


def test_the_hook_leaves_with_the_package(lab: Lab, deb: Path) -> None:
    """A conffile: removal leaves a hook that does nothing, purging leaves none."""
    node = lab.node
    node.install(deb)
    assert (node.tree / HOOK).exists()
    node.up()
    node.run("dpkg", "--remove", "dnsguard")
    assert (node.tree / HOOK).exists()
    node.run("systemctl", "restart", "networking.service")
    assert node.nameservers() == [NODE_LOCAL], "without the daemon dhclient does as ever"
    node.run("dpkg", "--purge", "dnsguard")
    assert not (node.tree / HOOK).exists()


def _forget_everything(node: Node) -> None:
    """Delete what could still name the real server."""
    for file in (*(node.tree / "etc").glob("resolv.conf.*"), *_leases(node)):
        file.unlink()


def _leases(node: Node) -> list[Path]:
    return list((node.tree / "var/lib/dhcp").glob("*"))


def _seconds_to_upstream(node: Node) -> float:
    """Return the time from the start of networking.service to a real upstream in the file.

    By systemd's and the journal's clock of the node; ifup sets the interface up after that.
    """
    began = int(node.property_of("networking.service", "InactiveExitTimestampMonotonic"))
    lines = node.run("journalctl", "--unit=dnsguard", "--boot", "--output=json").splitlines()
    written = [
        int(line["__MONOTONIC_TIMESTAMP"])
        for line in map(json.loads, lines)
        if f"resolv_conf_written nameservers={UPSTREAM}" in str(line["MESSAGE"])
    ]
    assert written, "no real upstream was ever written"
    assert any("dhcp_server_asked" in str(line) and UPSTREAM in str(line) for line in lines)
    return (written[0] - began) / 1e6
