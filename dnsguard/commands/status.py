"""The command ``status``: what the daemon sees and does, the verdict first."""

import argparse
from collections.abc import Iterator, Mapping

from dnsguard import client, terminal
from dnsguard.commands.wait import wait
from dnsguard.errors import DEGRADED
from dnsguard.formats.timespan import describe
from dnsguard.page import Line, Page
from dnsguard.paths import Paths
from dnsguard.reporting.wire import (
    DhclientJson,
    HoldJson,
    LegJson,
    NodeLocalJson,
    ResolvedJson,
    StatusJson,
    TramplesJson,
    UpstreamJson,
    explain,
)
from dnsguard.reporting.words import (
    UNKNOWN,
    clock,
    describe_hold,
    describe_nodelocal,
    describe_writer,
)

_Row = tuple[Line, ...]
_PLAIN = Page()
_MODES: Mapping[str, str] = {"guarding": "good", "handed-over": "good", "held": "loud"}
_NODELOCAL: Mapping[str, str] = {"healthy": "good", "silent": "bad", "warming": "warn"}
_UPSTREAM: Mapping[str, str] = {"verified": "good", "unverified": "warn", "none": "bad"}
_ASKED: Mapping[str, str] = {
    "cluster": "cluster names",
    "external": "names outside",
    "http": "health URL",
}
_FOR_PODS = "/var/lib/dnsguard/resolv.conf"
_MOST = 2
"""Dangers in dhclient's files that are shown unless all are asked for."""


def run(options: argparse.Namespace) -> int:
    paths = Paths(options.root)
    if options.wait is None:
        data = client.ask_status(paths.socket)
    else:
        data = wait(paths, options.wait, options.timeout)
    if options.json:
        terminal.say_json(data)
    else:
        terminal.say(*render(data, terminal.find_page(), is_full=options.verbose))
    return DEGRADED if data["degraded"] else 0


def render(data: StatusJson, page: Page = _PLAIN, *, is_full: bool = False) -> tuple[Line, ...]:
    """Return the status, the verdict first and a row each idea.

    :param is_full: with the rows that say nothing new on this node, too.
    """
    rows = (
        page.fold(*verdict(data), hang=2),
        *(page.row("DEGRADED", line, "bad") for line in data["degraded"][1:]),
        *_mode(data, page),
        *_file(data, page),
        *_nodelocal(data["nodelocal"], page, is_full=is_full),
        *_upstream(data["upstream"], page),
        *_for_kubelet(data, page, is_full=is_full),
        *_resolved(data["resolved"], page, is_full=is_full),
        *_dhclient(data["dhclient"], page, is_full=is_full),
        *_tramples(data["tramples"], page, is_full=is_full),
        *_next(data, page, is_full=is_full),
    )
    return tuple(line for row in rows for line in row)


def verdict(data: StatusJson) -> Line:
    """Return in one line whether all is well, and if not, what is wrong and what to do."""
    mode = data["mode"]
    if data["degraded"]:
        return Line(f"DEGRADED {mode}: {data['degraded'][0]}", "bad")
    if data["hold"] is not None:
        return Line(f"OK {_describe_hold(data['hold'])}", _MODES[mode])
    if mode == "handed-over":
        about = f"NodeLocalDNS answers; behind it {_list(_in_use(data))}"
    elif not data["resolv_conf"]["nameservers"]:
        why = explain(data, "write") or "see dnsguard plan"
        about = f"resolv.conf names nobody yet; {why}"
    else:
        about = f"{_describe_answering(data)}; {explain(data, 'handover')}"
    return Line(f"OK {mode}: {about}", _MODES[mode])


def _in_use(data: StatusJson) -> list[str]:
    return [one["address"] for one in data["upstream"]["servers"] if one["in_use"]]


def _describe_answering(data: StatusJson) -> str:
    """Return who in the file answers, and who does not."""
    servers = [one for one in data["upstream"]["servers"] if one["in_use"]]
    if data["upstream"]["state"] != "verified":
        has = "has" if len(servers) == 1 else "have"
        return f"{_list(_in_use(data))} {has} yet to answer"
    usable = [one["address"] for one in servers if one["usable"]]
    silent = [one["address"] for one in servers if not one["usable"]]
    told = f"{_list(usable)} {'answers' if len(usable) == 1 else 'answer'}"
    no = "does not" if len(silent) == 1 else "do not"
    return f"{told}, {_list(silent)} {no}" if silent else told


