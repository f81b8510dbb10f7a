"""The policy as it is on this node: what kubelet says of its cluster, unless configured."""

from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address

from dnsguard.formats.address import IPAddress, is_unique_local
from dnsguard.formats.kubelet import Kubelet

KNOWN_NODELOCAL: tuple[IPAddress, ...] = (
    ip_address("169.254.25.10"),
    ip_address("169.254.20.10"),
    ip_address("169.254.10.10"),
)
"""Kubespray's, upstream Kubernetes' (GKE, too) and AKS' node-local addresses."""
CLUSTER_DOMAIN = "cluster.local"
"""Where nobody says another one (kubelet's --cluster-domain has no default)."""


class HandoverMode(StrEnum):
    """``handover.mode``."""

    AUTO = "auto"  # only when pods can't inherit the loop
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator wants; the defaults are dnsguard.toml's. Durations in seconds."""

    servers: tuple[IPAddress, ...] = ()
    fallback: tuple[IPAddress, ...] = ()
    nodelocal: tuple[IPAddress, ...] = ()
    cluster: frozenset[IPAddress] = frozenset()
    """Every cluster address, the node-local ones included."""
    told: frozenset[IPAddress] = frozenset()
    """Those of them that kubelet names itself."""
    cluster_domain: str = "cluster.local"
    nodelocal_question: str = ""
    """The name that NodeLocalDNS must know; empty: the cluster's own."""
    upstream_question: str = "."
    """The name whose NS records any real resolver knows."""
    health_url: str = ""
    """NodeLocalDNS's own word on its health; empty: not asked for."""
    require_binding: bool = True
    """Whether an answer counts only where the node-local address is bound."""
    asks_dhcp: bool = True
    """Whether DHCP servers may be asked."""
    handover: HandoverMode = HandoverMode.AUTO
    successes: int = 3
    failures: int = 2
    fast: float = 0.2
    """Between two questions to NodeLocalDNS while its health changes."""
    slow: float = 5.0
    """The same while nothing changes; upstreams in use are asked as often."""
    heartbeat: float = 0.3
    """The same for the one question that tells a hang (:mod:`dnsguard.heartbeat`)."""
    unread: float = 0.06
    """For so long a question lies unread before who does not run either is said to hang."""
    timeout: float = 1.0
    """Until a question counts as unanswered."""
    hold_down: float = 1.0
    """From NodeLocalDNS's break to the next handover, doubled with each further break."""


def fill_policy(policy: Policy, kubelet: Kubelet | None) -> Policy:
    """Return the policy with what the operator left to be found.

    A name or address that is configured stays. Every address that kubelet gives to pods
    as their DNS is a cluster address, unless the operator calls it an upstream.
    """
    told = kubelet.nameservers if kubelet is not None else ()
    named = {*policy.servers, *policy.fallback}
    inside = tuple(address for address in told if address not in named)
    nodelocal = policy.nodelocal or _found(inside, policy)
    domain = kubelet.cluster_domain.value if kubelet and kubelet.cluster_domain else ""
    return replace(
        policy,
        nodelocal=nodelocal,
        cluster=policy.cluster | {*nodelocal, *inside},
        told=frozenset(inside),
        cluster_domain=policy.cluster_domain or domain.strip(".") or CLUSTER_DOMAIN,
    )


def _found(inside: tuple[IPAddress, ...], policy: Policy) -> tuple[IPAddress, ...]:
    """Return where NodeLocalDNS may be. With a redirect it has cluster DNS's own address.

    A unique local address may be a service's as well (:mod:`dnsguard.core.health` tells); it
    stands first where kubelet names an IPv6 address first: the cluster is one of IPv6 then.
    """
    first = [a for a in inside if a.is_link_local or not policy.require_binding]
    local = [a for a in inside if is_unique_local(a)]
    if inside and inside[0].version == 6:
        first = [a for a in inside if a in first or a in local]
    return tuple(dict.fromkeys((*first, *KNOWN_NODELOCAL, *local)))
