"""Who asks whom, and which names come back."""

from ipaddress import ip_address

import pytest

from dnsguard.commands.doctor.loops import (
    Block,
    Endpoint,
    Forward,
    Loop,
    Server,
    Target,
    chains,
    find,
)
from dnsguard.formats.corefile import Local

NODELOCAL, CLUSTER, REAL, OTHER = "169.254.25.10", "10.233.0.3", "192.0.2.53", "192.0.2.54"
CONF = "/etc/resolv.conf"


def _endpoint(address: str, *, network: int | None = None) -> Endpoint:
    return Endpoint(address=ip_address(address), network=network)


def _forward(*addresses: str, base: str = ".", via: str | None = CONF) -> Forward:
    targets = tuple(Target(endpoint=_endpoint(one), via=via) for one in addresses)
    return Forward(base=base, targets=targets)


def _block(zone: str, address: str, forward: Forward, *local: Local) -> Block:
    return Block(
        zone=zone, endpoints=frozenset({_endpoint(address)}), forwards=(forward,), local=local
    )


def _node(nodelocal: tuple[str, ...], coredns: tuple[str, ...]) -> tuple[Server, Server]:
    """Return Kubespray's two servers, each with the nameservers of its resolv.conf."""
    inside = _forward(CLUSTER, via=None)
    kubernetes = Local(
        plugin="kubernetes", zones=("cluster.local", "in-addr.arpa"), falls=("in-addr.arpa",)
    )
    return (
        Server(name="coredns", blocks=(_block(".", CLUSTER, _forward(*coredns), kubernetes),)),
        Server(
            name="node-cache",
            blocks=(
                _block("cluster.local", NODELOCAL, inside),
                _block("in-addr.arpa", NODELOCAL, inside),
                _block(".", NODELOCAL, _forward(*nodelocal)),
            ),
        ),
    )


def _path(loop: Loop) -> list[str]:
    return [str(hop.target.endpoint.address) for hop in loop.hops]


def test_real_upstreams_are_no_loop() -> None:
    """And each server's way out is told."""
    servers = _node((REAL,), (REAL,))
    assert find(servers) == ()
    ((hop,),) = chains(servers, servers[1])
    assert (hop.server, hop.target.endpoint.address) == ("node-cache", ip_address(REAL))
    (inside,) = chains(servers, servers[1], "cluster.local")
    assert [one.server for one in inside] == ["node-cache"]


def test_a_server_that_asks_itself_is_a_loop() -> None:
    """NodeLocalDNS with the resolv.conf that Kubespray leaves."""
    (loop,) = find(_node((NODELOCAL,), (REAL,)))
    assert loop.zones == (".",)
    assert _path(loop) == [NODELOCAL]
    assert loop.is_certain


def test_only_the_names_that_come_back_are_in_the_loop() -> None:
    """CoreDNS asks NodeLocalDNS, which sends it the reverse zones, but not the rest."""
    (loop,) = find(_node((REAL,), (NODELOCAL,)))
    assert loop.zones == ("in-addr.arpa",)
    assert [hop.server for hop in loop.hops] == ["coredns", "node-cache"]
    assert _path(loop) == [NODELOCAL, CLUSTER]


def test_a_choice_may_loop() -> None:
    """A real server beside a cluster address doesn't save the pod, it saves some questions."""
    (loop,) = find(_node((REAL, NODELOCAL), (REAL,)))
    assert not loop.is_certain
    assert loop.hops[0].choices == 2


def test_a_loop_that_all_choices_lead_to_is_certain() -> None:
    """Two servers, and back from either."""
    loops = find(_node((NODELOCAL, CLUSTER), (CLUSTER,)))
    assert {tuple(_path(loop)) for loop in loops if "." in loop.zones} == {(NODELOCAL,), (CLUSTER,)}
    assert all(loop.is_certain for loop in loops)


@pytest.mark.parametrize(("network", "expected"), [(1, 1), (2, 0)])
def test_a_loopback_address_is_its_namespaces_own(network: int, expected: int) -> None:
    """127.0.0.1 in a pod is not the node's."""
    target = Target(endpoint=_endpoint("127.0.0.1", network=network), via=CONF)
    block = Block(
        zone=".",
        endpoints=frozenset({_endpoint("127.0.0.1", network=1)}),
        forwards=(Forward(targets=(target,)),),
    )
    assert len(find([Server(name="coredns", blocks=(block,))])) == expected


def test_each_pod_behind_a_service_is_named() -> None:
    """Two CoreDNS pods at one address: two loops, as two pods are to be deleted."""
    coredns, nodelocal = _node((CLUSTER,), (NODELOCAL,))
    twin = Server(name="coredns 2", blocks=coredns.blocks)
    loops = [loop for loop in find([coredns, twin, nodelocal]) if "." in loop.zones]
    assert [loop.hops[0].server for loop in loops] == ["coredns", "coredns 2"]


def test_excepted_names_go_on_to_the_next_forward() -> None:
    """As CoreDNS does where ``forward`` stands several times in a block."""
    first = Forward(excepts=("corp.example",), targets=_forward(REAL).targets)
    block = Block(
        zone=".",
        endpoints=frozenset({_endpoint(CLUSTER)}),
        forwards=(first, _forward(CLUSTER, via=None)),
    )
    (loop,) = find([Server(name="coredns", blocks=(block,))])
    assert loop.zones == ("corp.example",)