def _describe_hold(hold: HoldJson) -> str:
    return f"{describe_hold(hold['serves'], hold['by'])}, {describe_end(hold)}"


def describe_outcome(data: StatusJson) -> str:
    """Return what a command has come to: resolv.conf, and what is wrong."""
    wrong = f"; DEGRADED: {data['degraded'][0]}" if data["degraded"] else ""
    return f"resolv.conf {_list(data['resolv_conf']['nameservers'])}{wrong}"


def describe_end(hold: HoldJson) -> str:
    """Return how long it is held."""
    until, left = hold["until"], hold["seconds_left"]
    if until is None or left is None:
        return "until dnsguard release"
    return f"until {clock(until)} ({describe(left)} left) or dnsguard release"


def _mode(data: StatusJson, page: Page) -> Iterator[_Row]:
    about = f"for {describe(data['mode_seconds'])}, since {clock(data['mode_since'])}"
    yield page.row("mode", f"{data['mode']} {about}", _MODES[data["mode"]])
    if data["hold"] is not None and data["degraded"]:
        yield page.row("", _describe_hold(data["hold"]), "loud")


def _file(data: StatusJson, page: Page) -> Iterator[_Row]:
    file, why = data["resolv_conf"], explain(data, "write")
    by = file["written_by"]
    named = _list(
        [one if by[one] == UNKNOWN else f"{one} (by {by[one]})" for one in file["nameservers"]]
    )
    away = [*file["held_back"], *(f"options {one}" for one in file["held_back_options"])]
    held_back = f"; held back: {_list(away)}" if away else ""
    yield page.row("resolv.conf", named + held_back)
    if file["in_place_of"]:
        yield page.row("", f"in the place of a link to {file['in_place_of']}, until that is clean")
    if why:
        yield page.row("", why, "warn")
    elif file["trouble"]:
        yield page.row("", file["trouble"], "bad")


def _nodelocal(nodelocal: NodeLocalJson, page: Page, *, is_full: bool) -> Iterator[_Row]:
    style = _NODELOCAL.get(nodelocal["state"], "")
    told = describe_nodelocal(nodelocal["state"], nodelocal["detail"])
    legs = [leg for leg in nodelocal["legs"] if leg["state"] != "not asked"]
    fine = [leg for leg in legs if leg["state"] == "answers"]
    if fine and len(fine) == len(legs) and not is_full:
        slowest = max(leg["rtt_ms"] or 0.0 for leg in fine)
        told += f" ({len(fine)} ways, at most {slowest} ms)"
        legs = []
    yield page.row("NodeLocalDNS", told, style)
    for leg in legs:
        yield _leg(leg, page)


def _leg(leg: LegJson, page: Page) -> _Row:
    name = _ASKED[leg["asked"]]
    name += "" if leg["asked"] == "http" else f" over {leg['protocol'].upper()}"
    if leg["state"] == "answers":
        return page.row("", f"  {name}: {leg['rtt_ms']} ms", hang=2)
    times = "once" if leg["in_a_row"] == 1 else f"{leg['in_a_row']} times in a row"
    told, colon, _ = leg["detail"].partition(": ")  # "refused: nothing listens there"
    return page.row("", f"! {name}: {told}{'' if colon else ','} {times}", "bad", hang=2)


def _upstream(upstream: UpstreamJson, page: Page) -> Iterator[_Row]:
    shown = [one for one in upstream["servers"] if one["in_use"]] or upstream["servers"][:3]
    others = len(upstream["servers"]) - len(shown)
    more = f"; {others} more: dnsguard upstreams" if others else ""
    style = _UPSTREAM[upstream["state"]]
    yield page.row("upstream", f"{upstream['state']}{more}", style)
    for server in shown:
        mark = "*" if server["in_use"] else " "
        speed = f"{server['rtt_ms']} ms" if server["usable"] else server["detail"]
        about = f"{speed}, from {server['source']} ({server['origin']})"
        yield page.row("", f"{mark} {server['address']} {about}", hang=2)


