"""The documents say what the code does: whoever changes one is told of the other."""

import argparse
import ast
import importlib
import os
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from dnsguard import cli, config, control, daemon
from dnsguard.commands import secure
from dnsguard.commands import upstreams as candidates
from dnsguard.config import KEYS
from dnsguard.core import (
    backoff,
    choice,
    decide,
    dhcp_query,
    health,
    learn,
    observation,
    probe_record,
    probes,
    remembered,
    rewrite,
)
from dnsguard.core.answers import Answer, Outcome, ProbeKind, ProbeTarget
from dnsguard.core.backoff import FlapDamping
from dnsguard.core.evidence import Services
from dnsguard.core.health import EXTERNAL, HEARTBEAT, ONE_TIME, Health, ProbeStreak, advance, legs
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import Candidate, Found, Mode, NodeLocal, Source, UpstreamState
from dnsguard.core.observation import FileObservation, Identity, Observation, PodsFile
from dnsguard.core.plan import Plan, ReplaceFile
from dnsguard.core.policy import HandoverMode, fill_policy
from dnsguard.core.probe_record import ProbeRecord, ProbeRecords, apply_answers
from dnsguard.errors import ConfigError
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress, parse_address
from dnsguard.host import resolvfile
from dnsguard.paths import Paths
from dnsguard.reporting import events
from dnsguard.reporting.message_ids import MESSAGE_IDS

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "packaging/debian/dnsguard.toml"
STATES = ROOT / "docs/states.md"
PAGES = ("dnsguard-metrics.7", "dnsguard.8", "dnsguard.toml.5")
DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/states.md")
POLICY = fill_policy(config.defaults().policy, None)
NODELOCAL_ADDRESS = POLICY.nodelocal[0]
UPSTREAM = parse_address("192.0.2.53")


# --- The manuals as text


def page(name: str) -> str:
    """Return the source of a manual page, its escapes resolved."""
    text = (ROOT / "docs/man" / name).read_text(encoding="utf-8")
    return text.replace(r"\&", "").replace(r"\(dq", '"')


def section(text: str, name: str) -> str:
    """Return what stands below the header."""
    found = re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {name}"
    return found[1]


def items(text: str, macro: str) -> list[str]:
    """Return the arguments of list items that begin with this macro."""
    return re.findall(rf"^\.It {macro} (.*)$", text, re.MULTILINE)


def prose(text: str) -> str:
    """Return the page as running text: no macros, single blanks."""
    words = re.sub(r"^\.[A-Z][a-z]\b ?", "", text, flags=re.MULTILINE).split()
    return re.sub(r" ([.,;:)])", r"\1", " ".join(words))


# --- dnsguard.toml


