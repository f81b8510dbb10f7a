"""The command ``upstreams``: everyone whom any source names, asked once more for the table."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from dnsguard import client, config
from dnsguard.core.address import IPAddress, parse_address
from dnsguard.core.answers import Answer, Ask, Outcome
from dnsguard.cycle import Cycle
from dnsguard.errors import NoDaemonError
from dnsguard.host.probe import ask
from dnsguard.paths import Paths
from dnsguard.preview import candidates_alone

MOST_ASKED = 32
"""Of the best ranked; each is asked over UDP and TCP."""
_Entry = dict[str, Any]
"""Parsed JSON; ``Any`` is what JSON is."""


def ask_all(paths: Paths) -> dict[str, Any]:
    """Return everyone with what came of asking just now."""
    settings = config.load(paths.config)
    entries = asyncio.run(_asked(_listed(paths, settings), settings))
    return {"at": round(time.time(), 3), "upstreams": entries}


def is_served(data: Mapping[str, Any]) -> bool:
    """Tell whether one that may be used answered."""
    return any(one["udp_ms"] is not None and not one["refused"] for one in data["upstreams"])


def _listed(paths: Paths, settings: config.Config) -> list[_Entry]:
    """Return the daemon's list, or where none runs what it would start with."""
    try:
        return _entries(client.ask(paths.socket, "upstreams"))
    except NoDaemonError:
        cycle = Cycle(paths, settings.policy, lambda _: None)
        return _entries(candidates_alone(cycle))


def _entries(answer: Mapping[str, Any]) -> list[_Entry]:
    return [{**one, "udp_ms": None, "tcp_ms": None} for one in answer["upstreams"]]


async def _asked(entries: list[_Entry], settings: config.Config) -> list[_Entry]:
    worth = [one for one in entries if one["refused"] is None][:MOST_ASKED]
    await asyncio.gather(*(_ask(one, settings) for one in worth))
    return entries


async def _ask(entry: _Entry, settings: config.Config) -> None:
    address = parse_address(entry["address"])

    async def answer(*, kind: Ask = Ask.UPSTREAM, tcp: bool = False) -> Answer:
        question = settings.question(address, kind)
        return await ask(address, question, timeout=settings.timeout, tcp=tcp)

    udp, tcp, cluster = await asyncio.gather(answer(), answer(tcp=True), answer(kind=Ask.CLUSTER))
    entry["udp_ms"], entry["tcp_ms"] = _milliseconds(udp), _milliseconds(tcp)
    if cluster.has_records and not _is_named(address, settings):
        entry["refused"] = "answers for the cluster's domain: cluster DNS"
        entry["why_not"] = f"never used: {entry['refused']}"
    elif udp.outcome is not Outcome.ANSWERED and not entry["in_use"]:
        entry["why_not"] = udp.detail


def _is_named(address: IPAddress, settings: config.Config) -> bool:
    return address in settings.policy.servers


def _milliseconds(answer: Answer) -> float | None:
    is_answer = answer.outcome is Outcome.ANSWERED and answer.rtt is not None
    return round((answer.rtt or 0.0) * 1000, 1) if is_answer else None


def render(data: Mapping[str, Any]) -> str:
    """Return the table as text, columns as wide as they need."""
    head = ("", "ADDRESS", "SOURCE", "AGE", "UDP", "TCP", "FROM")
    rows = [head, *(_row(one, data["at"]) for one in data["upstreams"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, entry in zip(rows, [None, *data["upstreams"]], strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
        if entry is not None and entry["why_not"]:
            lines.append(f"{'':{widths[0] + 4}}{entry['why_not']}")
    return "\n".join(lines) if len(rows) > 1 else "no source names any nameserver"


def _row(entry: _Entry, at: float) -> tuple[str, ...]:
    return (
        "*" if entry["in_use"] else " ",
        entry["address"],
        entry["source"],
        _age(at - entry["seen"]),
        _cell(entry["udp_ms"]),
        _cell(entry["tcp_ms"]),
        entry["origin"],
    )


def _cell(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds} ms"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
