"""What is counted, and what becomes of it as metrics."""

from dataclasses import replace
from itertools import pairwise

import pytest
from property.node import Node
from property.text import CLUSTER, NODELOCAL

from dnsguard.core.answers import Outcome
from dnsguard.core.attribution import Trample, Writer
from dnsguard.core.hold import Hold, Serves
from dnsguard.core.policy import Policy
from dnsguard.formats.dhclient.hazards import Hazard, HazardKind
from dnsguard.reporting.counters import BUCKETS, CAUSES, Counters, cause
from dnsguard.reporting.metrics import Family, Kind, metrics
from dnsguard.reporting.status import DhclientStatus, HookState
from dnsguard.reporting.survey import DaemonFacts, make_status

POLICY = Policy(nodelocal=(NODELOCAL,), cluster=CLUSTER)
Series = dict[tuple[str, ...], float]


def _node() -> Node:
    node = Node(policy=POLICY, bound=frozenset())
    node.write(b"nameserver 10.0.0.2\n")
    node.look()
    return node


def _told(node: Node, counters: Counters) -> dict[str, Family]:
    assert node.plan is not None
    hazard = Hazard(path="p", line=1, what="w", kind=HazardKind.POISONS, defused=False, why="y")
    hazards = (replace(hazard, defused=True), hazard, hazard)
    facts = DaemonFacts(dhclient=DhclientStatus(hook=HookState.ACTIVE, hazards=hazards))
    status = make_status(node.memory, node.observe(), node.plan, POLICY, facts)
    return {family.name: family for family in metrics(status, counters)}


def _series(family: Family) -> Series:
    return {(sample.suffix, *sample.labels.values()): sample.value for sample in family.samples}


def test_one_of_the_states_is_1() -> None:
    """As Prometheus wants state sets."""
    told = _told(_node(), Counters())
    assert _series(told["dnsguard_mode"]) == {
        ("", "guarding"): 1.0,
        ("", "handed-over"): 0.0,
        ("", "held"): 0.0,
    }
    for name in (
        "dnsguard_nodelocal_state",
        "dnsguard_upstream_state",
        "dnsguard_last_switch_cause",
    ):
        assert sum(_series(told[name]).values()) == 1.0


def test_a_histogram_adds_up() -> None:
    """Buckets are cumulative, and each repair is in one of them."""
    counters = Counters()
    for seconds in (0.00005, BUCKETS[0], 0.0003, 0.02, 7.0):
        counters.record_repair(seconds)
    series = _series(_told(_node(), counters)["dnsguard_repair_seconds"])
    assert series["_bucket", "0.0001"] == 2
    assert series["_bucket", "0.0005"] == 3
    assert series["_bucket", "1"] == 4
    assert series["_bucket", "+Inf"] == series["_count",] == 5
    assert series["_sum",] == pytest.approx(7.02045)


def test_answers_are_counted_by_leg() -> None:
    """An upstream that is asked for a cluster's name is no leg of NodeLocalDNS."""
    node, counters = _node(), Counters()
    node.answer(NODELOCAL, Outcome.ANSWERED)
    node.answer(next(iter(node.memory.learned)).address, Outcome.TIMED_OUT)
    counters.record_answers(node.observe().answers, CLUSTER)
    assert _series(_told(node, counters)["dnsguard_probe_results_total"]) == {
        ("", "cluster_udp", "answered"): 1,
        ("", "cluster_tcp", "answered"): 1,
        ("", "external_udp", "answered"): 1,
        ("", "external_tcp", "answered"): 1,
        ("", "one_time", "answered"): 1,
        ("", "upstream", "timed-out"): 2,
        ("", "upstream_cluster", "timed-out"): 3,
    }


def test_a_switch_has_a_cause() -> None:
    """The reasons for people are many, the causes few."""
    node, counters = _node(), Counters()
    first = node.look()
    node.bound = frozenset({NODELOCAL})
    for _ in range(3):
        node.answer(NODELOCAL, Outcome.ANSWERED)
        node.answer(next(iter(node.memory.learned)).address, Outcome.ANSWERED)
    handed = node.look()
    node.bound = frozenset()
    back = node.look()
    node.hold = Hold(serves=Serves.UPSTREAM, by="x", since=0.0)
    held = node.look()
    node.hold = None
    released = node.look()
    plans = [None, first, handed, back, held, released]
    causes = [cause(before, after) for before, after in pairwise(plans) if after is not None]
    assert causes == ["start", "nodelocal_healthy", "nodelocal_absent", "hold", "release"]
    for before, after in pairwise(plans):
        assert after is not None
        counters.record_plan(before, after)
        counters.record_plan(after, after)
    assert sum(counters.switches.values()) == 5
    assert set(causes) <= set(CAUSES)
    assert counters.last_cause == "release"


def test_tramples_have_their_writer() -> None:
    """And a node without any has the series all the same."""
    node = _node()
    assert _series(_told(node, Counters())["dnsguard_tramples_total"]) == {("", "unknown"): 0}
    tramples = node.memory.tramples.add(Trample(0.0, Writer("dhclient", "")))
    object.__setattr__(node.memory, "tramples", tramples)
    assert _series(_told(node, Counters())["dnsguard_tramples_total"]) == {("", "dhclient"): 1}


def test_hazards_are_counted_by_what_becomes_of_them() -> None:
    """Three of them."""
    told = _told(_node(), Counters())
    assert _series(told["dnsguard_dhclient_hazards"]) == {("", "true"): 1, ("", "false"): 2}
    assert told["dnsguard_dhclient_hazards"].kind is Kind.GAUGE
