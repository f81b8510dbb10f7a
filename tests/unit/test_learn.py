"""What dhclient was told becomes what it would have written."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from property.node import EPOCH, Node
from property.promises import used
from property.text import CLUSTER, NODELOCAL

from dnsguard.core.answers import Outcome
from dnsguard.core.model import HookRecord, UpstreamState
from dnsguard.core.policy import Policy
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.records import DhclientEvent, Reason

OLD, NEW, ROUTER = ip_address("10.0.0.2"), ip_address("10.0.0.3"), ip_address("10.0.0.1")
ADDRESS = ip_address("10.0.0.7")
POLICY = Policy(nodelocal=(NODELOCAL,), cluster=CLUSTER)
TOLD = DhclientEvent(
    reason=Reason.BOUND,
    interface="eth0",
    address=ADDRESS,
    nameservers=(OLD,),
    domain="corp.example",
)


@pytest.fixture
def node() -> Node:
    """Return a guarded node whose file names the old server."""
    made = Node(policy=POLICY, bound=frozenset({ADDRESS}))
    made.write(b"nameserver 10.0.0.2\n")
    made.look()
    return made


def _tell(node: Node, told: DhclientEvent = TOLD, *others: DhclientEvent) -> None:
    """Let the hook write this down, later than all before, and look."""
    node.now += 1
    at = EPOCH + node.now
    known = {record.told.interface: record for record in node.records}
    known |= {one.interface: HookRecord(told=one, written=at) for one in (told, *others)}
    node.records = tuple(known.values())
    node.look()


def test_a_bound_lease_is_written_as_dhclient_would(node: Node) -> None:
    """Domain, search list and servers; a file that somebody edited before goes, as ever."""
    node.write(b"# mine\nnameserver 10.0.0.2\n")
    node.look()
    _tell(node)
    assert node.file.content == b"domain corp.example\nsearch corp.example\nnameserver 10.0.0.2\n"
    assert node.memory.tramples.count == 1


def test_what_an_exit_hook_adds_in_the_same_moment_is_kept(node: Node) -> None:
    """One look finds both what the enter hook told and the options that zdnsupdate put in."""
    node.now += 1
    node.records = (HookRecord(told=TOLD, written=EPOCH + node.now),)
    node.now += 0.01
    node.write(node.file.content + b"options timeout:2\noptions ndots:2\n")
    node.look()
    assert node.file.content.endswith(b"options timeout:2\noptions ndots:2\n")
    assert b"search corp.example\n" in node.file.content


def test_whom_glibc_would_not_ask_is_not_written(node: Node) -> None:
    """The fourth server is Go's readers' alone: the file says the same to everybody."""
    three = tuple(ip_address(f"10.0.1.{last}") for last in (1, 2, 3))
    _tell(node, replace(TOLD, nameservers=(*three, NEW)))
    assert used(node.file.content) == three
    assert b"# held back by dnsguard: nameserver 10.0.0.3\n" in node.file.content


def test_poison_is_guarded_before_it_is_written(node: Node) -> None:
    """What a superseding dhclient.conf says never reaches the file alone."""
    _tell(node, replace(TOLD, nameservers=(NODELOCAL,)))
    assert used(node.file.content) == (OLD,)
    assert b"# held back by dnsguard: nameserver 169.254.25.10\n" in node.file.content


def test_poison_is_never_written_where_nothing_better_is_known() -> None:
    """The file as it is may be no better, but it is not our doing."""
    node = Node(policy=POLICY, bound=frozenset({ADDRESS}))
    node.write(b"options ndots:2\n")
    node.look()
    _tell(node, replace(TOLD, nameservers=(NODELOCAL,), routers=()))
    assert NODELOCAL not in used(node.file.content)


@pytest.mark.parametrize(
    ("changed", "is_taken"),
    [
        ({}, False),
        ({"expires": 9.0}, False),
        ({"nameservers": (NEW,)}, True),
        ({"search": ("new.example",)}, True),
        ({"reason": Reason.REBOOT}, True),
    ],
)
def test_only_what_is_new_writes_over_an_edit(
    node: Node, changed: dict[str, object], *, is_taken: bool
) -> None:
    """A renewal that says the same leaves the operator's file; a dhclient that starts does not."""
    _tell(node)
    node.write(b"# mine\nnameserver 10.0.0.2\n")
    node.look()
    _tell(node, replace(TOLD, **({"reason": Reason.RENEW} | changed)))
    assert (b"# mine" not in node.file.content) is is_taken


def test_a_record_of_before_the_file_is_old_news() -> None:
    """The daemon was away: what was written since counts more."""
    node = Node(policy=POLICY, bound=frozenset({ADDRESS}))
    node.records = (HookRecord(told=TOLD, written=EPOCH),)
    node.write(b"# mine\nnameserver 10.0.0.3\n")
    node.look()
    assert node.file.content == b"# mine\nnameserver 10.0.0.3\n"


@pytest.mark.parametrize("bound", [frozenset[IPAddress]({ADDRESS}), frozenset[IPAddress]()])
def test_the_servers_of_a_lease_that_ended_lose_their_rank(
    node: Node, bound: frozenset[IPAddress]
) -> None:
    """Told so, or seen by the address gone: another interface's servers are better then."""
    other = replace(TOLD, interface="eth1", address=None, nameservers=(NEW,))
    _tell(node, other)
    _tell(node)
    for address in (OLD, NEW):
        node.answer(address, Outcome.ANSWERED)
    assert node.look().wanted == (OLD,)
    node.bound = bound
    if bound:
        _tell(node, replace(TOLD, reason=Reason.RELEASE))
    assert node.look().wanted == (NEW,)


def test_a_router_is_a_guess() -> None:
    """It serves DNS on many a network, and is used once it did."""
    node = Node(policy=POLICY, bound=frozenset({ADDRESS}))
    node.write(b"nameserver 169.254.25.10\n")
    node.look()
    _tell(node, replace(TOLD, nameservers=(NODELOCAL,), routers=(ROUTER,)))
    assert used(node.file.content) == ()
    node.answer(ROUTER, Outcome.ANSWERED)
    plan = node.look()
    assert (plan.wanted, plan.upstream) == ((ROUTER,), UpstreamState.VERIFIED)
