"""The upgrade promise of CHANGELOG.md: what a release has written and told is still understood.

``tests/data/releases`` has, by version, what that release wrote: its state, its hold, its files,
a configuration with all its keys, and what it told. Such a directory is never changed again; a
release adds one (CONTRIBUTING.md).
"""

import json
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dnsguard import PROTOCOL, __version__, config
from dnsguard.core.hold import Serves
from dnsguard.core.model import Source
from dnsguard.core.policy import HandoverMode
from dnsguard.formats import guarded_resolvconf
from dnsguard.host import hold, store
from dnsguard.reporting.events import Level
from dnsguard.reporting.message_ids import MESSAGE_IDS
from static.manual import ROOT
from static.test_monitoring import FAMILIES

RELEASES = sorted((ROOT / "tests/data/releases").iterdir())
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
SCHEMA = (ROOT / "docs/status.schema.json").read_text(encoding="utf-8")
FIRST = "0.1.0"
each = pytest.mark.parametrize("release", RELEASES, ids=lambda path: str(path.name))


def test_the_version_is_one() -> None:
    """Of the program, the package and its changelogs; each release before it is kept here."""
    debian = (ROOT / "packaging/debian/changelog").read_text(encoding="utf-8")
    assert re.findall(r"^dnsguard \(([\d.]+)\)", debian, re.MULTILINE)[0] == __version__
    versions = re.findall(r"^## ([\d.]+)", CHANGELOG, re.MULTILINE)
    assert versions[0] == __version__
    assert [path.name for path in RELEASES] == sorted(versions)


@each
def test_its_state_is_read(release: Path) -> None:
    """Whom it remembered, found to be cluster DNS and saw deleted, and without a complaint."""
    found = store.load(release / "state.json", release / "resolv.conf.foreign")
    assert found.complaint is None
    first, second, third = found.remembered
    assert (str(first.address), first.source, first.answered) == (
        "192.0.2.53",
        Source.BACKUP,
        1793000060.5,
    )
    assert (str(second.address), second.interface, second.is_in_force) == (
        "2001:db8::53",
        "eth0",
        True,
    )
    assert (str(third.address), third.is_replaced) == ("fe80::1%eth0", True)
    assert found.convicts == {ip_address("10.233.10.10"): 1793000003.5}
    assert found.kubernetes == {ip_address("10.233.0.1")}
    assert found.deleted == {ip_address("192.0.2.99"): 1793000004.0}
    assert found.links_bring is True
    assert found.foreign == (release / "resolv.conf.foreign").read_bytes()


@each
def test_its_hold_is_kept(release: Path) -> None:
    """By the daemon that takes its place in the upgrade."""
    kept = hold.load((release / "hold.json").read_bytes())
    assert (kept.serves, kept.by, kept.since, kept.until) == (
        Serves.UPSTREAM,
        "alice",
        1000.0,
        2800.0,
    )


@each
def test_its_file_is_known(release: Path) -> None:
    """What it held back and added is told apart from what somebody else wrote."""
    guarded = (release / "resolv.conf").read_bytes()
    foreign = (release / "resolv.conf.foreign").read_bytes()
    assert guarded != foreign
    assert guarded_resolvconf.unguard(guarded) == foreign


@each
def test_its_configuration_means_the_same(release: Path) -> None:
    """Every key that it had, with its unit."""
    found = config.load(release / "dnsguard.toml")
    policy = found.policy
    assert policy.servers == (ip_address("192.0.2.53"), ip_address("2001:db8::53"))
    assert (policy.upstream_question, policy.asks_dhcp) == ("corp.example", False)
    assert policy.fallback == (ip_address("192.0.2.54"),)
    assert policy.nodelocal == (ip_address("169.254.20.10"),)
    assert policy.nodelocal_question == "db.prod.svc.k8s.example"
    assert policy.health_url == "http://169.254.20.10:9254/health"
    assert (policy.require_binding, ip_address("10.96.0.10") in policy.cluster) == (False, True)
    assert (policy.cluster_domain, policy.handover) == ("k8s.example", HandoverMode.NEVER)
    assert (policy.successes, policy.failures) == (5, 1)
    assert (policy.fast, policy.slow, policy.heartbeat) == (0.5, 30.5, 0.25)
    assert policy.unread == 0.5
    assert (policy.timeout, policy.hold_down) == (2.0, 3.0)
    assert (found.takes_hook, found.log_level) == (False, Level.DEBUG)
    assert (found.textfile, found.listen) == ("/srv/metrics", ("192.0.2.1", 9353))


