"""systemd-resolved's configuration: whom it names, and what our part of it says when."""

from dataclasses import replace
from pathlib import Path

import pytest
from property.node import Node
from property.text import CLUSTER, NODELOCAL

from dnsguard.core import links, resolved
from dnsguard.core.answers import Outcome
from dnsguard.core.blocker import BlockerKind
from dnsguard.core.memory import Cure
from dnsguard.core.model import Candidate, Mode, Source
from dnsguard.core.observation import PodsFile, Resolved
from dnsguard.core.policy import Policy
from dnsguard.formats.address import IPAddress, parse_address
from dnsguard.formats.resolved import Configuration, asks_first, read_configuration
from dnsguard.host.resolved import ResolvedReader
from dnsguard.paths import Paths

REAL = parse_address("10.0.0.2")
STUB = b"nameserver 127.0.0.53\noptions edns0 trust-ad\n"
UPLINK = "/run/systemd/resolve/resolv.conf"
LINK = "../run/systemd/resolve/stub-resolv.conf"
OURS = PodsFile(path="/var/lib/dnsguard/resolv.conf", nameservers=(REAL,))
POISON = Configuration(servers=(NODELOCAL,))


def _node(*, brought: tuple[IPAddress, ...] = (), knows: bool = True) -> Node:
    """Return a node whose resolved was sent to NodeLocalDNS, and runs so."""
    known = Candidate(address=REAL, source=Source.LEASE, origin="a lease", seen=1.0)
    policy = Policy(nodelocal=(NODELOCAL,), cluster=frozenset(CLUSTER))
    node = Node(policy=policy, found=(known,) if knows else (), pods=OURS)
    node.resolved = Resolved(configured=POISON, links=brought, is_asked=True)
    node.restart_resolved()
    node.link(STUB, LINK)
    node.bound = frozenset()
    return node


def _said(node: Node) -> tuple[str, ...]:
    """Return the assignments of our part."""
    assert node.resolved is not None
    lines = (node.resolved.drop_in or b"").decode().splitlines()
    return tuple(line for line in lines if not line.startswith(("#", "[")))


def _hand_over(node: Node) -> None:
    node.bound = frozenset({NODELOCAL})
    for _ in range(8):
        node.now += node.policy.fast
        node.answer(REAL, Outcome.ANSWERED)
        node.answer(NODELOCAL, Outcome.ANSWERED)
        node.look()


def test_whose_links_have_servers_is_told_to_ask_nobody_else() -> None:
    """A renewal is then followed by resolved itself."""
    node = _node(brought=(REAL,))
    node.look()
    assert _said(node) == ("DNS=",)


def test_whose_links_have_none_is_told_to_ask_the_real_servers() -> None:
    """Nobody else would tell it: dhclient does not."""
    node = _node()
    node.look()
    assert _said(node) == ("DNS=", f"DNS={REAL}")


def test_names_of_the_cluster_are_routed_where_links_serve_the_others() -> None:
    """Split DNS: a NodeLocalDNS that hangs costs names outside nothing."""
    node = _node(brought=(REAL,))
    _hand_over(node)
    assert _said(node) == ("DNS=", f"DNS={NODELOCAL}", "Domains=~cluster.local")


def test_a_list_alone_has_real_servers_behind_nodelocaldns() -> None:
    """It is asked in order, so names resolve when NodeLocalDNS dies."""
    node = _node()
    _hand_over(node)
    assert _said(node) == ("DNS=", f"DNS={NODELOCAL} {REAL}", "Domains=~cluster.local")


def test_the_node_is_handed_over_when_it_has_heard_of_that() -> None:
    """Not while it restarts; and its link stays through all of it."""
    node = _node()
    _hand_over(node)
    modes = [node.memory.mode]
    node.restart_resolved()
    node.look()
    modes.append(node.memory.mode)
    node.answer(NODELOCAL, Outcome.UNREACHABLE)
    node.bound = frozenset()
    node.look()
    assert _said(node) == ("DNS=", f"DNS={REAL}")
    modes.append(node.memory.mode)
    node.restart_resolved()
    node.look()
    modes.append(node.memory.mode)
    assert modes == [Mode.GUARDING, Mode.HANDED_OVER, Mode.HANDED_OVER, Mode.GUARDING]
    assert node.file.link == LINK


def test_pods_that_get_its_list_stand_against_a_handover() -> None:
    """CoreDNS would forward to itself: kubeadm gives pods that very file."""
    node = _node()
    node.pods = PodsFile(path=UPLINK, nameservers=(REAL,), is_resolveds=True)
    _hand_over(node)
    assert node.plan is not None
    assert BlockerKind.PODS in {one.kind for one in node.plan.blockers}
    assert _said(node) == ("DNS=", f"DNS={REAL}")


@pytest.mark.parametrize("configured", [Configuration(), Configuration(servers=(REAL,))])
def test_a_healthy_one_is_left_alone(configured: Configuration) -> None:
    """And is so again once its configuration names the cluster no more."""
    node = _node(brought=(REAL,))
    node.look()
    assert node.resolved is not None
    node.resolved = replace(node.resolved, configured=configured)
    node.look()
    assert node.resolved.drop_in is None


def test_one_that_nobody_asks_is_left_alone() -> None:
    """What it would say is of no account."""
    node = _node()
    assert node.resolved is not None
    node.resolved = replace(node.resolved, is_asked=False)
    node.write(b"nameserver 10.0.0.2\n")
    node.look()
    assert node.resolved.drop_in is None


