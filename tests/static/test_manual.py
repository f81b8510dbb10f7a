"""dnsguard(8) has every event, state, path and figure of the code."""

import ast
import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import pytest

from dnsguard import background, control, daemon, heartbeat, hints
from dnsguard.commands import secure
from dnsguard.commands import upstreams as candidates
from dnsguard.config import KEYS
from dnsguard.core import (
    backoff,
    choice,
    dhcp_query,
    health,
    observation,
    probe_record,
    probes,
    remembered,
    rewrite,
)
from dnsguard.core.model import Mode, NodeLocal, Source, UpstreamState
from dnsguard.formats import resolvconf
from dnsguard.host import resolvfile
from dnsguard.paths import Paths
from dnsguard.reporting import events
from dnsguard.reporting.message_ids import MESSAGE_IDS
from static.manual import ROOT, items, page, prose, section
from static.states import POLICY


class Emitted(NamedTuple):
    """An event in the code."""

    name: str
    level: str | None
    """None where it is decided at run time."""
    place: str


def _emitted() -> Iterator[Emitted]:
    for path in sorted((ROOT / "dnsguard").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            called = ast.unparse(call.func).removeprefix("self.")
            place = f"{path.relative_to(ROOT)}:{call.lineno}"
            given = {word.arg: word.value for word in call.keywords}
            if called == "Event":
                name, level = given["name"], given.get("level")
            elif called == "_tell":
                name, level = call.args[0], call.args[1] if len(call.args) > 1 else None
            else:
                continue
            if isinstance(name, ast.Constant):
                yield Emitted(str(name.value), _level(level), place)
            else:
                # Only Daemon._tell passes on what its callers name.
                assert ast.unparse(call).startswith("Event(name=name, level=level"), place


def _level(level: ast.expr | None) -> str | None:
    if level is None:
        return events.Level.INFO
    named = re.fullmatch(r"Level\.(\w+)", ast.unparse(level))
    return None if named is None else events.Level[named[1]]


def _logged() -> dict[str, set[str]]:
    found = re.findall(
        r'^\.It Ic (\w+) Pq "?([^"\n]*)"?$', section(page("dnsguard.8"), "LOG EVENTS"), re.MULTILINE
    )
    return {name: set(levels.split(", ")) for name, levels in found}


def test_every_event_is_in_the_manual() -> None:
    """LOG EVENTS names what the code emits, and nothing else."""
    assert {emitted.name for emitted in _emitted()} == set(_logged()) == set(MESSAGE_IDS)


def test_the_manual_has_each_events_level() -> None:
    """An event's level in the code is one of those in LOG EVENTS."""
    logged = _logged()
    wrong = [
        emitted
        for emitted in _emitted()
        if emitted.level is not None and emitted.level not in logged.get(emitted.name, {})
    ]
    assert not wrong


def test_every_state_is_in_the_manual() -> None:
    """DESCRIPTION has the values of the three questions, in the code's order."""
    described = items(section(page("dnsguard.8"), "DESCRIPTION"), "Li")
    assert described == [*Mode, *NodeLocal, *UpstreamState]


def test_the_sources_stand_in_order_of_rank() -> None:
    """WHERE UPSTREAMS COME FROM is the ranking, item by item."""
    text = section(page("dnsguard.8"), "WHERE UPSTREAMS COME FROM")
    assert items(text, "Li") == list(Source)


def test_every_path_is_in_the_manual() -> None:
    """FILES has each path of paths.Paths."""
    text = section(page("dnsguard.8"), "FILES")
    named = [name for name, kind in vars(Paths).items() if isinstance(kind, cached_property)]
    values = [getattr(Paths(), name) for name in named]
    paths = [path for value in values for path in (value if isinstance(value, tuple) else (value,))]
    assert paths
    assert [path for path in paths if str(path) not in text] == []


_SILENCE = (
    POLICY.heartbeat + heartbeat.ANSWER + POLICY.timeout + (POLICY.failures - 1) * POLICY.fast
)
"""Seconds: to the next heartbeat, for its answer, one question for each failure more, and the last
one's time."""
_FIGURES = (
    f"{backoff.BURST} repairs in a second are made at once",
    f"doubles from {backoff.SHORTEST_DELAY:g} to {backoff.LONGEST_DELAY:g} seconds",
    f"for {('two', 'three', 'four', 'five')[int(backoff.QUIET_TIMES) - 2]} times as long",
    f"at least {backoff.WINDOW:g} second",
    f"is waited for, at most {rewrite.PATIENCE:g} seconds",
    f"may stay so for {rewrite.GRACE:g} seconds",
    f"Waits at most {secure.PATIENCE:g} second for a program",
    f"a file over {observation.MAX_FILE // 1024} KiB",
    f"N is 1 to {resolvfile._MOST_ASIDE}",
    f"At most {probes.MOST_ASKED} candidates are asked at a time",
    f"and again every {probes.CLEARANCE:g} seconds",
    f"three times and for {probe_record.PATIENCE:g} seconds, is taken for real",
    f"fails {remembered.FORGOTTEN_AFTER} times in a row",
    f"at most {dhcp_query.LONGEST:g} seconds",
    f"at most the first {candidates.MOST_ASKED}",
    f"fastest {resolvconf.MAXNS} are taken",
    f"The {remembered.MOST_REMEMBERED} newest are kept",
    f"looks again every {hints.REFRESH:g} seconds",
    f"are read again every {daemon.REREAD:g} seconds",
    f"within {hints.REFRESH:g} seconds instead of at once",
    f"{1000 * background.QUIET:g} milliseconds after the look",
    f"written {events.BURST} times a minute",
    f"{events.MOST} times those with the same name",
    f"at most {control.MAX_LINE} bytes",
    f"At most {control.MAX_CLIENTS} clients",
    f"at most {control.SHARE} of one user, each for at most {control.PATIENCE:g} seconds",
    f"within {_SILENCE:g} seconds",
    f"{1000 * heartbeat.ANSWER:g} milliseconds for its answer",
    f"for health.unread ({POLICY.unread:g} seconds)",
    f"every health.heartbeat ({POLICY.heartbeat:g} seconds)",
    f"every health.slow ({POLICY.slow:g} seconds)",
    f"It is {POLICY.hold_down:g} second at first",
    f"did not fail in the last {health.SERVFAIL_CACHED:g} seconds",
    f"counts for {health.PROOF:g} seconds",
    f"up to {backoff.LONGEST_HOLD_DOWN:g} seconds, with each break",
    f"{backoff.LONGEST_HOLD_DOWN:g} seconds and {backoff.FORGIVEN} times the hold-down",
)


@pytest.mark.parametrize("figure", _FIGURES)
def test_the_figures_in_the_manual_are_the_codes(figure: str) -> None:
    """A constant that dnsguard(8) quotes is quoted right."""
    assert figure in prose(page("dnsguard.8"))


def test_an_upstream_is_lost_after_as_many_failures_as_the_manual_says() -> None:
    """These figures stand there as words."""
    assert probe_record.LOST_AFTER == 2.0
    assert choice.MOST_BACKUPS == 2.0
    assert events.WINDOW == 60.0
    assert KEYS["health.slow"].default == 5.0
