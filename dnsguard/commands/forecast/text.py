"""The forecast for people: the verdict in a line, and the lines of each future."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dnsguard.core.model import Mode
from dnsguard.host.units import State
from dnsguard.page import Line, Page

_OFF = (State.DISABLED, State.MASKED)
_POISONED, _UNTOLD = "POISONED", "can't be told"
_EMPTY, _FINE = "NO NAMESERVER", "fine"
_PLAIN = Page()
_EVENTS = (
    ("renewal", "After the next DHCP renewal"),
    ("reboot", "After a reboot"),
)


def render(data: Mapping[str, Any], layout: Page = _PLAIN) -> tuple[Line, ...]:
    """Return the forecast's lines for people."""
    return tuple(one for line in _list_lines(data) for one in layout.indent(line))


def make_verdict(data: Mapping[str, Any]) -> str:
    """Return in a line what comes, as the node is now, and what dnsguard has to do with it."""
    is_kept = {"renewal": data["daemon"], "reboot": data["unit"] in _STARTED[data["daemon"]]}
    with_it = {key: _find_worst([one["with"] for one in data[key]]) for key in is_kept}
    without = {key: _find_worst([one["without"] for one in data[key]]) for key in is_kept}
    comes = {key: (with_it if is_kept[key] else without)[key] for key in is_kept}
    said = "; ".join(f"{key}: {state}" for key, state in comes.items())
    others = [
        f"{'without' if is_kept[key] else 'with'} dnsguard: {other}"
        for key in is_kept
        for other in [(without if is_kept[key] else with_it)[key]]
        if other != comes[key]
    ]
    return said + (f" ({'; '.join(dict.fromkeys(others))})" if others else "")


_STARTED = {True: (State.ENABLED, State.ABSENT), False: (State.ENABLED,)}
"""What dnsguard's unit is where a boot starts it, by whether it runs now: one that runs and
whose unit nobody knows is started by something else."""


def _find_worst(files: Sequence[Mapping[str, Any]]) -> str:
    states = {_describe_state(one) for one in files}
    return next(one for one in (_POISONED, _EMPTY, _UNTOLD, _FINE) if one in states)


def _describe_state(file: Mapping[str, Any]) -> str:
    if file["poisoned"] is None:
        return _UNTOLD
    if not file["poisoned"]:
        return _FINE
    return _POISONED if file["nameservers"] else _EMPTY


def _list_lines(data: Mapping[str, Any]) -> Iterator[str]:
    yield data["verdict"]
    if not data["daemon"]:
        yield "No daemon runs: until one does, it will be as without dnsguard."
    if data["unit"] in _OFF:
        remedy = "unmask" if data["unit"] == State.MASKED else "enable"
        yield f"dnsguard.service is {data['unit']}, no boot starts it: systemctl {remedy} dnsguard"
    if data["immutable"]:
        yield f"Nobody can write it, dnsguard neither: {data['immutable']}"
    yield ""
    for key, title in _EVENTS:
        for future in data[key]:
            yield title + (f" ({future['interface']})" if future["interface"] else "") + ":"
            can_act = not data["immutable"] and (key == "renewal" or data["unit"] not in _OFF)
            yield from _list_future(future, can_act=can_act)
            yield ""
    if data["hazards"]:
        yield "Dangers in dhclient's files:"
    for hazard in data["hazards"]:
        where = f" (interface {hazard['interface']})" if hazard["interface"] else ""
        yield f"  {hazard['path']}:{hazard['line']}: {hazard['what']}{where}"
        why = hazard["why"]
        yield f"      {why if hazard['defused'] else f'not blocked: {why}'}"
    if not data["hazards"]:
        yield "No danger in dhclient's files."


def _list_future(future: Mapping[str, Any], *, can_act: bool) -> Iterator[str]:
    without, guarded = future["without"], future["with"]
    for fact, value in future["because"]:
        yield f"  {fact}: {value}"
    if without["text"] is None:
        yield f"  without dnsguard: {_UNTOLD}"
        servers = ", ".join(guarded["nameservers"] or ()) or "none"
        if guarded["poisoned"] is None:
            yield f"  with dnsguard as it is: {_UNTOLD}"
        else:
            yield f"  with dnsguard, whatever comes, at least: {servers}"
    else:
        yield f"  without dnsguard: {_describe_state(without)}"
        yield from _indent(without["text"])
        is_same = guarded["text"] == without["text"]
        yield (
            "  with dnsguard: "
            + _judge(guarded, can_act=can_act)
            + (", the same" if is_same else "")
        )
        yield from () if is_same else _indent(guarded["text"])
    yield f"      upstream: {dict(guarded['because'])['upstream']}"
    for caveat in future["caveats"]:
        yield f"  but {caveat}"


def _judge(guarded: Mapping[str, Any], *, can_act: bool) -> str:
    if guarded["poisoned"]:
        remedy = ": set upstream.servers in /etc/dnsguard/dnsguard.toml" if can_act else ""
        return _describe_state(guarded) + remedy
    return "NodeLocalDNS answers" if guarded["mode"] == Mode.HANDED_OVER else _FINE


def _indent(text: str) -> Iterator[str]:
    for line in text.removesuffix("\n").split("\n"):
        yield f"      {line}"
