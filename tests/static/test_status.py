"""One status in three places: the values, the JSON as the commands read it, the schema."""

import json
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from dnsguard.core.answers import ProbeKind
from dnsguard.core.hold import Serves
from dnsguard.core.model import Mode, NodeLocal, UpstreamState
from dnsguard.formats.dhclient.hazards import Hazard
from dnsguard.reporting import status, wire
from dnsguard.reporting.plan import PlanReport

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/status.schema.json").read_text("utf-8"))
PARTS: dict[type, type] = {
    status.Status: wire.StatusJson,
    status.HoldStatus: wire.HoldJson,
    status.ProblemStatus: wire.ProblemJson,
    status.ResolvConf: wire.ResolvConfJson,
    status.PodFile: wire.PodFileJson,
    status.LegStatus: wire.LegJson,
    status.NodeLocalStatus: wire.NodeLocalJson,
    status.Server: wire.ServerJson,
    status.UpstreamStatus: wire.UpstreamJson,
    status.TrampleStatus: wire.TrampleJson,
    status.TramplesStatus: wire.TramplesJson,
    status.KubeletStatus: wire.KubeletJson,
    Hazard: wire.HazardJson,
    status.DhclientStatus: wire.DhclientJson,
    status.ResolvedStatus: wire.ResolvedJson,
    PlanReport: wire.PlanJson,
}
WORDS: dict[type[StrEnum], set[str]] = {
    Mode: set(Mode),
    Serves: set(Serves),
    NodeLocal: set(NodeLocal),
    UpstreamState: set(UpstreamState),
    status.LegState: set(status.LegState),
    status.HookState: set(status.HookState),
    # NodeLocalDNS's legs alone.
    ProbeKind: {ProbeKind.CLUSTER, ProbeKind.EXTERNAL, ProbeKind.HTTP},
}


def _hints(part: type) -> dict[str, Any]:
    return get_type_hints(part, {"Hazard": Hazard, **vars(status)})


def _as_json(hint: object) -> object:
    """Return the type that a field's value has in JSON, as far as that can be told."""
    if isinstance(hint, type) and hint in PARTS:
        return PARTS[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        found = {_as_json(one) for one in inner}
        return found.pop() if len(found) == 1 else frozenset(found)
    if origin is tuple:
        return list, _as_json(inner[0])
    if isinstance(hint, type) and issubclass(hint, int | float):
        return hint
    return dict if origin is not None else str if hint is not type(None) else None


def _in_wire(hint: object) -> object:
    """Return the same of what the commands read."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return str
    if origin in (UnionType, Union):
        return frozenset(_in_wire(one) for one in inner)
    if origin is list:
        return list, _in_wire(inner[0])
    return dict if origin is dict else None if hint is type(None) else hint


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part.__name__))
def test_the_commands_read_what_is_told(part: type) -> None:
    """Key by key, in this order, and of these types."""
    told, read = _hints(part), get_type_hints(PARTS[part])
    assert [one.name for one in fields(part)] == list(read)
    assert {key: _as_json(told[key]) for key in read} == {
        key: _in_wire(hint) for key, hint in read.items()
    }


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part.__name__))
def test_the_commands_know_every_word(part: type) -> None:
    """A state that is added is one that they have to show."""
    read = get_type_hints(PARTS[part])
    for key, hint in _hints(part).items():
        if get_origin(read[key]) is Literal:
            assert set(get_args(read[key])) == WORDS[hint], key


@pytest.mark.parametrize(
    ("part", "schema"),
    [
        (status.Status, SCHEMA),
        (status.HoldStatus, SCHEMA["properties"]["hold"]),
        (status.ResolvConf, SCHEMA["properties"]["resolv_conf"]),
        (status.PodFile, SCHEMA["properties"]["pod_file"]),
        (status.KubeletStatus, SCHEMA["properties"]["kubelet"]),
        (status.NodeLocalStatus, SCHEMA["properties"]["nodelocal"]),
        (status.UpstreamStatus, SCHEMA["properties"]["upstream"]),
        (status.DhclientStatus, SCHEMA["properties"]["dhclient"]),
        (status.TramplesStatus, SCHEMA["properties"]["tramples"]),
        (status.TrampleStatus, SCHEMA["properties"]["tramples"]["properties"]["last"]),
        (status.LegStatus, SCHEMA["$defs"]["leg"]),
        (status.Server, SCHEMA["$defs"]["server"]),
        (Hazard, SCHEMA["$defs"]["hazard"]),
    ],
)
def test_the_schema_has_every_key(part: type, schema: dict[str, Any]) -> None:
    """All of them are required, and their words are the enums'."""
    names = {one.name for one in fields(part)}
    assert names == set(schema["required"]) == set(schema["properties"])
    hints = _hints(part)
    for name in names:
        if "enum" in schema["properties"][name]:
            assert set(schema["properties"][name]["enum"]) <= WORDS.get(hints[name], {"udp", "tcp"})
