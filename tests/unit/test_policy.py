"""What the node says about itself, and the configuration above it."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnsguard.core.policy import KNOWN_NODELOCAL, Policy, fill_policy
from dnsguard.formats.address import IPAddress
from dnsguard.formats.kubelet import Kubelet, Setting

POLICY = Policy(cluster=frozenset(KNOWN_NODELOCAL), cluster_domain="")
OWN = ip_address("169.254.1.1")
ULA = ip_address("fd00::10")
SERVICE = ip_address("10.96.0.10")


def _kubelet(*dns: str, domain: str = "") -> Kubelet:
    return Kubelet(
        used=None,
        resolv_conf=Setting(value="/etc/resolv.conf"),
        cluster_dns=tuple(Setting(value=one) for one in dns),
        cluster_domain=Setting(value=domain) if domain else None,
    )


def test_without_a_kubelet_the_usual_addresses_are_tried() -> None:
    """Kubespray's first."""
    found = fill_policy(POLICY, None)
    assert found.nodelocal == KNOWN_NODELOCAL
    assert found.cluster_domain == "cluster.local"


def test_what_kubelet_says_comes_first() -> None:
    """Its link-local address is NodeLocalDNS's, each of its addresses is the cluster's."""
    found = fill_policy(POLICY, _kubelet(str(OWN), str(SERVICE), domain="k8s.example."))
    assert found.nodelocal == (OWN, *KNOWN_NODELOCAL)
    assert {OWN, SERVICE} < found.cluster
    assert found.cluster_domain == "k8s.example"


def test_the_configuration_overrides_it() -> None:
    """Addresses and domain; what kubelet names is no upstream all the same."""
    policy = replace(POLICY, nodelocal=(SERVICE,), cluster_domain="mine.example")
    found = fill_policy(policy, _kubelet(str(OWN), domain="k8s.example"))
    assert (found.nodelocal, found.cluster_domain) == ((SERVICE,), "mine.example")
    assert OWN in found.cluster


@pytest.mark.parametrize("key", ["servers", "fallback"])
def test_what_the_operator_calls_an_upstream_is_one(key: str) -> None:
    """Kubelet may hand a real nameserver to pods."""
    policy = replace(POLICY, **{key: (SERVICE,)})
    assert SERVICE not in fill_policy(policy, _kubelet(str(SERVICE))).cluster


def test_a_service_address_counts_only_where_no_binding_is_asked_for() -> None:
    """With a local redirect policy NodeLocalDNS answers on cluster DNS's own address."""
    kubelet = _kubelet(str(SERVICE))
    assert SERVICE not in fill_policy(POLICY, kubelet).nodelocal
    assert fill_policy(replace(POLICY, require_binding=False), kubelet).nodelocal[0] == SERVICE


@pytest.mark.parametrize(
    ("dns", "expected"),
    [
        (("fd00::10",), (ULA, *KNOWN_NODELOCAL)),
        (("fd00::10", "10.96.0.10"), (ULA, *KNOWN_NODELOCAL)),
        (("10.96.0.10", "fd00::10"), (*KNOWN_NODELOCAL, ULA)),
        (("2001:db8::a",), KNOWN_NODELOCAL),
    ],
)
def test_a_unique_local_address_may_be_nodelocal_dns(
    dns: tuple[str, ...], expected: tuple[IPAddress, ...]
) -> None:
    """First where the cluster is one of IPv6: the first one's family is that of its services."""
    found = fill_policy(POLICY, _kubelet(*dns))
    assert found.nodelocal == expected
    assert {ip_address(one) for one in dns} <= found.cluster


def test_it_is_the_same_when_done_twice() -> None:
    """What was found counts as configured then."""
    once = fill_policy(POLICY, _kubelet(str(OWN), domain="k8s.example"))
    assert fill_policy(once, _kubelet(str(OWN), domain="k8s.example")) == once
