"""Which addresses can't be upstreams, and why: those of the cluster and of the node.

What is beyond it is never written, remembered or asked for the outside, whichever source
names it. Legitimate link-local resolvers (169.254.169.253, fe80::1%eth0) are within.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from dnsguard.core.evidence import Services
from dnsguard.core.model import Stub
from dnsguard.formats.address import IPAddress, plain

_BROADCAST = IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """All that is known of what is no upstream."""

    cluster: frozenset[IPAddress]
    """Cluster addresses, as configured."""
    named: tuple[IPAddress, ...] = ()
    """``upstream.servers``: the operator's word beats what was found out."""
    own: frozenset[IPAddress] = frozenset()
    """The node's addresses."""
    cluster_resolvers: frozenset[IPAddress] = frozenset()
    """Who was shown to be cluster DNS, in this boot or an earlier one."""
    stubs: tuple[Stub, ...] = ()
    are_stubs_echoes: bool = False
    """The stubs ask whom resolv.conf names: systemd-resolved in its foreign mode."""
    services: Services = field(default_factory=Services)

    def allows(self, address: IPAddress) -> bool:
        """Tell whether the address can be a real nameserver outside the cluster."""
        return self.reason(address) is None

    def reason(self, address: IPAddress) -> str | None:
        """Return why the address is no upstream, None if it can be one."""
        address = plain(address)
        if address in self.cluster:
            return "a cluster address"
        if address.is_multicast or address.is_unspecified or address == _BROADCAST:
            return "no host's own address"
        if address in self.named:
            return None
        if address in self.cluster_resolvers:
            return "answers for the cluster's domain: cluster DNS"
        if not address.is_loopback:
            return None
        return next(
            (dead for stub in self.stubs if (dead := self._stub_reason(stub, address))), None
        )

    def is_poison(self, address: IPAddress) -> bool:
        """Tell whether the address leads to cluster DNS for certain."""
        address = plain(address)
        if address in self.cluster:
            return True
        if address in self.named:
            return False
        if address in self.cluster_resolvers:
            return True
        # A stub's list is an echo of resolv.conf where that is no link to it.
        stubs = () if self.are_stubs_echoes else self.stubs
        asked = (one for stub in stubs if address in stub.addresses for one in stub.asks)
        return any(not one.is_loopback and self.is_poison(one) for one in asked)

    def is_own(self, address: IPAddress) -> bool:
        """Tell whether the address is the node's, so that it may lead anywhere.

        What listens there may be the company's resolver (case 70), or forward to cluster DNS.
        """
        address = plain(address)
        return address in self.own and not address.is_loopback and address not in self.named

    def is_suspect(self, address: IPAddress) -> bool:
        """Tell whether the address stands among the cluster's services.

        A poisoned lease named 10.233.10.10, of which nobody had told (issue 13).
        """
        return plain(address) not in self.named and self.services.are_near(plain(address))

    def _stub_reason(self, stub: Stub, address: IPAddress) -> str | None:
        """Return why a stub resolver is none: it is as good as the worst server it asks."""
        if address not in stub.addresses:
            return None
        if self.are_stubs_echoes:
            return f"a stub that asks whom resolv.conf names ({stub.origin})"
        if not stub.asks:
            return f"a stub that has nobody to ask ({stub.origin})"
        for asked in stub.asks:
            reason = self.reason(asked) if asked not in stub.addresses else "itself"
            if reason is not None:
                return f"a stub that asks {asked}: {reason} ({stub.origin})"
        return None
