"""Who nobody knows is asked: whether it is the cluster's own DNS, and whether it is there at all.

A file may name cluster DNS at an address that nobody told of (issue 13: 10.233.10.10, of a
poisoned lease). CoreDNS that forwards there is in a loop, and looks clean.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dnsguard.commands.doctor.snapshot import NodeSnapshot
from dnsguard.core.answers import Answer, Outcome, Probe, ProbeKind, ProbeTarget
from dnsguard.core.eligibility import services
from dnsguard.core.evidence import Finding, judge_round
from dnsguard.core.policy import Policy
from dnsguard.formats.address import IPAddress

MOST_ASKED = 32
"""Those of DNS servers and of kubelet's file first."""
_TRIES = 2
_NOBODY = frozenset({Outcome.TIMED_OUT, Outcome.UNREACHABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What came of it."""

    cluster: frozenset[IPAddress] = frozenset()
    """Those that know the cluster's names, and no nonsense beside them."""
    dead: frozenset[IPAddress] = frozenset()
    """Those that said nothing, whatever they were asked."""
    unasked: tuple[IPAddress, ...] = ()
    """Those that could not be asked, for want of a library."""


def inquire(node: NodeSnapshot, policy: Policy) -> Inquiry:
    """Ask everyone whom a file here names and whom nobody knows; takes some seconds at the most."""
    asked = list(dict.fromkeys(_find_strangers(node)))[:MOST_ASKED]
    try:
        answers = asyncio.run(_ask_all(asked, policy))
    except ModuleNotFoundError:  # out of the source tree, on a node that can't fetch a package
        return Inquiry(unasked=tuple(asked))
    known = services(policy)
    named = frozenset(policy.servers)
    return Inquiry(
        cluster=frozenset(
            address
            for address, told in zip(asked, answers, strict=True)
            if judge_round({one.kind: one for one in told}, known) is Finding.CLUSTER
        )
        - named,
        dead=frozenset(
            address
            for address, told in zip(asked, answers, strict=True)
            if all(one.outcome in _NOBODY for one in told)
        ),
    )


def _find_strangers(node: NodeSnapshot) -> Iterator[IPAddress]:
    """Yield whom to ask; a loopback address in a pod is the pod itself."""
    endpoints = {endpoint.address for server in node.servers for endpoint in server.endpoints}
    for address in _find_named(node):
        is_somewhere = not (address.is_loopback or address.is_unspecified or address.is_multicast)
        if is_somewhere and address not in endpoints and address not in node.cluster:
            yield address


def _find_named(node: NodeSnapshot) -> Iterator[IPAddress]:
    for server in node.servers:
        for forward in (one for block in server.blocks for one in block.forwards):
            yield from (one.endpoint.address for one in forward.targets if one.endpoint.port == 53)
    yield from node.kubelet[1] if node.kubelet else ()
    for pod in node.pods:
        yield from pod.nameservers


async def _ask_all(addresses: Iterable[IPAddress], policy: Policy) -> list[tuple[Answer, ...]]:
    return await asyncio.gather(*(_probe_all(one, policy) for one in addresses))


async def _probe_all(address: IPAddress, policy: Policy) -> tuple[Answer, ...]:
    """Ask again where nothing came: one packet may be lost."""
    told: tuple[Answer, ...] = ()
    for _ in range(_TRIES):
        told = await _ask_round(address, policy)
        if any(one.outcome not in _NOBODY for one in told):
            break
    return told


async def _ask_round(address: IPAddress, policy: Policy) -> tuple[Answer, ...]:
    """Ask for a name outside, over TCP, too; then for the cluster's own and one that is none."""
    from dnsguard.prober import ask  # noqa: PLC0415 -- dnspython, where somebody is to be asked

    legs = (
        ProbeTarget(ProbeKind.UPSTREAM, tcp=True),
        ProbeTarget(ProbeKind.UPSTREAM),
        ProbeTarget(ProbeKind.CLUSTER),
        ProbeTarget(ProbeKind.NONSENSE),
    )
    answers = await asyncio.gather(*(ask(Probe(address, leg), policy) for leg in legs))
    return tuple(answers)
