"""The status and the plan as a person reads them: data in, text out."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

Data = Mapping[str, Any]
"""Parsed JSON of our own making; ``Any`` is what JSON is."""


def status(data: Data) -> str:
    """Return the status as text, a line each idea."""
    return "\n".join(_status(data))


def _status(data: Data) -> Iterator[str]:
    file, nodelocal, upstream = data["resolv_conf"], data["nodelocal"], data["upstream"]
    since = timedelta(seconds=round(data["mode_seconds"]))
    because = dict(data["because"])
    yield f"mode         {data['mode']} for {since}; handover: {because['handover']}"
    yield f"resolv.conf  {_list(file['nameservers'])}"
    if "write" in because:
        yield f"               {because['write']}"
    if file["held_back"]:
        yield f"               held back: {_list(file['held_back'])}"
    if file["trouble"]:
        yield f"               {file['trouble']}"
    speed = "" if nodelocal["rtt_ms"] is None else f", {nodelocal['rtt_ms']} ms"
    yield f"NodeLocalDNS {nodelocal['state']}: {nodelocal['detail']}{speed}"
    yield f"upstream     {upstream['state']}"
    shown = [one for one in upstream["servers"] if one["in_use"] or one["usable"]]
    shown = shown or upstream["servers"][:3]
    for server in shown:
        yield _server(server)
    others = len(upstream["servers"]) - len(shown)
    if others:
        yield f"               {others} more, not used: dnsguard upstreams"
    yield f"for kubelet  {_list(data['pod_file']['nameservers'])} in /var/lib/dnsguard/resolv.conf"
    yield f"dhclient     the enter hook is {data['dhclient']['hook']}"
    for hazard in data["dhclient"]["hazards"]:
        place = f"{hazard['path']}:{hazard['line']}"
        yield f"             {'  ' if hazard['defused'] else '! '}{place} {hazard['what']}: {hazard['why']}"
    tramples = data["tramples"]["count"]
    yield f"tramples     {tramples}" + (" since the daemon started" if tramples else "")
    for line in data["degraded"]:
        yield f"DEGRADED     {line}"


def _server(server: Data) -> str:
    mark = "*" if server["in_use"] else " "
    speed = f"{server['rtt_ms']} ms" if server["usable"] else server["detail"]
    return f"             {mark} {server['address']:15}  {speed}, from {server['source']} ({server['origin']})"


def _list(entries: list[str]) -> str:
    return ", ".join(entries) or "none"


def plan(data: Data) -> str:
    """Return the plan as text: why, what, and the diff."""
    lines = [f"mode: {data['mode']}"]
    lines += [f"  {fact}: {value}" for fact, value in data["because"]]
    lines += [f"would {action}" for action in data["actions"]] or ["nothing to do"]
    if data["diff"]:
        lines += ["", data["diff"]]
    return "\n".join(lines)
