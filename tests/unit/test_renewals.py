"""A renewal is followed: what is in force outranks memory, and replaces it (issue 15, item 8)."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from property.node import Node
from property.promises import used
from property.text import CLUSTER, NODELOCAL

from dnsguard.core import remembered
from dnsguard.core.answers import Outcome
from dnsguard.core.eligibility import find_in_force
from dnsguard.core.model import Candidate, Source
from dnsguard.core.policy import Policy
from unit.upstream_answers import A, B, make_answer, make_candidate, make_clearance, rank

ADDRESS = ip_address("10.0.0.7")
POLICY = Policy(nodelocal=(NODELOCAL,), cluster=CLUSTER)
POISON = b"nameserver 169.254.25.10\n"
RETIRED = replace(make_candidate(A, Source.RESOLV_CONF), answered=7.0)


def _lease(server: object = B, source: Source = Source.NETWORKD) -> Candidate:
    address = ip_address(str(server))
    return replace(make_candidate(address, source), interface="eth0", leased=ADDRESS)


@pytest.fixture
def node() -> Node:
    """Return a node that knew its server before it was poisoned, and has a lease of it."""
    made = Node(policy=POLICY, bound=frozenset({ADDRESS}))
    made.write(b"nameserver 10.0.0.1\n")
    _answer(made)
    made.write(POISON)
    made.found = (_lease(A),)
    _answer(made)
    assert used(made.file.content) == (A,)
    return made


def _answer(node: Node) -> None:
    for _ in range(8):
        for one in (A, B):
            node.answer(one, Outcome.ANSWERED)
        node.look()
        node.now += 1


def test_a_renewal_is_followed_though_the_retired_server_answers(node: Node) -> None:
    """In resolv.conf and in the file for pods."""
    node.found = (_lease(),)
    _answer(node)
    assert used(node.file.content) == used(node.pod_file or b"") == (B,)


def test_who_edits_options_alone_has_chosen_no_server(node: Node) -> None:
    """Kubespray's zdnsupdate rewrites our text in place: what we added is still ours."""
    node.write(node.file.content + b"options ndots:2\n")
    _answer(node)
    node.found = (_lease(),)
    _answer(node)
    assert used(node.file.content) == (B,)


def test_after_a_reboot_the_retired_server_is_not_the_first(node: Node) -> None:
    """Before anybody speaks memory knows whom the last renewal brought."""
    node.found = (_lease(),)
    _answer(node)
    node.found = ()
    node.restart()
    node.write(POISON)
    node.look()
    assert used(node.file.content) == (B,)


def test_a_retired_server_is_better_than_nobody(node: Node) -> None:
    """Where the new one falls silent: it is kept, behind."""
    node.found = (_lease(),)
    _answer(node)
    for _ in range(8):
        node.answer(B, Outcome.TIMED_OUT)
        node.answer(A, Outcome.ANSWERED)
        node.look()
        node.now += 1
    assert used(node.file.content) == (A,)


def test_a_lease_that_names_somebody_silent_takes_nothing_away(node: Node) -> None:
    """What works stays until the other one has shown that it does."""
    node.found = (_lease(),)
    for _ in range(8):
        node.answer(A, Outcome.ANSWERED)
        node.answer(B, Outcome.TIMED_OUT)
        node.look()
        node.now += 1
    assert used(node.file.content) == (A,)
    assert not any(one.is_replaced for one in node.memory.remembered)


@pytest.mark.parametrize(("bound", "is_in_force"), [({ADDRESS}, True), ({B}, False), (None, False)])
def test_a_lease_is_in_force_where_the_node_has_its_address(
    bound: set[object] | None, *, is_in_force: bool
) -> None:
    """Of the last boot's nothing is known; it is worth what its file is."""
    addresses = None if bound is None else frozenset(ip_address(str(one)) for one in bound)
    (one,) = find_in_force([_lease()], addresses)
    assert one.is_in_force is is_in_force
    assert (one.rank < make_candidate(A, Source.REMEMBERED).rank) is is_in_force
    assert make_candidate(A, Source.INFORM).rank < one.rank


@pytest.mark.parametrize(
    ("kept", "is_replaced"),
    [
        (RETIRED, True),  # of a resolv.conf, which is any interface's
        (replace(RETIRED, interface="eth0"), True),
        (replace(RETIRED, interface="eth1"), False),
        (replace(RETIRED, address=B), False),  # it is the one
        (replace(RETIRED, address=B, is_replaced=True), False),  # and is so again
        (replace(RETIRED, interface="eth1", is_replaced=True), True),
    ],
)
def test_what_a_lease_replaces(kept: Candidate, *, is_replaced: bool) -> None:
    """The others of its interface, once its own server resolves."""
    lease = replace(_lease(), is_in_force=True)
    silent, answering = rank([lease]), rank([lease], make_answer(B), make_clearance(B))
    (after,) = remembered.mark_replaced([kept], answering)
    assert after.is_replaced is is_replaced
    if kept.address != B:
        assert remembered.mark_replaced([kept], silent) == (kept,)


def test_memory_of_a_lease_is_worth_as_much_as_any() -> None:
    """It was in force: it stands ahead of old leases and backups, whatever client had it."""
    for source in (Source.NETWORKD, Source.DHCPCD):
        held = replace(_lease(source=source), is_in_force=True, answered=7.0)
        (recalled,) = remembered.load_remembered([held])
        assert recalled.rank == make_candidate(B, Source.REMEMBERED).rank
        (replaced,) = remembered.load_remembered([replace(held, is_replaced=True)])
        assert recalled.rank < replaced.rank < make_candidate(B, Source.LEASE).rank
