"""Three nodes under a real Prometheus: what the dashboard and the alerts ask is so.

One is guarding, one is handed over, one knows no upstream. All are on one wire, at whose other
end the upstream answers and Prometheus scrapes.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node, nodelocaldns
from lab.nameserver import nameserver
from lab.netns import Namespace, namespace
from lab.promtool import Prometheus, Vector, prometheus
from lab.wait import until

from dnsguard.core.model import Mode, UpstreamState

pytestmark = pytest.mark.integration

MONITORING = Path(__file__).parents[2] / "packaging/monitoring"
RULES = MONITORING / "dnsguard.rules.yml"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
NAMES = ("guarding", "handed-over", "lost")
PORT = 9353
MAYBE_EMPTY = frozenset(
    {
        # A quantile of no repair within the range, and questions that did not fail.
        "Repairs: p50, p99",
        "Failed questions a second, by leg",
    }
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The nodes by name, and who scrapes them."""

    nodes: dict[str, Node]
    prometheus: Prometheus

    def show(self, title: str) -> list[Vector]:
        """Return what each query of a panel comes to."""
        (panel,) = (one for one in DASHBOARD["panels"] if one["title"] == title)
        return [self.prometheus.query(_fill(target["expr"])) for target in panel["targets"]]


def _fill(expression: str) -> str:
    """Put in what Grafana would: all nodes, and four scrapes."""
    return expression.replace("$node", ".*").replace("$__rate_interval", "4s")


def _labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _trample(node: Node, how: Callable[[], object]) -> None:
    """Write over the file, and wait until that is counted."""
    before = node.status()["tramples"]["count"]
    how()
    until(lambda: bool(node.status()["tramples"]["count"] == before + 1))


def _as_dhclient(node: Node) -> Callable[[], object]:
    """Replace the file as dhclient-script(8) does."""
    new = node.file.with_name("resolv.conf.dhclient-new.4711")
    new.write_bytes(POISON + b"# again\n")
    return lambda: new.replace(node.file)


@contextmanager
def _nodes(root: Path, outside: Namespace) -> Iterator[dict[str, Node]]:
    """Put three nodes on one wire."""
    outside.bridge("wire", f"{UPSTREAM}/24")
    outside.ip("link set wire up")
    with ExitStack() as stack:
        made = {}
        for at, name in enumerate(NAMES, start=1):
            where = stack.enter_context(namespace())
            where.ip(f"link add eth0 type veth peer name node{at} netns {outside.path}")
            where.ip(f"address add 192.0.2.{at}/24 dev eth0")
            where.ip("link set eth0 up")
            outside.ip(f"link set node{at} master wire up")
            node = Node(root / name, where, knows=name != "lost")
            listen = f'[metrics]\nlisten = "192.0.2.{at}:{PORT}"\n'
            (node.root / "etc/dnsguard/dnsguard.toml").write_text(listen)
            made[name] = node
        yield made


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return the nodes, each in its state, and each scraped."""
    root = tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack:
        outside = stack.enter_context(namespace())
        nodes = stack.enter_context(_nodes(root, outside))
        stack.enter_context(nameserver(outside, UPSTREAM))
        stack.enter_context(nodelocaldns(nodes["handed-over"]))
        for node in nodes.values():
            stack.enter_context(node.guarded())
        nodes["guarding"].wait_for(UPSTREAM)
        nodes["handed-over"].wait_for(NODELOCAL, UPSTREAM)
        nodes["lost"].wait_for()
        for name in ("guarding", "handed-over"):
            _trample(nodes[name], _as_dhclient(nodes[name]))
        _trample(nodes["lost"], lambda: nodes["lost"].file.write_bytes(POISON))
        work = root / "prometheus"
        work.mkdir()
        targets = {name: f"192.0.2.{at}:{PORT}" for at, name in enumerate(NAMES, start=1)}
        made = stack.enter_context(prometheus(outside, work, targets, RULES))
        yield Fleet(nodes, made)


def test_nodes_by_mode(fleet: Fleet) -> None:
    """How many there are of each, and that none is silent."""
    by_mode, silent = fleet.show("Nodes by mode")
    assert by_mode == {
        _labels(mode=Mode.GUARDING): 2,
        _labels(mode=Mode.HANDED_OVER): 1,
        _labels(mode=Mode.HELD): 0,
    }
    assert silent == {_labels(): 0}


def test_nodes_without_a_verified_upstream(fleet: Fleet) -> None:
    """The one that knows none, by its name."""
    (found,) = fleet.show("Nodes without a verified upstream")
    assert found == {_labels(instance="lost", job="dnsguard", state=UpstreamState.NONE): 1}


def test_tramples_by_writer_over_all_nodes(fleet: Fleet) -> None:
    """Two nodes' dhclient together; increase() would not see a writer's first."""
    (found,) = fleet.show("Tramples by writer, since the daemons started")
    assert found == {_labels(writer="dhclient"): 2, _labels(writer="unknown"): 1}
    increase = "sum by (writer) (increase(dnsguard_tramples_total[1h]))"
    until(lambda: bool(fleet.prometheus.query(increase)), within=30)
    assert set(fleet.prometheus.query(increase).values()) == {0}


@pytest.mark.parametrize("title", [p["title"] for p in DASHBOARD["panels"] if p["type"] != "row"])
def test_every_panel_shows_something(fleet: Fleet, title: str) -> None:
    """Each query of it is evaluated, and none asks for what no node tells."""

    def is_shown() -> bool:
        return all(fleet.show(title))

    if title in MAYBE_EMPTY:
        fleet.show(title)
    else:
        until(is_shown, within=30)


def test_the_alerts_are_evaluated(fleet: Fleet) -> None:
    """Without an error; the node that knows no upstream is the one that is complained of."""

    def rules() -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = fleet.prometheus.ask("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def about() -> set[tuple[str, str]]:
        return {
            (rule["name"], alert["labels"]["instance"])
            for rule in rules()
            for alert in rule["alerts"]
        }

    until(lambda: all(rule["health"] == "ok" for rule in rules()), within=30)
    # Evaluated is not yet evaluated on what was scraped.
    until(lambda: ("DnsguardNoUpstream", "lost") in about(), within=30)
    assert {instance for _, instance in about()} == {"lost"}
    for rule in rules():
        assert re.fullmatch(r"https://\S+#\w+", rule["annotations"]["runbook_url"])
