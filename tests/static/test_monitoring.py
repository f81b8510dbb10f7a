"""The metrics, their manual, the alert rules and the dashboard say the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from lab.promtool import promtool
from property.node import Node
from property.text import CLUSTER, NODELOCAL

from dnsguard.core.policy import Policy
from dnsguard.host import yaml_text
from dnsguard.reporting.counters import Counters
from dnsguard.reporting.metrics import Family, metrics
from dnsguard.reporting.survey import DaemonFacts, make_status

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "packaging/monitoring"
MANUAL = ROOT / "docs/man/dnsguard-metrics.7"
GRID = 24
"""Columns of Grafana's."""
DASHBOARD: dict[str, Any] = json.loads((PLACE / "dashboard.json").read_text("utf-8"))


def families() -> dict[str, Family]:
    """Return what a daemon that has just looked would tell."""
    policy = Policy(nodelocal=(NODELOCAL,), cluster=CLUSTER)
    node = Node(policy=policy, bound=frozenset())
    node.write(b"nameserver 10.0.0.2\n")
    plan = node.look()
    status = make_status(node.memory, node.observe(), plan, policy, DaemonFacts())
    return {family.name: family for family in metrics(status, Counters())}


FAMILIES = families()


def _series(expression: str) -> set[str]:
    """Return the metrics that an expression asks for, without a histogram's suffix."""
    found = set(re.findall(r"\bdnsguard_\w+", expression))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}


def _expressions() -> list[str]:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def _rules() -> list[dict[str, Any]]:
    groups: Any = yaml_text.load((PLACE / "dnsguard.rules.yml").read_bytes())
    rules: list[dict[str, Any]] = groups["groups"][0]["rules"]
    return rules


def test_the_manual_has_every_metric() -> None:
    """With its type and its labels, in one order."""
    described = re.findall(
        r'^\.It Ic (\w+) Pq "(\w+)(?:, labels: ([\w, ]+))?"$',
        MANUAL.read_text("utf-8"),
        re.MULTILINE,
    )
    assert [(name, kind) for name, kind, _ in described] == [
        (family.name, family.kind) for family in FAMILIES.values()
    ]
    for name, _, labels in described:
        known = {label for sample in FAMILIES[name].samples for label in sample.labels} - {"le"}
        assert known <= set(labels.split(", ")) - {""} or not known, name


def test_the_rules_are_valid_and_each_alert_is_tried() -> None:
    """Each fires when it should, and is silent else: by promtool's own account."""
    promtool("check", "rules", PLACE / "dnsguard.rules.yml")
    said = promtool("test", "rules", PLACE / "dnsguard.rules.test.yml")
    assert "SUCCESS" in said
    tests: Any = yaml_text.load((PLACE / "dnsguard.rules.test.yml").read_bytes())
    named = [test["name"] for test in tests["tests"]]
    alerts = [rule["alert"] for rule in _rules()]
    assert named == [f"{alert} {what}" for alert in alerts for what in ("fires", "is silent")]
    for test in tests["tests"]:
        (tried,) = test["alert_rule_test"]
        assert tried["alertname"] == test["name"].split()[0]
        assert bool(tried["exp_alerts"]) is test["name"].endswith("fires")


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """Of metrics that there are, with how bad it is; where to read on is test_runbook's."""
    assert _series(rule["expr"]) <= set(FAMILIES)
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"]["description"].endswith(".")


def test_the_dashboard_shows_every_metric(tmp_path: Path) -> None:
    """In expressions that Prometheus can parse, each of metrics that there are."""
    shown = {name for expression in _expressions() for name in _series(expression)}
    assert shown == set(FAMILIES)
    plain = [
        expression.replace("$node", ".*").replace("$__rate_interval", "5m")
        for expression in _expressions()
    ]
    rules = [{"record": f"shown:{at}", "expr": expr} for at, expr in enumerate(plain)]
    file = tmp_path / "rules.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_the_dashboard_fits_its_grid() -> None:
    """Panels have ids of their own and do not lie over each other; each is of a data source."""
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < GRID
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    assert {v["name"] for v in DASHBOARD["templating"]["list"]} == {"datasource", "node"}
