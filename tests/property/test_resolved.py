"""systemd-resolved's list in any hands: no file that pods get names the cluster, nothing healthy changes."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.answers import Outcome
from dnsguard.core.model import Candidate, Source
from dnsguard.core.observation import PodsFile, Resolved
from dnsguard.core.policy import HandoverMode, Policy
from dnsguard.formats.resolved import Configuration
from property.node import START, STUB, Node
from property.text import CLUSTER, NODELOCAL, UPSTREAMS

_UPLINK = "/run/systemd/resolve/resolv.conf"
_LINKS = ("../run/systemd/resolve/stub-resolv.conf", f"..{_UPLINK}", None)
_servers = st.lists(st.sampled_from((NODELOCAL, *UPSTREAMS)), max_size=3, unique=True)
_pods = st.sampled_from(
    [
        None,
        PodsFile(path="/etc/resolv.conf", nameservers=UPSTREAMS[:1], follows=True),
        PodsFile(path="/var/lib/dnsguard/resolv.conf", nameservers=UPSTREAMS[:1]),
        PodsFile(path=_UPLINK, nameservers=UPSTREAMS[:1], is_resolveds=True),
        PodsFile(path=_UPLINK, nameservers=UPSTREAMS[:1], is_resolveds=True, follows=True),
    ]
)


@st.composite
def _nodes(draw: st.DrawFn) -> Node:
    policy = Policy(
        nodelocal=(NODELOCAL,),
        cluster=frozenset(CLUSTER),
        handover=draw(st.sampled_from(HandoverMode)),
    )
    known = [
        Candidate(address=one, source=Source.LEASE, origin="a lease", seen=START)
        for one in draw(st.lists(st.sampled_from(UPSTREAMS), max_size=2, unique=True))
    ]
    node = Node(policy=policy, found=tuple(known), pods=draw(_pods))
    node.resolved = Resolved(
        configured=Configuration(servers=tuple(draw(_servers)), fallback=tuple(draw(_servers))),
        links=tuple(one for one in draw(_servers) if one != NODELOCAL),
        is_asked=draw(st.booleans()),
    )
    if draw(st.booleans()):
        node.restart_resolved()
    link = draw(st.sampled_from(_LINKS))
    if link is not None:
        node.link(_behind(node, link), link)
    else:
        node.write(b"nameserver 169.254.25.10\n")
    return node


def _behind(node: Node, link: str) -> bytes:
    assert node.resolved is not None
    asks = node.resolved.asks or ()
    servers = (STUB,) if "stub" in link else asks
    return b"".join(b"nameserver %s\n" % str(one).encode() for one in servers)


_steps = st.sampled_from(["restart", "nodelocal", "dead", "upstream", "pods", "wait", "links"])


@given(node=_nodes(), steps=st.lists(_steps, max_size=12), data=st.data())
def test_whatever_happens_each_decision_keeps_its_promises(
    node: Node, steps: list[str], data: st.DataObject
) -> None:
    """The promises themselves are in property.promises."""
    for step in steps:
        assert node.resolved is not None
        match step:
            case "restart":
                node.restart_resolved()
                if node.file.link is not None and node.file.leads_away:
                    node.link(_behind(node, node.file.link), node.file.link)
            case "nodelocal":
                node.bound = frozenset({NODELOCAL})
                node.answer(NODELOCAL, Outcome.ANSWERED)
            case "dead":
                node.answer(NODELOCAL, Outcome.UNREACHABLE)
            case "upstream":
                node.answer(data.draw(st.sampled_from(UPSTREAMS)), Outcome.ANSWERED)
            case "pods":
                node.pods = data.draw(_pods)
            case "links":
                node.resolved = replace(node.resolved, links=UPSTREAMS[:1])
            case _:
                node.now += data.draw(st.sampled_from([0.1, 1.0, 3.0, 40.0]))
        node.now += 0.05
        node.look()
