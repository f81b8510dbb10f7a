"""The command ``upstreams``: everyone whom any source names, asked once more for the table."""

import argparse
import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypedDict, cast

from dnsguard import client, config, terminal
from dnsguard.core.answers import Answer, Outcome, Probe, ProbeKind, ProbeTarget
from dnsguard.core.eligibility import services
from dnsguard.core.evidence import Finding, judge_round
from dnsguard.core.observation import MAX_FILE
from dnsguard.core.policy import Policy, fill_policy
from dnsguard.errors import DEGRADED, NoDaemonError
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress, parse_address
from dnsguard.guard import Guard
from dnsguard.host import kubelet
from dnsguard.host.files import read_bounded
from dnsguard.page import Line, Page, escape
from dnsguard.paths import Paths
from dnsguard.prober import ask
from dnsguard.reporting.encoding import to_json
from dnsguard.reporting.status import Server
from dnsguard.reporting.survey import list_servers
from dnsguard.reporting.wire import ServerJson

MOST_ASKED = 32
"""Of the best ranked; each is asked over UDP and TCP."""
Transport = Literal["udp", "tcp"]
UDP: Final = "udp"
TCP: Final = "tcp"
_PLAIN = Page()
_HEAD = ("", "ADDRESS", "SOURCE", "AGE", "UDP", "TCP", "FROM")
_BELOW = "     "


class Entry(ServerJson):
    """A server of the daemon's list, and what came of asking it just now."""

    udp_ms: float | None
    tcp_ms: float | None


class Table(TypedDict):
    """All of them; times are seconds since the epoch."""

    at: float
    transport: Transport
    """What the node's programs ask over first."""
    upstreams: list[Entry]


def run(options: argparse.Namespace) -> int:
    data = ask_all(Paths(options.root))
    if options.json:
        terminal.say_json(data)
    else:
        terminal.say(*render(data, terminal.find_page()))
    return 0 if is_served(data) else DEGRADED


def ask_all(paths: Paths) -> Table:
    """Return everyone with what came of asking just now."""
    policy = config.load(paths.config).policy
    found = fill_policy(policy, kubelet.read_kubelet(paths.root))
    transport = _transport(paths)
    entries = asyncio.run(_probe(_list(paths, policy), found, transport))
    return {"at": round(time.time(), 3), "transport": transport, "upstreams": entries}


def _transport(paths: Paths) -> Transport:
    """Return what this node's programs ask over first."""
    file = read_bounded(paths.resolv_conf, MAX_FILE) or b""
    return TCP if resolvconf.uses_tcp(file) else UDP


def is_served(data: Table) -> bool:
    """Tell whether one that may be used answered, over what the node asks over."""
    return any(
        _took(one, data["transport"]) is not None and not one["refused"]
        for one in data["upstreams"]
    )


def _took(entry: Entry, transport: Transport) -> float | None:
    return entry["tcp_ms"] if transport == TCP else entry["udp_ms"]


def _list(paths: Paths, policy: Policy) -> list[Entry]:
    """Return the daemon's list, or where none runs what it would start with."""
    try:
        named: object = client.ask(paths.socket, "upstreams")["upstreams"]
    except NoDaemonError:
        named = to_json(_list_alone(Guard(paths, policy, lambda _: None)))
    return [_make_entry(one) for one in cast("Iterable[dict[str, object]]", named)]


def _list_alone(guard: Guard) -> tuple[Server, ...]:
    """Return whom a daemon would start with."""
    from dnsguard import dry_run

    known = dry_run.look(guard)
    return list_servers(known.memory, known.seen, known.plan, guard.policy)


def _make_entry(server: dict[str, object]) -> Entry:
    return cast("Entry", {**server, "udp_ms": None, "tcp_ms": None})


async def _probe(entries: list[Entry], policy: Policy, transport: Transport) -> list[Entry]:
    worth = [one for one in entries if one["refused"] is None][:MOST_ASKED]
    await asyncio.gather(*(_ask(one, policy, transport) for one in worth))
    return entries


async def _ask(entry: Entry, policy: Policy, transport: Transport) -> None:
    address, over_tcp = parse_address(entry["address"]), transport == TCP

    async def answer(kind: ProbeKind = ProbeKind.UPSTREAM, *, tcp: bool = over_tcp) -> Answer:
        return await ask(Probe(address, ProbeTarget(kind, tcp)), policy)

    udp, tcp, cluster, nonsense = await asyncio.gather(
        answer(tcp=False), answer(tcp=True), answer(ProbeKind.CLUSTER), answer(ProbeKind.NONSENSE)
    )
    entry["udp_ms"], entry["tcp_ms"] = _milliseconds(udp), _milliseconds(tcp)
    usual = tcp if over_tcp else udp
    if usual.outcome is not Outcome.ANSWERED:
        entry["detail"] = usual.detail
    shown = {ProbeKind.CLUSTER: cluster, ProbeKind.NONSENSE: nonsense}
    is_inside = judge_round(shown, services(policy)) is Finding.CLUSTER
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


def render(data: Table, page: Page = _PLAIN) -> tuple[Line, ...]:
    """Return the table's lines, columns as wide as they need; what does not fit goes below."""
    if not data["upstreams"]:
        return (Line("no source names any nameserver"),)
    rows = [_HEAD, *(_row(one, data["at"]) for one in data["upstreams"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines: list[Line] = []
    for row, entry in zip(rows, [None, *data["upstreams"]], strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        lines += _place("  ".join(cells), row[-1], page)
        about = entry and (entry["why_not"] or _failure(entry, data["transport"]))
        if about:
            lines += page.fold(about, head=_BELOW, hang=len(_BELOW))
    return tuple(lines)


def _failure(entry: Entry, transport: Transport) -> str | None:
    """Return why one that is in the file is of no use there."""
    is_fine = not entry["in_use"] or _took(entry, transport) is not None
    return None if is_fine else f"in the file, but over {transport.upper()}: {entry['detail']}"


def _place(cells: str, last: str, page: Page) -> Iterator[Line]:
    """Yield a row; its last column goes below where the window is too narrow for it."""
    line = f"{cells}  {last}".rstrip()
    if page.width is None or len(escape(line)) <= page.width:
        yield Line(line)
    else:
        yield Line(cells.rstrip())
        yield from page.fold(last, head=f"{_BELOW}from ", hang=len(_BELOW))


def _row(entry: Entry, at: float) -> tuple[str, ...]:
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