def _uncommented() -> str:
    return re.sub(r"^#(\w+ = )", r"\1", CONF.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_shipped_configuration_is_the_defaults() -> None:
    """As shipped it sets nothing and loads."""
    assert config.load(CONF) == config.defaults()
    assert all(not table for table in tomllib.loads(CONF.read_text(encoding="utf-8")).values())


def test_the_commented_keys_of_the_shipped_configuration_are_the_defaults(tmp_path: Path) -> None:
    """With every comment sign before a key removed it says each key and its default."""
    path = tmp_path / "dnsguard.toml"
    path.write_text(_uncommented(), encoding="utf-8")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    shown = {
        f"{table}.{key}": value for table, keys in tables.items() for key, value in keys.items()
    }
    assert shown == {name: key.default for name, key in KEYS.items()}
    assert config.load(path) == config.defaults()


def test_the_shipped_configuration_says_what_each_key_is_for() -> None:
    """The comment above a key begins with what config.KEYS says of it."""
    comment, comments, table = "", {}, ""
    for line in CONF.read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            table, comment = header[1], ""
        elif key := re.match(r"#(\w+) = ", line):
            comments[f"{table}.{key[1]}"], comment = comment.strip(), ""
        else:
            comment += " " + line.removeprefix("#").strip()
    wrong = {name for name, key in KEYS.items() if not comments[name].startswith(key.about)}
    assert not wrong


class Described(NamedTuple):
    """A key in dnsguard.toml(5)."""

    default: object
    example: str
    bounds: str


def _described() -> dict[str, Described]:
    text = section(page("dnsguard.toml.5"), "KEYS")
    parts = re.split(r"^\.It Ic (\w+\.\w+)\n", text, flags=re.MULTILINE)[1:]
    found = {}
    for name, about in zip(parts[::2], parts[1::2], strict=True):
        default, bounds, example = (
            re.search(rf"^\.It {fact} :\n(.*?)(?=^\.It |^\.El)", about, re.DOTALL | re.MULTILINE)
            for fact in ("Default", "Bounds", "Example")
        )
        assert default is not None, name
        assert bounds is not None, name
        assert example is not None, name
        found[name] = Described(
            default=tomllib.loads("x = " + default[1].removeprefix(".Li "))["x"],
            bounds=bounds[1],
            example=example[1].removeprefix(".Li "),
        )
    return found


def test_toml_5_has_every_key_with_its_default() -> None:
    """dnsguard.toml(5) and config.KEYS are one list, in one order."""
    described = [(name, told.default) for name, told in _described().items()]
    assert described == [(name, key.default) for name, key in KEYS.items()]


@pytest.mark.parametrize("name", KEYS)
def test_the_examples_in_toml_5_load(name: str, tmp_path: Path) -> None:
    """An example is about its own key, and valid."""
    table, key = name.split(".")
    example = _described()[name].example
    path = tmp_path / "dnsguard.toml"
    path.write_text(f"[{table}]\n{example}\n", encoding="utf-8")
    config.load(path)
    assert example.startswith(f"{key} = ")


@pytest.mark.parametrize("name", KEYS)
def test_the_bounds_in_toml_5_are_those_of_the_code(name: str, tmp_path: Path) -> None:
    """Where bounds are two numbers, these are valid and the next ones are not."""
    limits = re.fullmatch(r"([\d.]+) to ([\d.]+)\n", _described()[name].bounds)
    default = KEYS[name].default
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    assert (limits is None) is not is_number
    if limits is None:
        return
    low, high = (tomllib.loads(f"x = {limit}")["x"] for limit in limits.groups())
    for value in (low, high):
        KEYS[name].read(value)
    for value in (low - 0.01 if low < 1 else low - 1, high + 1):
        with pytest.raises(ValueError, match="number"):
            KEYS[name].read(value)


def test_the_errors_shown_in_toml_5_are_real(tmp_path: Path) -> None:
    """What DIAGNOSTICS quotes is what check-config says."""
    path = tmp_path / "dnsguard.toml"
    said = []
    for text in (
        '[upstream]\nserver = ["192.0.2.53"]',
        "[health]\nfast = 0",
        '[upstream]\nservers = ["169.254.25.10"]',
        "x = 1",
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            config.load(path)
        said.append(f"dnsguard: {caught.value}".replace(str(path), "FILE"))
    shown = section(page("dnsguard.toml.5"), "DIAGNOSTICS").splitlines()
    assert [line for line in shown if line.startswith("dnsguard: ")] == said


# --- The command line


def _parsers() -> dict[str, argparse.ArgumentParser]:
    """Return each command's parser, and the one above them as ``""``."""
    top = cli._parser()
    return {"": top, **dict(_commands(top))}


def _commands(above: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the commands below, and theirs: ``kubelet``, ``kubelet adopt``."""
    for action in above._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                yield name, parser
                yield from ((f"{name} {below}", one) for below, one in _commands(parser))


def _options(parsers: Iterable[argparse.ArgumentParser]) -> set[str]:
    return {
        option
        for parser in parsers
        for action in parser._actions
        for option in action.option_strings
    }


def test_every_command_is_in_the_manual() -> None:
    """COMMANDS is what ``dnsguard --help`` lists, in its order, and SYNOPSIS as well."""
    commands = [name for name in _parsers() if name]
    text = page("dnsguard.8")
    assert [_command(item) for item in items(section(text, "COMMANDS"), "Cm")] == commands
    synopsis = re.findall(r"^\.Cm (.+)", section(text, "SYNOPSIS"), re.MULTILINE)
    assert synopsis == commands


def _command(item: str) -> str:
    return re.split(r" (?:Op|Ar|Fl)\b", item)[0]


def test_every_option_is_in_the_manual() -> None:
    """The options described are those that the parsers take."""
    commands = section(page("dnsguard.8"), "COMMANDS")
    described = {
        "-" + word
        for item in items(commands, "Fl")
        for word in item.replace("Ar DIR", "").replace("Fl ", "").replace(",", "").split()
    }
    for item in items(commands, "Cm"):
        described |= {"-" + option for option in re.findall(r"Fl (\S+)", item)}
    assert described == _options(_parsers().values())


def test_the_manual_says_which_command_takes_an_option() -> None:
    """``--json`` stands beside the commands that have it."""
    described = {
        _command(item): {"-" + option for option in re.findall(r"Fl (\S+)", item)}
        for item in items(section(page("dnsguard.8"), "COMMANDS"), "Cm")
    }
    parsed = {
        name: _options([parser]) - {"-h", "--help"} for name, parser in _parsers().items() if name
    }
    assert described == parsed


# --- The log


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


# --- The words, paths and figures of the manual


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
    named = [name for name, kind in vars(Paths).items() if isinstance(kind, property)]
    values = [getattr(Paths(), name) for name in named]
    paths = [path for value in values for path in (value if isinstance(value, tuple) else (value,))]
    assert paths
    assert [path for path in paths if str(path) not in text] == []


_HANG = POLICY.heartbeat + POLICY.timeout + (POLICY.failures - 1) * POLICY.fast
"""Seconds: the next question, one after it for each failure more, and the last one's time."""
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
    f"looks again every {daemon.REFRESH:g} seconds",
    f"within {daemon.REFRESH:g} seconds instead of at once",
    f"{1000 * daemon.QUIET:g} milliseconds after the look",
    f"written {events.BURST} times a minute",
    f"{events.MOST} times those with the same name",
    f"at most {control.MAX_LINE} bytes",
    f"At most {control.MAX_CLIENTS} clients",
    f"at most {control.SHARE} of one user, each for at most {control.PATIENCE:g} seconds",
    f"within {_HANG:g} seconds",
    f"every health.slow ({POLICY.slow:g} seconds)",
    f"within health.heartbeat ({POLICY.heartbeat:g} second)",
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


# --- docs/states.md

Row = dict[str, str]


def _tables() -> dict[str, list[Row]]:
    """Return the tables of docs/states.md by the header they stand under."""
    tables: dict[str, list[Row]] = {}
    header = ""
    names: list[str] = []
    for line in STATES.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            header, names = line.removeprefix("## "), []
        elif line.startswith("|---"):
            tables[header] = []
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if names:
                tables[header].append(dict(zip(names, cells, strict=True)))
            names = names or cells
    return tables


def _fits(row: Row, world: Row) -> bool:
    return all(
        row[name] == "any" or value in row[name].split(", ") for name, value in world.items()
    )


def _claims(table: str, worlds: Iterable[tuple[Row, Row]]) -> None:
    """Hold every world's outcome against the first row that fits it."""
    rows, used = _tables()[table], set()
    for world, outcome in worlds:
        place = next((at for at, row in enumerate(rows) if _fits(row, world)), None)
        assert place is not None, f"{table}: no row for {world}, which leads to {outcome}"
        used.add(place)
        row = rows[place]
        claimed = {name: row[name] for name in outcome}
        assert claimed == outcome, f"{table}: wrong about {world}"
    assert [row for at, row in enumerate(rows) if at not in used] == [], (
        f"{table}: rows for nothing"
    )


def _decided(  # noqa: PLR0913 -- each a fact of the table
    was: Mode,
    nodelocal: NodeLocal,
    upstream: UpstreamState,
    pods: str,
    handover: HandoverMode,
    *,
    is_held: bool,
    is_proven: bool,
    mark: bytes = b"",
) -> Plan:
    """Return what is decided in one small world, whose file names the node-local address only.

    :param mark: what stands before that line.
    """
    unbound = nodelocal in (NodeLocal.UNKNOWN, NodeLocal.ABSENT)
    health = Health(
        address=None if unbound else NODELOCAL_ADDRESS,
        state=nodelocal,
        streaks={ONE_TIME: ProbeStreak(successes=1, heard_at=1.0)} if is_proven else {},
    )
    answered = ProbeRecord(
        answered_at=0.0, cleared_at=0.0, asked_at=0.0, rtt=0.001, detail="answers NOERROR"
    )
    found = Candidate(address=UPSTREAM, source=Source.LEASE, origin="", seen=0.0)
    bound = {
        NodeLocal.UNKNOWN: None,
        NodeLocal.ABSENT: frozenset[IPAddress](),
    }.get(nodelocal, frozenset({NODELOCAL_ADDRESS}))
    file = FileObservation(
        content=mark + f"nameserver {NODELOCAL_ADDRESS}\n".encode(),
        identity=Identity(1, 1, 1, 1, 1),
    )
    _, plan = decide.decide(
        Memory(
            serves=Serves.NODELOCAL if was is Mode.HANDED_OVER else Serves.UPSTREAM,
            mode_since=0.0,
            health=health,
            probe_records={UPSTREAM: answered} if upstream is UpstreamState.VERIFIED else {},
            flaps=FlapDamping(count=1, broke_at=1.0) if is_held else FlapDamping(),
        ),
        Observation(
            now=1.0,
            wall=1.0,
            file=file,
            bound=bound,
            found=Found(candidates=() if upstream is UpstreamState.NONE else (found,)),
            pods=None
            if pods in ("none", "unclear")
            else PodsFile(path=pods, nameservers=(UPSTREAM,)),
            pods_doubt="no kubelet is understood" if pods == "unclear" else None,
        ),
        replace(POLICY, handover=handover),
    )
    assert (plan.nodelocal, plan.upstream) == (nodelocal, upstream)
    return plan


_JUDGED = (Mode.GUARDING, Mode.HANDED_OVER)
"""What is not pinned; a hold is in tests/unit/test_decide.py."""


def _worlds() -> Iterator[tuple[Row, Plan]]:
    pods = (learn.RESOLV_CONF, "/var/lib/dnsguard/resolv.conf", "none", "unclear")
    both = (False, True)
    for was, nodelocal, upstream, read, handover, is_held, is_proven in product(
        _JUDGED, NodeLocal, UpstreamState, pods, HandoverMode, both, both
    ):
        world = {
            "was": str(was),
            "NodeLocalDNS": str(nodelocal),
            "upstream": str(upstream),
            "for pods": read,
            "handover.mode": str(handover),
            "hold-down": "runs" if is_held else "over",
            "one-time name": "answered" if is_proven else "open",
        }
        yield (
            world,
            _decided(
                was, nodelocal, upstream, read, handover, is_held=is_held, is_proven=is_proven
            ),
        )


def test_the_modes_in_states_md_are_those_decided() -> None:
    """Every world of the seven facts ends in the mode, and for the reason, that its row names."""

    def outcome(world: Row, plan: Plan) -> Row:
        reason = dict(plan.because)["handover"]
        rows = (row["because"] for row in _tables()["Mode"] if _fits(row, world))
        claimed = next(rows, "")
        return {"becomes": plan.mode, "because": claimed if reason.startswith(claimed) else reason}

    _claims("Mode", ((world, outcome(world, plan)) for world, plan in _worlds()))


def test_the_files_in_states_md_are_those_planned() -> None:
    """What becomes of a poisoned file is what the row of the mode after the look names."""

    def world_of(world: Row, plan: Plan) -> Row:
        return {"mode": plan.mode, **{name: world[name] for name in ("NodeLocalDNS", "upstream")}}

    _claims(
        "The file",
        ((world_of(world, plan), {"resolv.conf": _file(plan)}) for world, plan in _worlds()),
    )


def test_what_is_given_back_in_states_md_is_what_is_planned() -> None:
    """What becomes of a held-back line where no upstream is known is what its row names."""
    pods = (learn.RESOLV_CONF, "/var/lib/dnsguard/resolv.conf", "none", "unclear")

    def planned(nodelocal: NodeLocal, read: str, handover: HandoverMode) -> str:
        none, mark = UpstreamState.NONE, resolvconf.HELD
        return _file(
            _decided(
                Mode.GUARDING,
                nodelocal,
                none,
                read,
                handover,
                is_held=False,
                is_proven=False,
                mark=mark,
            )
        )

    _claims(
        "The last server",
        (
            (
                {"NodeLocalDNS": str(nodelocal), "for pods": read, "handover.mode": str(handover)},
                {"resolv.conf": planned(nodelocal, read, handover)},
            )
            for nodelocal in NodeLocal
            for read in pods
            for handover in HandoverMode
        ),
    )


def _file(plan: Plan) -> str:
    written = [action for action in plan.actions if isinstance(action, ReplaceFile)]
    if not written:
        return "is left as it is"
    named = tuple(server.address for server in resolvconf.nameservers(written[0].content))
    return {
        (): "names no nameserver",
        (NODELOCAL_ADDRESS,): "names NodeLocalDNS",
        (UPSTREAM,): "names upstreams",
        (NODELOCAL_ADDRESS, UPSTREAM): "names NodeLocalDNS, then upstreams",
    }[named]


def test_the_evidence_in_states_md_is_what_counts() -> None:
    """Whatever one round can bring, in the words of its table."""
    _claims("Whose DNS a server is", _rounds())


def _rounds() -> Iterator[tuple[Row, Row]]:
    """Yield every outcome of a round, and what becomes of a server that was never asked."""
    services = Services(assumed=frozenset({ip_address("10.233.0.3")}))
    inside = {"denied": (), "found": ("10.96.0.1",), "service": ("10.233.0.1",), "fails": None}
    for outside, name, beside in product(("answers", "fails"), inside, ("alike", "other", "open")):
        records = inside[name]
        other = () if records is None else None if records == () else ("192.168.0.1",)
        second = ProbeKind.CONTROL if records is None else ProbeKind.NONSENSE
        answers = [_said(ProbeKind.UPSTREAM, () if outside == "answers" else None)]
        answers.append(_said(ProbeKind.CLUSTER, records))
        if beside != "open":
            answers.append(_said(second, records if beside == "alike" else other))
        verdict = apply_answers({}, answers, services)[UPSTREAM]
        state = "usable" if verdict.is_usable else "not usable"
        world = {"outside": outside, "cluster name": name, "beside it": beside}
        yield world, {"becomes": "cluster DNS" if verdict.answers_cluster_names else state}


def _said(ask: ProbeKind, records: tuple[str, ...] | None) -> Answer:
    """Return an answer with these records, NXDOMAIN with none; None is SERVFAIL."""
    return Answer(
        address=UPSTREAM,
        outcome=Outcome.FAILED if records is None else Outcome.ANSWERED,
        rtt=0.001,
        detail="",
        at=1.0,
        kind=ask,
        rcode=2 if records is None else 0 if records else 3,
        has_records=bool(records),
        records=frozenset(ip_address(one) for one in records or ()),
    )


def test_the_transitions_in_states_md_are_all_there_are() -> None:
    """Everything that can be seen, in every order, leads NodeLocalDNS where a row says."""
    _claims("NodeLocalDNS", _transitions())


def _transitions() -> Iterator[tuple[Row, Row]]:
    """Walk from the beginning through every state that can be reached."""
    ahead, known = [Health()], set()
    while ahead:
        health = ahead.pop()
        kind = (health.state, health.address, health.was_listening, _streaks(health))
        if kind in known:
            continue
        known.add(kind)
        for what, after in _steps(health):
            ahead.append(after)
            yield {"from": health.state, "what is seen": what}, {"to": after.state}


def _streaks(health: Health) -> tuple[tuple[int, int], ...]:
    """Return what of the streaks can make a difference."""
    each = (health.streak(leg) for leg in legs(POLICY))
    return tuple(
        (min(one.successes, POLICY.successes), min(one.failures, POLICY.failures)) for one in each
    )


def _steps(health: Health) -> Iterator[tuple[str, Health]]:
    yield "unbound", _after(health, is_bound=False)
    if health.address is None:
        yield "bound", _after(health)
        return
    if health.was_listening:
        yield "no listener", _after(health, is_listening=False)
    fewest = min(health.streak(leg).successes for leg in legs(POLICY)) + 1
    is_last = health.state is not NodeLocal.HEALTHY and fewest == POLICY.successes
    yield "last answer" if is_last else "answer", _after(health, _round())
    outside = _round(*EXTERNAL)
    yield "failure of the upstream", _after(health, outside, upstreams={UPSTREAM: _FAILED})
    for leg, outcome in product(legs(POLICY), _FAILURES):
        what = "last failure" if health.streak(leg).failures + 1 >= POLICY.failures else "failure"
        if leg == HEARTBEAT and outcome is Outcome.UNREACHABLE:
            what = "refused"
        upstreams = {UPSTREAM: _ANSWERS} if leg in EXTERNAL else {}
        yield what, _after(health, _round(leg, outcome=outcome), upstreams=upstreams)


_FAILURES = [one for one in Outcome if one is not Outcome.ANSWERED]
_ANSWERS = ProbeRecord(answered_at=1.0, cleared_at=0.0)
_FAILED = replace(_ANSWERS, failed_at=0.0, failures=1)


def _round(*failing: ProbeTarget, outcome: Outcome = Outcome.FAILED) -> tuple[Answer, ...]:
    """Return an outcome on each leg: this one on those that fail, and these first."""
    return tuple(
        Answer(
            address=NODELOCAL_ADDRESS,
            outcome=outcome if leg in failing else Outcome.ANSWERED,
            rtt=0.001,
            detail="",
            at=0.0,
            kind=leg.ask,
            tcp=leg.tcp,
        )
        for leg in sorted(legs(POLICY), key=lambda leg: leg not in failing)
    )


def _after(
    health: Health,
    answers: tuple[Answer, ...] = (),
    *,
    upstreams: ProbeRecords | None = None,
    is_bound: bool = True,
    is_listening: bool = True,
) -> Health:
    here = frozenset({NODELOCAL_ADDRESS})
    seen = Observation(
        now=0.0,
        wall=0.0,
        file=FileObservation(),
        bound=here if is_bound else frozenset(),
        listening=here if is_listening else frozenset(),
        answers=answers,
    )
    return advance(health, seen, POLICY, upstreams or {})


# --- All documents


def test_every_manual_page_is_looked_at() -> None:
    """A new page is to be added to PAGES above."""
    assert sorted(path.name for path in (ROOT / "docs/man").iterdir()) == list(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_the_manual_pages_are_clean(name: str) -> None:
    """man(1) has nothing to warn of; it is what lintian runs."""
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", ROOT / "docs/man" / name],
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    assert done.stderr.decode() == ""


@pytest.mark.parametrize("name", PAGES)
def test_the_manual_pages_quote_what_mdoc_would_swallow(name: str) -> None:
    """A quotation mark that begins an argument is mdoc's own; one that is meant is escaped."""
    text = (ROOT / "docs/man" / name).read_text(encoding="utf-8")
    quoting = re.findall(r'^\.(?:Li|Ql) (?:.* )?"(.*)$', text, re.MULTILINE)
    assert [line for line in quoting if not re.fullmatch(r'[^"]*"( [.,;])?', line)] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files(name: str) -> None:
    """A link to a file in this repository names one that is there."""
    path = ROOT / name
    links = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_the_paths_and_names_in_contributing_are_there() -> None:
    """A dotted name is found in the package, and a path in the tree."""
    named = re.findall(
        r"`([\w./]+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("sudo ", "")
    )
    names = [name for name in named if re.fullmatch(r"[\w.]+\.\w+", name)]
    assert names
    assert [name for name in names if not _is_there(name)] == []
    paths = [name for name in named if name.startswith(("tests/", "docs/", "packaging/"))]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_map_names_every_part_of_the_package() -> None:
    """Each module of the top level and each folder, once, and nothing that is gone."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^    (\S.*?)(?:  +|$)", text.partition("## Layout")[2], re.MULTILINE)
    named = [name.removesuffix("/") for row in rows for name in row.split()]
    parts = {path.name for path in (ROOT / "dnsguard").iterdir() if not path.name.startswith("__")}
    assert sorted(named) == sorted(parts - {"py.typed"})


def _is_there(name: str) -> bool:
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            thing: object = importlib.import_module(".".join(("dnsguard", *parts[:count])))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            thing = getattr(thing, part, None)
        return thing is not None
    return False


# --- Completion


COMPLETION = ROOT / "packaging/completions/dnsguard"


def _completed(*words: str) -> set[str]:
    """Return what bash offers behind these words."""
    script = f"""
        source {COMPLETION}
        COMP_WORDS=(dnsguard "$@" "") COMP_CWORD=$(($# + 1))
        _dnsguard
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


def test_bash_completes_every_command_and_option() -> None:
    """What is offered is what the parsers take: no more, no less."""
    for name, parser in _parsers().items():
        offered = _completed(*name.split())
        below = {command for command, _ in _commands(parser) if " " not in command}
        choices = {
            choice
            for action in parser._actions
            if not action.option_strings and isinstance(action.choices, tuple)
            for choice in action.choices
        }
        assert offered == (_options([parser]) - {"-h"}) | below | choices, name
    assert _completed("status", "--wait") == set(cli._STATES)
