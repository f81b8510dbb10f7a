"""Nodes and files that decisions are made about."""

import math
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from property.node import Node
from property.text import CLUSTER, NODELOCAL

from dnsguard.core import upstreams
from dnsguard.core.answers import Outcome
from dnsguard.core.eligibility import find_exclusions, rank
from dnsguard.core.hold import Hold, Serves
from dnsguard.core.model import Candidate, Mode, Source
from dnsguard.core.observation import PodsFile
from dnsguard.core.policy import Policy
from dnsguard.formats.address import IPAddress

REAL, OTHER = ip_address("10.0.0.2"), ip_address("192.0.2.53")
RESOLVED = "/run/systemd/resolve/resolv.conf"
SAME = PodsFile(path="/etc/resolv.conf", nameservers=(REAL,), follows=True)
COPY = PodsFile(path=RESOLVED, nameservers=(REAL,), follows=True)
NAMES_IT = PodsFile(path=RESOLVED, nameservers=(REAL, NODELOCAL))
NOBODY, UNREAD = PodsFile(path=RESOLVED), PodsFile(path=RESOLVED, nameservers=None)
LOOPBACK = PodsFile(path=RESOLVED, nameservers=(ip_address("127.0.0.53"),))
UNSPECIFIED = PodsFile(path=RESOLVED, nameservers=(ip_address("0.0.0.0"),))
OWN = PodsFile(path="/var/lib/dnsguard/resolv.conf", nameservers=(REAL,))
STUB = ip_address("127.0.0.53")
POISON = b"search cluster.local\nnameserver 169.254.25.10\n"
GUARDED = (
    b"search cluster.local\n# held back by dnsguard: nameserver 169.254.25.10\n"
    b"# added by dnsguard: 10.0.0.2\nnameserver 10.0.0.2\n"
)
HANDED_OVER = (
    b"search cluster.local\nnameserver 169.254.25.10\n"
    b"# added by dnsguard: 10.0.0.2\nnameserver 10.0.0.2\n"
)
POLICY = Policy(nodelocal=(NODELOCAL,), cluster=CLUSTER)


def make_candidate(address: IPAddress = REAL, source: Source = Source.LEASE) -> Candidate:
    return Candidate(address=address, source=source, origin="a lease", seen=0.0)


def make_node(
    content: bytes | None = None,
    *,
    knows: tuple[Candidate, ...] = (),
    **policy: Any,  # noqa: ANN401 -- dataclasses.replace
) -> Node:
    node = Node(policy=replace(POLICY, **policy), found=knows, bound=frozenset())
    if content is not None:
        node.write(content)
    return node


def find_pool(node: Node) -> upstreams.Pool:
    """Return whom the guard takes for a candidate now."""
    seen = node.observe()
    border = find_exclusions(node.memory, seen, node.policy)
    return upstreams.usable_in_principle(rank(node.memory, seen, node.policy, border))


def let_answer(node: Node, *addresses: IPAddress, times: int = 1) -> None:
    for _ in range(times):
        for address in addresses:
            node.answer(address, Outcome.ANSWERED)


def make_handed_over_node() -> Node:
    """Return a node that serves itself by NodeLocalDNS, with a real server behind it."""
    node = make_node(POISON, knows=(make_candidate(),))
    node.bound = frozenset({NODELOCAL})
    let_answer(node, REAL, NODELOCAL, times=3)
    assert node.look().mode is Mode.HANDED_OVER
    assert node.file.content == HANDED_OVER
    return node


def make_hold(serves: Serves, until: float = math.inf) -> Hold:
    return Hold(serves=serves, by="alice", since=0.0, until=until)