def _for_kubelet(data: StatusJson, page: Page, *, is_full: bool) -> Iterator[_Row]:
    kubelet, named = data["kubelet"], _list(data["pod_file"]["nameservers"])
    if kubelet is None and not is_full:
        return
    if kubelet is not None and kubelet["pods_file"] == _FOR_PODS:
        text = f"{named}; pods get it ({kubelet['set_in']})"
        yield page.row("for kubelet", text)
        return
    yield page.row("for kubelet", f"{named} in {_FOR_PODS}")
    if kubelet is not None:
        is_risky = kubelet["pods_file"] == "/etc/resolv.conf"
        told = f"kubelet gives pods {kubelet['pods_file']} ({kubelet['set_in']})"
        if kubelet["needs_restart"]:
            told = (
                f"kubelet gives pods {kubelet['pods_file']} until it is restarted"
                f" ({kubelet['set_in']}): {kubelet['restart']}"
            )
        yield page.row("", ("! " if is_risky else "  ") + told, "warn" if is_risky else "", hang=2)


def _resolved(resolved: ResolvedJson | None, page: Page, *, is_full: bool) -> Iterator[_Row]:
    """Yield whom systemd-resolved asks, and by whose word."""
    if resolved is None or (resolved["told"] is None and not is_full):
        return
    asks = "does not run" if resolved["asks"] is None else f"asks {_list(resolved['asks'])}"
    if resolved["told"] is None:
        yield page.row("resolved", f"{asks}, by its own configuration")
    elif resolved["hears"]:
        yield page.row("resolved", f"{asks}, by dnsguard's part of its configuration")
    else:
        told = _list(resolved["told"]) if resolved["told"] else "the servers of its links"
        yield page.row("resolved", f"{asks}, and is told to ask {told}", "warn")


def _dhclient(dhclient: DhclientJson, page: Page, *, is_full: bool) -> Iterator[_Row]:
    hazards = dhclient["hazards"]
    if not is_full:
        hazards = [hazard for hazard in hazards if not hazard["defused"]]
    else:
        yield page.row("dhclient", f"the enter hook is {dhclient['hook']}")
    for at, hazard in enumerate(hazards if is_full else hazards[:_MOST]):
        is_open = not hazard["defused"]
        text = f"{hazard['path']}:{hazard['line']} {hazard['what']}: {hazard['why']}"
        label = "" if is_full or at else "dhclient"
        style = "warn" if is_open else ""
        yield page.row(label, ("! " if is_open else "  ") + text, style, hang=2)
    if not is_full and len(hazards) > _MOST:
        yield page.row("", f"  {len(hazards) - _MOST} more: dnsguard status -v", "dim")


def _tramples(tramples: TramplesJson, page: Page, *, is_full: bool) -> Iterator[_Row]:
    last = tramples["last"]
    if last is None:
        if is_full:
            yield page.row("tramples", "0")
        return
    counts = sorted(tramples["by_writer"].items(), key=lambda one: one[1], reverse=True)
    by = ", ".join(f"{count} {describe_writer(name)}" for name, count in counts)
    evidence = "" if last["writer"] == UNKNOWN else f": {last['evidence']}"
    when = f"at {clock(last['at'])}, {describe_writer(last['writer'])}{evidence}"
    count = tramples["count"]
    yield page.row("tramples", f"1, {when}" if count == 1 else f"{count} ({by}); the last {when}")


def _next(data: StatusJson, page: Page, *, is_full: bool) -> Iterator[_Row]:
    """Yield what has to happen for the mode to change, but for what the verdict says."""
    told = data["next"]
    if not is_full:
        first = f"handover: {explain(data, 'handover')}"
        is_said = data["mode"] == "guarding" and not data["degraded"]
        told = [] if data["mode"] != "guarding" else told[is_said and told[:1] == [first] :]
    for at, line in enumerate(told):
        yield page.row("" if at else "next", line.replace("handover: ", "and ", 1) if at else line)


def _list(entries: list[str]) -> str:
    return ", ".join(entries) or "none"