def test_the_only_server_that_works_is_not_taken_away() -> None:
    """No upstream is known, and NodeLocalDNS answers."""
    node = _node(knows=False)
    node.bound = frozenset({NODELOCAL})
    for _ in range(4):
        node.now += node.policy.fast
        node.answer(NODELOCAL, Outcome.ANSWERED)
        node.look()
    assert _said(node) == ()


def test_before_it_starts_a_dead_end_is_taken_from_it_all_the_same() -> None:
    """Nothing answers there at that moment of a boot; links bring servers later."""
    node = _node(knows=False)
    assert node.resolved is not None
    node.resolved = replace(node.resolved, asks=None)
    node.look()
    assert _said(node) == ("DNS=",)


def test_at_boot_links_are_expected_to_bring_what_they_brought() -> None:
    """Else each boot would begin with a restart of it; for so long only."""
    node = _node()
    node.memory = replace(node.memory, cure=Cure(links_bring=True))
    node.look()
    assert _said(node) == ("DNS=",)
    node.now += links.WAIT
    node.look()
    assert _said(node) == ("DNS=", f"DNS={REAL}")


def test_it_is_reminded_less_and_less_often() -> None:
    """A change while its restart was under way is lost to a path unit."""
    node = _node()
    told_at = []
    for _ in range(400):
        plan = node.look()
        if any(
            action.describe().startswith("see that systemd-resolved") for action in plan.actions
        ):
            told_at.append(round(node.now - 1000.0, 1))
        node.now += 0.1
    first = told_at[0]
    pauses = [round(at - first) for at in told_at]
    assert pauses == [0, 2, 4, 8, 16, 32]


def test_whom_it_asks_because_it_was_told_to_teaches_nothing() -> None:
    """The retired server would stay for ever, named by ourselves."""
    node = _node()
    node.look()
    node.restart_resolved()
    echo = Candidate(address=REAL, source=Source.RESOLVED, origin=UPLINK, seen=1.0)
    other = parse_address("10.0.0.3")
    now = Candidate(address=other, source=Source.COREFILE, origin="a Corefile", seen=1.0)
    node.found = (echo, now)
    assert resolved.echoes(node.observe()) == {REAL}
    node.answer(other, Outcome.ANSWERED)
    node.look()
    assert _said(node) == ("DNS=", f"DNS={other}")


def test_whom_it_still_asks_before_it_has_heard_is_no_links() -> None:
    """NetworkManager has it write its list anew at a renewal: of the server that is retired.

    That was taken for one of its links' own, nobody was named, and the next boot was dead.
    """
    node = _node()
    node.look()
    node.restart_resolved()
    node.look()
    other = parse_address("10.0.0.3")
    node.found = (Candidate(address=other, source=Source.COREFILE, origin="one", seen=1.0),)
    node.answer(REAL, Outcome.TIMED_OUT)
    node.answer(other, Outcome.ANSWERED)
    node.look()
    assert _said(node) == ("DNS=", f"DNS={other}")
    assert node.resolved is not None
    assert node.resolved.asks == (REAL,)
    node.look()
    assert _said(node) == ("DNS=", f"DNS={other}")
    assert not node.memory.cure.links_bring


def test_all_files_are_read_in_the_order_of_their_names_and_an_empty_value_clears() -> None:
    """As resolved.conf(5) has it; other sections say nothing of it."""
    first, second = (
        b"[Resolve]\nDNS=10.0.0.9\nFallbackDNS=10.0.0.8\n",
        b"[Resolve]\nDNS=\nDNS=10.0.0.2\n",
    )
    found = read_configuration([first, b"[Other]\nDNS=10.0.0.7\n", second])
    assert (found.servers, found.fallback) == ((REAL,), (parse_address("10.0.0.8"),))


@pytest.mark.parametrize(
    ("text", "is_first"),
    [
        (b"hosts: files resolve [!UNAVAIL=return] dns\n", True),
        (b"hosts: files dns # resolve\n", False),
        (b"passwd: resolve\n", False),
        (b"hosts: files resolve[!UNAVAIL=return] dns\n", True),
        (b"hosts: files dns\nhosts: files resolve dns\n", True),
        (b"hosts: resolve\nhosts: files dns\n", False),
        (b"hosts files resolve dns\n", True),
        (b"hosts: files [NOTFOUND=resolve] dns\n", False),
    ],
)
def test_nsswitch_tells_whether_programs_ask_it(text: bytes, is_first: bool) -> None:  # noqa: FBT001
    """Debian's libnss-resolve puts it in front of resolv.conf."""
    assert asks_first(text) is is_first


def test_a_node_is_read_without_what_is_ours(tmp_path: Path) -> None:
    """Of one name the first place counts, and the last name has the last word."""
    paths = Paths(tmp_path)
    files = {
        "usr/lib/systemd/systemd-resolved": "",
        "etc/systemd/resolved.conf": "[Resolve]\nDNS=10.0.0.9\n",
        "usr/lib/systemd/resolved.conf.d/b.conf": "[Resolve]\nDNS=10.0.0.8\n",
        "etc/systemd/resolved.conf.d/b.conf": "[Resolve]\nDNS=\nDNS=169.254.25.10\n",
        "run/systemd/resolved.conf.d/zz-dnsguard.conf": "[Resolve]\nDNS=\nDNS=10.0.0.2\n",
        "run/systemd/netif/links/2": "DNS=10.0.0.3\n",
        "run/systemd/resolve/resolv.conf": "nameserver 10.0.0.2\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    reader = ResolvedReader(paths)
    reader.refresh()
    seen = reader.read()
    assert seen is not None
    assert seen.configured.servers == (NODELOCAL,)
    assert seen.links == (parse_address("10.0.0.3"),)
    assert seen.asks == (REAL,)
    assert seen.drop_in is not None
