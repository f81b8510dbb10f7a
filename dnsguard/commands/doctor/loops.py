"""Who asks whom, and which names come back to where they have been.

A loop is one of names, not of servers: NodeLocalDNS may ask cluster DNS for the cluster's
names and be asked by it for all others. So each zone that any server knows is followed by
itself; it stands for the names in it that are in no longer one. What is seen is what there
is on one node: a endpoint that nobody here answers at leads outside.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from dnsguard.formats.address import IPAddress
from dnsguard.formats.corefile import Local

ROOT = "."
MOST_CHAINS = 16
"""Drawn of one server and one zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server is asked."""

    address: IPAddress
    port: int = 53
    network: int | None = None
    """The network namespace of a loopback address; other addresses mean the same in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One server to ask, and who says so."""

    endpoint: Endpoint
    via: str | None = None
    """The file like ``/etc/resolv.conf`` that names it; None: the configuration itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Names that are sent on to any one of the targets."""

    base: str = ROOT
    excepts: tuple[str, ...] = ()
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What a server does with the names of one zone that come in at these endpoints."""

    zone: str
    endpoints: frozenset[Endpoint]
    local: tuple[Local, ...] = ()
    forwards: tuple[Forward, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A DNS server, by a name that no other one has."""

    name: str
    blocks: tuple[Block, ...]

    @property
    def endpoints(self) -> frozenset[Endpoint]:
        return frozenset(endpoint for block in self.blocks for endpoint in block.endpoints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One question from a server to an endpoint."""

    server: str
    target: Target
    choices: int
    """How many endpoints it may ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A way back to the first hop's server."""

    zones: tuple[str, ...]
    hops: tuple[Hop, ...]
    is_certain: bool
    """Whether no choice on the way, nor on any way that leads off it, gets out."""


Vertex = tuple[int, int]
"""A server and its block, by their places."""
Edge = tuple[Hop, Vertex | None]
"""A question and who takes it, None for somebody who isn't here."""
Graph = dict[Vertex, tuple[Edge, ...]]


def is_in(name: str, zone: str) -> bool:
    """Tell whether a name is a zone's own or below it; both are without their last dot."""
    return zone in (ROOT, name) or name.endswith("." + zone)


def list_zones(servers: Iterable[Server]) -> tuple[str, ...]:
    """Return every zone that is handled in a way of its own, the root first."""
    found = {ROOT}
    for block in (block for server in servers for block in server.blocks):
        found.add(block.zone)
        found.update(zone for local in block.local for zone in (*local.zones, *local.falls))
        found.update(zone for one in block.forwards for zone in (one.base, *one.excepts))
    return tuple(sorted(found, key=lambda zone: (zone != ROOT, zone)))


def find(servers: Sequence[Server]) -> tuple[Loop, ...]:
    """Return the loops: of each server that is in any, the shortest that leads back to it."""
    found: dict[tuple[tuple[Hop, ...], bool], list[str]] = {}
    for zone in list_zones(servers):
        graph = _draw(servers, zone)
        doomed = _find_doomed(graph)
        told: set[frozenset[Hop]] = set()
        for node in graph:
            hops = _find_way_back(graph, node)
            # A loop is the same one wherever it begins.
            if hops and frozenset(hops) not in told:
                told.add(frozenset(hops))
                found.setdefault((hops, node in doomed), []).append(zone)
    return tuple(
        Loop(zones=tuple(names), hops=hops, is_certain=is_certain)
        for (hops, is_certain), names in found.items()
    )


def chains(
    servers: Sequence[Server], start: Server, zone: str = ROOT
) -> tuple[tuple[Hop, ...], ...]:
    """Return the ways of a zone's names from a server to where they leave this node's servers."""
    graph = _draw(servers, zone)
    place = servers.index(start)
    ways = (
        way for node in graph if node[0] == place for way in _find_ways(graph, node, (), {node})
    )
    return tuple(dict.fromkeys(islice(ways, MOST_CHAINS)))


def _draw(servers: Sequence[Server], zone: str) -> Graph:
    nodes: dict[Vertex, Block] = {}
    takers: dict[Endpoint, list[Vertex | None]] = {}
    for place, server in enumerate(servers):
        for endpoint in sorted(server.endpoints, key=repr):
            number = _choose(server.blocks, endpoint, zone)
            if number is not None:
                node = (place, number)
                nodes[node] = server.blocks[number]
                takers.setdefault(endpoint, []).append(node)
    return {
        node: tuple(_find_edges(servers[node[0]].name, _find_targets(nodes[node], zone), takers))
        for node in sorted(nodes)
    }


def _choose(blocks: Sequence[Block], endpoint: Endpoint, zone: str) -> int | None:
    """Return the block with the longest zone, the first of equals (CoreDNS: ServeDNS)."""
    fits = [
        n for n, one in enumerate(blocks) if endpoint in one.endpoints and is_in(zone, one.zone)
    ]
    return max(fits, key=lambda n: len(blocks[n].zone.strip("."))) if fits else None


def _find_targets(block: Block, zone: str) -> tuple[Target, ...]:
    for local in block.local:
        if _is_any(zone, local.zones) and not _is_any(zone, local.falls):
            return ()
    for forward in block.forwards:
        if is_in(zone, forward.base) and not _is_any(zone, forward.excepts):
            return tuple(dict.fromkeys(forward.targets))
    return ()


def _is_any(name: str, among: Iterable[str]) -> bool:
    return any(is_in(name, zone) for zone in among)


def _find_edges(
    name: str, targets: tuple[Target, ...], takers: Mapping[Endpoint, Sequence[Vertex | None]]
) -> Iterator[Edge]:
    choices = len({target.endpoint for target in targets})
    for target in targets:
        hop = Hop(server=name, target=target, choices=choices)
        for taker in takers.get(target.endpoint, (None,)):
            yield hop, taker


def _find_way_back(graph: Graph, start: Vertex) -> tuple[Hop, ...]:
    """Return the shortest way from a server back to it; empty where there is none."""
    queue: deque[tuple[Vertex, tuple[Hop, ...]]] = deque([(start, ())])
    seen: set[Vertex] = set()
    while queue:
        node, hops = queue.popleft()
        for hop, taker in graph[node]:
            if taker == start:
                return (*hops, hop)
            if taker is not None and taker not in seen:
                seen.add(taker)
                queue.append((taker, (*hops, hop)))
    return ()


def _find_doomed(graph: Graph) -> set[Vertex]:
    """Return whence no choice ever leads out."""
    doomed = {node for node, edges in graph.items() if edges}
    while True:
        saved = {node for node in doomed if any(taker not in doomed for _, taker in graph[node])}
        if not saved:
            return doomed
        doomed -= saved


def _find_ways(
    graph: Graph, node: Vertex, hops: tuple[Hop, ...], been: set[Vertex]
) -> Iterator[tuple[Hop, ...]]:
    if not graph[node]:
        yield hops
    for hop, taker in graph[node]:
        if taker is None:
            yield (*hops, hop)
        elif taker not in been:
            yield from _find_ways(graph, taker, (*hops, hop), been | {taker})