def test_the_first_configuration_has_every_key() -> None:
    """So that the test before this one speaks of all there were; none has its default."""
    path = ROOT / "tests/data/releases" / FIRST / "dnsguard.toml"
    given = re.findall(r"^\[(\w+)\]|^(\w+) =", path.read_text("utf-8"), re.MULTILINE)
    table, keys = "", set()
    for name, key in given:
        table = name or table
        keys |= {f"{table}.{key}"} if key else set()
    assert keys <= set(config.KEYS)
    if __version__ == FIRST:
        assert keys == set(config.KEYS)


@each
def test_what_it_told_is_told(release: Path) -> None:
    """Each key of its status, with the same type; words may come, none goes."""
    old = (release / "status.schema.json").read_text("utf-8")
    assert PROTOCOL == 1, "another protocol: its promises begin anew, and CHANGELOG.md says so"
    assert _find_lost(_read_schema(old), _read_schema(SCHEMA)) == []


def _read_schema(text: str) -> dict[str, Any]:
    """Return a schema with its references filled in."""
    parts = json.loads(text)["$defs"]

    def fill(one: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in one:
            return one
        part = parts[one["$ref"].removeprefix("#/$defs/")]
        filled: dict[str, Any] = json.loads(json.dumps(part), object_hook=fill)
        return filled

    schema: dict[str, Any] = json.loads(text, object_hook=fill)
    return schema


def _find_lost(old: dict[str, Any], new: dict[str, Any], at: str = "status") -> list[str]:
    """Return where one schema has something that the other has not, or has otherwise."""
    lost = []
    if old.get("type") != new.get("type"):
        lost.append(f"{at}: {old.get('type')} is {new.get('type')}")
    if not set(old.get("enum", ())) <= set(new.get("enum", ())):
        lost.append(f"{at}: a word is gone")
    if not set(old.get("required", ())) <= set(new.get("required", ())):
        lost.append(f"{at}: a key is not sure to be there any more")
    for key, part in old.get("properties", {}).items():
        lost += _find_lost(part, new.get("properties", {}).get(key, {}), f"{at}.{key}")
    if "items" in old:
        lost += _find_lost(old["items"], new.get("items", {}), f"{at}[]")
    return lost


def test_what_is_lost_is_found() -> None:
    """The control: a key that is gone, another type, a word fewer."""
    for damage, other in (("tramples", "tramplings"), ("guarding", "on"), ("integer", "string")):
        changed = SCHEMA.replace(f'"{damage}"', f'"{other}"')
        assert _find_lost(_read_schema(SCHEMA), _read_schema(changed)) != [], damage


@each
def test_its_events_have_their_ids(release: Path) -> None:
    """Who selects by name or MESSAGE_ID goes on finding them."""
    lines = (release / "message-ids").read_text("utf-8").splitlines()
    ids = {name: one for one, name in map(str.split, lines)}
    assert ids.items() <= MESSAGE_IDS.items()


@each
def test_its_metrics_are_told(release: Path) -> None:
    """With their types and labels: alerts and dashboards of that day go on working."""
    text = (release / "metrics").read_text("utf-8")
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        name = family.name + ("_total" if family.type == "counter" else "")
        assert FAMILIES[name].kind == family.type
        old = {label for sample in family.samples for label in sample.labels}
        new = {label for sample in FAMILIES[name].samples for label in sample.labels}
        assert old <= new or not FAMILIES[name].samples, name
