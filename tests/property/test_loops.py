"""The loops that are found are those that a question walks into, step by step."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from hypothesis import assume, given
from hypothesis import strategies as st

from dnsguard.commands.doctor.loops import (
    Block,
    Endpoint,
    Forward,
    Server,
    Target,
    chains,
    find,
    zones,
)
from dnsguard.formats.corefile import Local

NAMES = (".", "a", "b.a", "c.b.a", "arpa")
DOORS = tuple(Endpoint(address=ip_address(f"10.0.0.{n}")) for n in range(1, 5))
OUTSIDE = tuple(Endpoint(address=ip_address(f"192.0.2.{n}")) for n in (1, 2))

_zone = st.sampled_from(NAMES)
_some: st.SearchStrategy[tuple[str, ...]] = st.lists(_zone, max_size=2).map(tuple)
# Not _some.filter(bool): hypothesis 6.170 trips over a filter behind map(tuple).
_one_or_two: st.SearchStrategy[tuple[str, ...]] = st.lists(_zone, min_size=1, max_size=2).map(tuple)
_local = st.builds(Local, plugin=st.just("kubernetes"), zones=_one_or_two, falls=_some)


def _servers(doors: Sequence[Endpoint]) -> st.SearchStrategy[list[Server]]:
    targets = st.lists(st.sampled_from([Target(door=door) for door in doors]), max_size=3)
    onward = st.builds(Forward, base=_zone, excepts=_some, targets=targets.map(tuple))
    block = st.builds(
        Block,
        zone=_zone,
        doors=st.frozensets(st.sampled_from(DOORS), min_size=1, max_size=2),
        local=st.lists(_local, max_size=1).map(tuple),
        onward=st.lists(onward, max_size=2).map(tuple),
    )
    blocks = st.lists(st.lists(block, min_size=1, max_size=3), max_size=4)
    return blocks.map(_numbered)


def _numbered(all_of: list[list[Block]]) -> list[Server]:
    return [Server(name=f"s{n}", blocks=tuple(one)) for n, one in enumerate(all_of)]


def _suffixes(name: str) -> list[str]:
    """Return a name's zones, the longest first."""
    labels = name.split(".")
    return [".".join(labels[n:]) for n in range(len(labels))] + ["."]


def _takes(server: Server, door: Endpoint, name: str) -> Block | None:
    for zone in _suffixes(name):
        for block in server.blocks:
            if block.zone == zone and door in block.doors:
                return block
    return None


def _asks(block: Block, name: str) -> list[Endpoint]:
    inside = set(_suffixes(name))
    if any(inside & {*one.zones} and not inside & {*one.falls} for one in block.local):
        return []
    for one in block.onward:
        if one.base in inside and not inside & {*one.excepts}:
            return [target.door for target in one.targets]
    return []


State = tuple[str, int]


def _step(servers: list[Server], state: State, name: str) -> Iterator[State | None]:
    """Yield who may get the question next; None for somebody outside."""
    owner = next(server for server in servers if server.name == state[0])
    for door in _asks(owner.blocks[state[1]], name):
        arrivals: list[State | None] = [*_arrivals(servers, door, name)]
        yield from arrivals or [None]


def _arrivals(servers: list[Server], door: Endpoint, name: str) -> list[State]:
    found = ((server, _takes(server, door, name)) for server in servers)
    return [
        (server.name, [one is block for one in server.blocks].index(True))
        for server, block in found
        if block is not None
    ]


def _walk(servers: list[Server], start: State, name: str) -> tuple[set[str], bool]:
    """Walk on all ways at once for as long as any loopless way could last, and once more round.

    Returns which servers are met late, and whether no way ended.
    """
    length = sum(len(server.blocks) for server in servers) + 1
    now: set[State | None] = {start}
    ended = False
    late: set[str] = set()
    for step in range(2 * length):
        following = {one: set(_step(servers, one, name)) for one in now if one is not None}
        ended |= None in now or not all(following.values())
        now = set().union(*following.values())
        if step >= length:
            late |= {one[0] for one in now if one is not None}
    return late, not ended


@given(_servers((*DOORS, *OUTSIDE)))
def test_the_loops_are_those_that_a_question_walks_into(servers: list[Server]) -> None:
    """Zone by zone: who walks for ever walks in a loop that is found, and only then."""
    loops = find(servers)
    for zone in zones(servers):
        name = "q" if zone == "." else f"q.{zone}"
        here = [loop for loop in loops if zone in loop.zones]
        starts = {
            state
            for server in servers
            for door in server.doors
            for state in _arrivals(servers, door, name)
        }
        walks = {state: _walk(servers, state, name) for state in starts}
        assert bool(here) == any(late for late, _ in walks.values())
        # Whoever walks for ever ends up among the members of loops, or between them.
        members = {hop.server for loop in here for hop in loop.hops}
        for state, (late, is_endless) in walks.items():
            assert not late or late & members
            if is_endless:
                assert late, state


@given(_servers((*DOORS, *OUTSIDE)))
def test_a_loop_is_certain_where_every_walk_is_endless(servers: list[Server]) -> None:
    """Whatever is chosen, on the way and off it."""
    for loop in find(servers):
        for zone in loop.zones:
            name = "q" if zone == "." else f"q.{zone}"
            arrivals = _arrivals(servers, loop.hops[-1].target.door, name)
            back = [state for state in arrivals if state[0] == loop.hops[0].server]
            assert [_walk(servers, state, name)[1] for state in back] == [loop.is_certain]


@given(_servers((*DOORS, *OUTSIDE)))
def test_every_loop_is_a_way_back(servers: list[Server]) -> None:
    """Each hop's door is the next one's server's; the last one's is the first's."""
    by_name = {server.name: server for server in servers}
    for loop in find(servers):
        for hop, following in zip(loop.hops, (*loop.hops[1:], loop.hops[0]), strict=True):
            assert hop.target.door in by_name[following.server].doors


@given(_servers(OUTSIDE))
def test_who_asks_real_upstreams_alone_has_no_loop(servers: list[Server]) -> None:
    """Whatever else the configurations say; and every way out is one step long."""
    assert find(servers) == ()
    assert all(len(way) <= 1 for one in servers for way in chains(servers, one))


@given(_servers((*DOORS, *OUTSIDE)))
def test_the_order_of_the_servers_is_no_matter(servers: list[Server]) -> None:
    """The same zones loop, through the same servers."""
    assume(len(servers) > 1)

    def told(order: list[Server]) -> set[tuple[str, str]]:
        return {(z, h.server) for loop in find(order) for z in loop.zones for h in loop.hops}

    assert told(servers) == told(servers[::-1])
