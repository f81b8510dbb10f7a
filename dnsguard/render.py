"""The status and the plan as a person reads them: data in, text out."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dnsguard.core.timespan import describe
from dnsguard.page import Line, Page

Data = Mapping[str, Any]
"""Parsed JSON of our own making; ``Any`` is what JSON is."""
_Row = tuple[Line, ...]
_PLAIN = Page()
_MODES = {"guarding": "good", "handed-over": "good", "held": "loud"}
_NODELOCAL = {"healthy": "good", "silent": "bad", "warming": "warn"}
_UPSTREAM = {"verified": "good", "unverified": "warn", "none": "bad"}
_ASKED = {"cluster": "cluster", "external": "outside", "http": "health URL"}


def status(data: Data, page: Page = _PLAIN) -> tuple[Line, ...]:
    """Return the status, a row each idea."""
    rows = (
        *_mode(data, page),
        *_file(data, page),
        *_nodelocal(data["nodelocal"], page),
        *_upstream(data["upstream"], page),
        *_for_kubelet(data, page),
        *_dhclient(data["dhclient"], page),
        *_tramples(data["tramples"], page),
        *(page.row("" if at else "next", line) for at, line in enumerate(data["next"])),
        *(page.row("DEGRADED", line, "bad") for line in data["degraded"]),
    )
    return tuple(line for row in rows for line in row)


def _mode(data: Data, page: Page) -> Iterator[_Row]:
    since, reason = _clock(data["mode_since"]), dict(data["because"])["handover"]
    about = f"{data['mode']} for {describe(data['mode_seconds'])}, since {since}"
    if data["mode"] == "guarding":
        about += f": {reason}"
    yield page.row("mode", about, _MODES[data["mode"]])
    hold = data["hold"]
    if hold is not None:
        left = "until it is released"
        if hold["until"] is not None:
            left = f"until {_clock(hold['until'])}, {describe(hold['seconds_left'])} left"
        text = f"to {hold['serves']} by {hold['by']}, {left}: dnsguard release"
        yield page.row("HELD", text, "loud")


def _file(data: Data, page: Page) -> Iterator[_Row]:
    file, because = data["resolv_conf"], dict(data["because"])
    by = file["written_by"]
    named = [f"{one} (by {_who(by[one])})" for one in file["nameservers"]]
    yield page.row("resolv.conf", _list(named))
    if "write" in because:
        yield page.row("", because["write"], "warn")
    if file["held_back"]:
        yield page.row("", f"held back: {_list(file['held_back'])}", "dim")
    if file["trouble"]:
        yield page.row("", file["trouble"], "bad")


def _nodelocal(nodelocal: Data, page: Page) -> Iterator[_Row]:
    style = _NODELOCAL.get(nodelocal["state"], "")
    yield page.row("NodeLocalDNS", f"{nodelocal['state']}: {nodelocal['detail']}", style)
    for leg in nodelocal["legs"]:
        if leg["state"] != "not asked":
            yield _leg(leg, page)


def _leg(leg: Data, page: Page) -> _Row:
    name = _ASKED[leg["asked"]] + ("" if leg["asked"] == "http" else f" {leg['protocol'].upper()}")
    if leg["state"] == "answers":
        return page.row("", f"  {name:<12} {leg['rtt_ms']} ms", hang=15)
    times = "once" if leg["in_a_row"] == 1 else f"{leg['in_a_row']} times in a row"
    return page.row("", f"! {name:<12} {leg['detail']}, {times}", "bad", hang=15)


def _upstream(upstream: Data, page: Page) -> Iterator[_Row]:
    yield page.row("upstream", upstream["state"], _UPSTREAM[upstream["state"]])
    shown = [one for one in upstream["servers"] if one["in_use"] or one["usable"]]
    shown = shown or upstream["servers"][:3]
    for server in shown:
        mark = "*" if server["in_use"] else " "
        speed = f"{server['rtt_ms']} ms" if server["usable"] else server["detail"]
        about = f"{speed}, from {server['source']} ({server['origin']})"
        yield page.row("", f"{mark} {server['address']:<15} {about}", hang=18)
    others = len(upstream["servers"]) - len(shown)
    if others:
        yield page.row("", f"  {others} more, not used: dnsguard upstreams", "dim")


def _for_kubelet(data: Data, page: Page) -> Iterator[_Row]:
    named = _list(data["pod_file"]["nameservers"])
    yield page.row("for kubelet", f"{named} in /var/lib/dnsguard/resolv.conf")
    kubelet = data["kubelet"]
    if kubelet is not None:
        is_risky = kubelet["pods_file"] == "/etc/resolv.conf"
        told = f"kubelet gives pods {kubelet['pods_file']} ({kubelet['set_in']})"
        yield page.row("", ("! " if is_risky else "  ") + told, "warn" if is_risky else "", hang=2)


def _dhclient(dhclient: Data, page: Page) -> Iterator[_Row]:
    yield page.row("dhclient", f"the enter hook is {dhclient['hook']}")
    for hazard in dhclient["hazards"]:
        is_open = not hazard["defused"]
        text = f"{hazard['path']}:{hazard['line']} {hazard['what']}: {hazard['why']}"
        yield page.row("", ("! " if is_open else "  ") + text, "warn" if is_open else "", hang=2)


def _tramples(tramples: Data, page: Page) -> Iterator[_Row]:
    last = tramples["last"]
    if last is None:
        yield page.row("tramples", "0")
        return
    counts = sorted(tramples["by_writer"].items(), key=lambda one: int(one[1]), reverse=True)
    by = ", ".join(f"{count} by {_who(name)}" for name, count in counts)
    yield page.row("tramples", f"{tramples['count']} since the daemon started: {by}")
    yield page.row("", f"last {_clock(last['at'])}, by {_who(last['writer'])}: {last['evidence']}")


def _who(writer: str) -> str:
    return "somebody unknown" if writer == "unknown" else writer


def _clock(at: float) -> str:
    """Return a time of day, with its date where that is not today's."""
    when, today = time.localtime(at), time.localtime()
    form = "%H:%M:%S" if when[:3] == today[:3] else "%Y-%m-%d %H:%M:%S"
    return time.strftime(form, when)


def _list(entries: list[str]) -> str:
    return ", ".join(entries) or "none"


def plan(data: Data) -> Sequence[str]:
    """Return the plan: why, what, and the diff."""
    lines = [f"mode: {data['mode']}"]
    lines += [f"  {fact}: {value}" for fact, value in data["because"]]
    lines += [f"would {action}" for action in data["actions"]] or ["nothing to do"]
    if data["diff"]:
        lines += ["", *data["diff"].split("\n")]
    return lines
