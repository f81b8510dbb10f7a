"""What one round of questions shows of a server: whether it resolves, and whose DNS it is.

A round is what one server was asked together: a name that any real resolver knows, and the
name that cluster DNS alone knows. Where the answers leave it open, one question more decides:

- a found cluster name: a *nonsense* name beside it. Who answers both alike rewrites NXDOMAIN
  or serves a wildcard (cases 68); cluster DNS knows the one and not the other.
- a failed cluster name: the *control*, the same name in a domain that nobody has. CoreDNS
  says SERVFAIL for its own zone until it has synced, and resolves everything else; a resolver
  that drops or refuses such names treats both alike.
- an empty answer for the root, or a stub on loopback: a *one-time* name, which nobody can
  make up.

**Silence shows nothing.** The cluster DNS that a poisoned lease named was silent at boot, was
cleared by that, and 60 seconds later stood in every pod's file (issue 13).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from dnsguard.core.answers import Answer, Outcome, ProbeKind
from dnsguard.formats.address import IPAddress

Round = Mapping[ProbeKind, Answer]
"""What has come of one round so far."""

_PREFIX = {4: 16, 6: 108}
"""How far around a service address its network is taken to reach: Kubespray's 10.233.0.0/18,
k3s's and EKS's /16, and the largest that Kubernetes takes for IPv6 (/108)."""
_PRIVATE = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""Where services have their addresses (RFC 1918, RFC 6598, RFC 4193)."""


class Finding(StrEnum):
    """Whose DNS a server is."""

    OUTSIDE = "outside"  # shown not to know the cluster's name
    CLUSTER = "cluster"  # shown to be this cluster's
    OPEN = "open"  # neither: silence, SERVFAIL, REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What is known of the addresses that this cluster gives to its services."""

    kubernetes: frozenset[IPAddress] = frozenset()
    """What NodeLocalDNS says the cluster's own name is."""
    told: frozenset[IPAddress] = frozenset()
    """Service addresses that kubelet gives to pods as their DNS."""
    assumed: frozenset[IPAddress] = frozenset()
    """Cluster DNS addresses by configuration or default: 10.233.0.3 need not be true here."""

    def are_near(self, address: IPAddress) -> bool:
        """Tell whether the address can hardly be anything but a service of this cluster."""
        return any(address in around for around in _networks(self.told, self.assumed))

    def hold(self, records: Iterable[IPAddress]) -> bool:
        """Tell whether one of the records is a service of this cluster."""
        return any(one in self.kubernetes or self.are_near(one) for one in records)

    def exclude(self, records: frozenset[IPAddress]) -> bool:
        """Tell whether enough is known to say that these are another cluster's.

        The nodes of a nested cluster have the outer one's DNS for their upstream. It knows
        a name of its own by the name of ours, and is no loop.
        """
        known = {one.version for one in self.kubernetes | self.told if not one.is_link_local}
        is_known = bool(records) and all(one.version in known for one in records)
        return is_known and not self.hold(records)


@lru_cache(maxsize=8)
def _networks(*known: frozenset[IPAddress]) -> frozenset[IPv4Network | IPv6Network]:
    """Return the networks around these; cached, for each look needs them."""
    return frozenset(
        ip_network((one, _PREFIX[one.version]), strict=False)
        for addresses in known
        for one in addresses
        if not (one.is_link_local or one.is_loopback)
    )


def is_private(address: IPAddress) -> bool:
    """Tell whether a service may have this address: rewriters of NXDOMAIN use public ones."""
    return any(address in network for network in _PRIVATE)


def judge_round(known: Round, services: Services) -> Finding:
    """Return whose DNS the server is, as far as this round has shown."""
    inside = known.get(ProbeKind.CLUSTER)
    if inside is None or inside.outcome is not Outcome.ANSWERED:
        return Finding.OPEN
    if services.hold(inside.records):
        return Finding.CLUSTER
    if not inside.is_found or services.exclude(inside.records):
        return Finding.OUTSIDE
    nonsense = known.get(ProbeKind.NONSENSE)
    if nonsense is None or nonsense.outcome is not Outcome.ANSWERED:
        return Finding.OPEN
    return Finding.OUTSIDE if _are_alike(inside, nonsense) else Finding.CLUSTER


def _are_alike(inside: Answer, nonsense: Answer) -> bool:
    """Tell whether the server answers any name so; public addresses may come in turns."""
    if (inside.is_found, inside.has_records) != (nonsense.is_found, nonsense.has_records):
        return False
    is_same = inside.records == nonsense.records or bool(inside.records & nonsense.records)
    return is_same or not any(is_private(one) for one in inside.records)


def resolves(known: Round, *, is_stub: bool) -> bool | None:
    """Tell whether the server answers for the outside; None while that is open."""
    outside = known.get(ProbeKind.UPSTREAM)
    if outside is None:
        return None
    if outside.outcome is not Outcome.ANSWERED:
        return False
    if not (is_stub or outside.is_hollow):
        return True
    once = known.get(ProbeKind.ONE_TIME)
    if once is None:
        return None
    # Who claims the root for itself and names no server of it can't deny what is below it.
    is_made_up = outside.is_authoritative and once.is_authoritative
    is_told = once.has_records or not (once.is_found or is_made_up)
    return once.outcome is Outcome.ANSWERED and is_told


def fails_alike(known: Round) -> bool:
    """Tell whether the server fails for the cluster's name as it does for any like it."""
    inside, control = known.get(ProbeKind.CLUSTER), known.get(ProbeKind.CONTROL)
    if inside is None or control is None or Outcome.ANSWERED in (inside.outcome, control.outcome):
        return False
    return (inside.outcome, inside.rcode) == (control.outcome, control.rcode)


def needed_probes(known: Round, services: Services, *, is_stub: bool) -> Iterator[ProbeKind]:
    """Yield what has to be asked in addition for the round to show something."""
    does_resolve = resolves(known, is_stub=is_stub)
    if ProbeKind.UPSTREAM in known and does_resolve is None:
        yield ProbeKind.ONE_TIME
    inside = known.get(ProbeKind.CLUSTER)
    if inside is None or judge_round(known, services) is not Finding.OPEN:
        return
    if inside.is_found:
        yield ProbeKind.NONSENSE
    elif ProbeKind.UPSTREAM in known and does_resolve is not False:
        yield ProbeKind.CONTROL
