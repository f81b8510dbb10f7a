"""docs/runbook.md: a section for each alert and each event, and none for what there is not."""

import re
import shlex
import tomllib
from typing import Any

import pytest

from dnsguard import cli
from dnsguard.host import yaml_text
from dnsguard.reporting.message_ids import MESSAGE_IDS
from static.manual import ROOT
from static.test_monitoring import FAMILIES

RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
PARTS = ["What it means", "Look at", "Do", "Over when"]
ALERTS_AT, EVENTS_AT = RUNBOOK.index("\n# Alerts\n"), RUNBOOK.index("\n# Events\n")
_RULE_FILE = ROOT / "packaging/monitoring/dnsguard.rules.yml"


def _rules() -> dict[str, dict[str, Any]]:
    groups: Any = yaml_text.load(_RULE_FILE.read_bytes())
    return {rule["alert"]: rule for rule in groups["groups"][0]["rules"]}


def _sections(text: str) -> dict[str, str]:
    """Return what stands under each heading of the third rank."""
    return dict(re.findall(r"^### ([^\n]+)\n\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL))


def _anchor(heading: str) -> str:
    """Return what GitHub, GitLab and Gitea make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


RULES = _rules()
ALERTS = _sections(RUNBOOK[ALERTS_AT:EVENTS_AT])
EVENTS = _sections(RUNBOOK[EVENTS_AT:])


def test_every_alert_has_its_section() -> None:
    """In the rules' order, and none for an alert that is gone."""
    assert list(ALERTS) == list(RULES)


def test_every_event_has_its_section() -> None:
    """In the order of reporting.message_ids; neighbours may share one."""
    assert [name for heading in EVENTS for name in heading.split(", ")] == list(MESSAGE_IDS)


@pytest.mark.parametrize("name", RULES)
def test_an_alert_leads_to_its_section(name: str) -> None:
    """By the URL that it carries, which is below the package's Homepage."""
    rule, text = RULES[name], ALERTS[name]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    homepage = project["urls"]["Homepage"]
    control = (ROOT / "packaging/debian/control").read_text(encoding="utf-8")
    assert f"\nHomepage: {homepage}\n" in control
    assert rule["annotations"]["runbook_url"] == f"{homepage}/docs/runbook.md#{_anchor(name)}"
    severity = rule["labels"]["severity"].capitalize()
    assert text.startswith(f"{severity}, after {rule['for']} of `{rule['expr']}`\n\n")


@pytest.mark.parametrize("heading", [*ALERTS, *EVENTS])
def test_a_section_says_all_four_things(heading: str) -> None:
    """What it means, what to look at, what to do, and how to be sure that it is over."""
    text = (ALERTS | EVENTS)[heading]
    assert re.findall(r"^\*\*([^*]+)\.\*\* \S", text, re.MULTILINE) == PARTS


def test_no_two_sections_say_the_same() -> None:
    """But that nothing is to be done, and that something is over as it happens."""
    said = [
        line
        for text in (ALERTS | EVENTS).values()
        for line in text.splitlines()
        if re.match(r"\*\*(What it means|Look at)", line)
    ]
    assert len(set(said)) == len(said)


def test_links_within_lead_to_sections() -> None:
    """A renamed heading is noticed."""
    anchors = {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= anchors


def _commands() -> list[str]:
    """Return what is to be typed, of dnsguard's own commands."""
    typed = re.findall(r"`([^`\n]+)`", RUNBOOK) + re.findall(r"^    (.+)$", RUNBOOK, re.MULTILINE)
    parts = [part.strip() for line in typed for part in re.split(r"&&|;|  #", line)]
    plain = [re.sub(r"^sudo ", "", part) for part in parts]
    return sorted({one for one in plain if re.match(r"dnsguard [a-z]", one)})


@pytest.mark.parametrize("command", _commands())
def test_the_commands_are_those_of_the_command_line(command: str) -> None:
    """Each one parses: no option of another day."""
    options = cli._make_parser().parse_args(shlex.split(command)[1:])
    assert options.command == command.split()[1]


def test_metrics_events_and_units_are_there() -> None:
    """What is named to look at exists."""
    named = re.findall(r"\bdnsguard_\w+", RUNBOOK)
    assert {re.sub(r"_bucket$", "", name) for name in named} <= set(FAMILIES)
    assert set(re.findall(r"DNSGUARD_EVENT=(\w+)", RUNBOOK)) <= set(MESSAGE_IDS)
    files = re.findall(r"\bdnsguard[\w-]*\.(?:path|service)\b", RUNBOOK)
    assert all((ROOT / "systemd" / name).exists() for name in files)
