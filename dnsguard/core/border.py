"""Which addresses can't be upstreams, and why: the border of the cluster and of the node.

What is beyond it is never written, remembered or asked for the outside, whichever source
names it. Legitimate link-local resolvers (169.254.169.253, fe80::1%eth0) are within.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from dnsguard.core.address import IPAddress, plain
from dnsguard.core.model import Stub

_BROADCAST = IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True, kw_only=True)
class Border:
    """All that is known of what is no upstream."""

    cluster: frozenset[IPAddress]
    """Cluster addresses, as configured."""
    named: tuple[IPAddress, ...] = ()
    """``upstream.servers``: the operator's word beats what was found out."""
    own: frozenset[IPAddress] = frozenset()
    """The node's addresses."""
    exposed: frozenset[IPAddress] = frozenset()
    """Who has answered a name that cluster DNS alone knows."""
    stubs: tuple[Stub, ...] = ()

    def admits(self, address: IPAddress) -> bool:
        """Tell whether the address can be a real nameserver outside the cluster."""
        return self.refusal(address) is None

    def refusal(self, address: IPAddress) -> str | None:
        """Return why the address is no upstream, None if it can be one."""
        address = plain(address)
        if address in self.cluster:
            return "a cluster address"
        if address.is_multicast or address.is_unspecified or address == _BROADCAST:
            return "no host's own address"
        if address in self.named:
            return None
        if address in self.exposed:
            return "answers for the cluster's domain: cluster DNS"
        if not address.is_loopback:
            return "an address of this node" if address in self.own else None
        return next((dead for stub in self.stubs if (dead := self._dead_end(stub, address))), None)

    def is_poison(self, address: IPAddress) -> bool:
        """Tell whether the address leads to cluster DNS for certain."""
        address = plain(address)
        if address in self.cluster:
            return True
        if address in self.named:
            return False
        asked = (one for stub in self.stubs if address in stub.addresses for one in stub.asks)
        return address in self.exposed or any(
            one != address and not one.is_loopback and self.is_poison(one) for one in asked
        )

    def _dead_end(self, stub: Stub, address: IPAddress) -> str | None:
        """Return why a stub resolver is none: it is as good as the worst server it asks."""
        if address not in stub.addresses:
            return None
        if not stub.asks:
            return f"a stub that has nobody to ask ({stub.origin})"
        for asked in stub.asks:
            reason = self.refusal(asked) if asked not in stub.addresses else "itself"
            if reason is not None:
                return f"a stub that asks {asked}: {reason} ({stub.origin})"
        return None
