"""The command ``upstreams``: everyone whom any source names, asked once more for the table."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dnsguard import client, config
from dnsguard.core import resolvconf
from dnsguard.core.address import IPAddress, parse_address
from dnsguard.core.answers import Answer, Ask, Leg, Outcome, Query
from dnsguard.core.decide import services
from dnsguard.core.effective import effective
from dnsguard.core.evidence import Finding, finding
from dnsguard.core.model import MAX_FILE, Policy
from dnsguard.cycle import Cycle
from dnsguard.errors import NoDaemonError
from dnsguard.host import kubelet
from dnsguard.host.files import read_bounded
from dnsguard.page import Line, Page, visible
from dnsguard.paths import Paths
from dnsguard.preview import candidates_alone
from dnsguard.query import ask

MOST_ASKED = 32
"""Of the best ranked; each is asked over UDP and TCP."""
UDP, TCP = "udp", "tcp"
_PLAIN = Page()
_HEAD = ("", "ADDRESS", "SOURCE", "AGE", "UDP", "TCP", "FROM")
_BELOW = "     "
_Entry = dict[str, Any]
"""Parsed JSON; ``Any`` is what JSON is."""


def ask_all(paths: Paths) -> dict[str, Any]:
    """Return everyone with what came of asking just now."""
    policy = config.load(paths.config).policy
    found = effective(policy, kubelet.look(paths.root))
    transport = _transport(paths)
    entries = asyncio.run(_asked(_listed(paths, policy), found, transport))
    return {"at": round(time.time(), 3), "transport": transport, "upstreams": entries}


def _transport(paths: Paths) -> str:
    """Return what this node's programs ask over first."""
    file = read_bounded(paths.resolv_conf, MAX_FILE) or b""
    return TCP if resolvconf.uses_tcp(file) else UDP


def is_served(data: Mapping[str, Any]) -> bool:
    """Tell whether one that may be used answered, over what the node asks over."""
    cell = f"{data['transport']}_ms"
    return any(one[cell] is not None and not one["refused"] for one in data["upstreams"])


def _listed(paths: Paths, policy: Policy) -> list[_Entry]:
    """Return the daemon's list, or where none runs what it would start with."""
    try:
        return _entries(client.ask(paths.socket, "upstreams"))
    except NoDaemonError:
        cycle = Cycle(paths, policy, lambda _: None)
        return _entries(candidates_alone(cycle))


def _entries(answer: Mapping[str, Any]) -> list[_Entry]:
    return [{**one, "udp_ms": None, "tcp_ms": None} for one in answer["upstreams"]]


async def _asked(entries: list[_Entry], policy: Policy, transport: str) -> list[_Entry]:
    worth = [one for one in entries if one["refused"] is None][:MOST_ASKED]
    await asyncio.gather(*(_ask(one, policy, transport) for one in worth))
    return entries


async def _ask(entry: _Entry, policy: Policy, transport: str) -> None:
    address, over_tcp = parse_address(entry["address"]), transport == TCP

    async def answer(kind: Ask = Ask.UPSTREAM, *, tcp: bool = over_tcp) -> Answer:
        return await ask(Query(address, Leg(kind, tcp)), policy)

    udp, tcp, cluster, nonsense = await asyncio.gather(
        answer(tcp=False), answer(tcp=True), answer(Ask.CLUSTER), answer(Ask.NONSENSE)
    )
    entry["udp_ms"], entry["tcp_ms"] = _milliseconds(udp), _milliseconds(tcp)
    usual = tcp if over_tcp else udp
    if usual.outcome is not Outcome.ANSWERED:
        entry["detail"] = usual.detail
    shown = {Ask.CLUSTER: cluster, Ask.NONSENSE: nonsense}
    is_inside = finding(shown, services(policy)) is Finding.CLUSTER
    if is_inside and not _is_named(address, policy):
        entry["refused"] = "answers for the cluster's domain: cluster DNS"
        entry["why_not"] = f"never used: {entry['refused']}"
    elif usual.outcome is not Outcome.ANSWERED and not entry["in_use"]:
        entry["why_not"] = usual.detail


def _is_named(address: IPAddress, policy: Policy) -> bool:
    return address in policy.servers


def _milliseconds(answer: Answer) -> float | None:
    is_answer = answer.outcome is Outcome.ANSWERED and answer.rtt is not None
    return round((answer.rtt or 0.0) * 1000, 1) if is_answer else None


def render(data: Mapping[str, Any], page: Page = _PLAIN) -> tuple[Line, ...]:
    """Return the table's lines, columns as wide as they need; what does not fit goes below."""
    if not data["upstreams"]:
        return (Line("no source names any nameserver"),)
    rows = [_HEAD, *(_row(one, data["at"]) for one in data["upstreams"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines: list[Line] = []
    for row, entry in zip(rows, [None, *data["upstreams"]], strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        lines += _placed("  ".join(cells), row[-1], page)
        about = entry and (entry["why_not"] or _failure(entry, data["transport"]))
        if about:
            lines += page.folded(about, head=_BELOW, hang=len(_BELOW))
    return tuple(lines)


def _failure(entry: _Entry, transport: str) -> str | None:
    """Return why one that is in the file is of no use there."""
    is_fine = not entry["in_use"] or entry[f"{transport}_ms"] is not None
    return None if is_fine else f"in the file, but over {transport.upper()} it {entry['detail']}"


def _placed(cells: str, last: str, page: Page) -> Iterator[Line]:
    """Yield a row; its last column goes below where the window is too narrow for it."""
    line = f"{cells}  {last}".rstrip()
    if page.width is None or len(visible(line)) <= page.width:
        yield Line(line)
    else:
        yield Line(cells.rstrip())
        yield from page.folded(last, head=f"{_BELOW}from ", hang=len(_BELOW))


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
