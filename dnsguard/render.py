"""The status and the plan as a person reads them: data in, text out."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from dnsguard import sentences
from dnsguard.core.timespan import describe
from dnsguard.page import Line, Page

Data = Mapping[str, Any]
"""Parsed JSON of our own making; ``Any`` is what JSON is."""
_Row = tuple[Line, ...]
_PLAIN = Page()
_MODES = {"guarding": "good", "handed-over": "good", "held": "loud"}
_NODELOCAL = {"healthy": "good", "silent": "bad", "warming": "warn"}
_UPSTREAM = {"verified": "good", "unverified": "warn", "none": "bad"}
_ASKED = {"cluster": "cluster names", "external": "names outside", "http": "health URL"}
_FOR_PODS = "/var/lib/dnsguard/resolv.conf"
_UNKNOWN = "unknown"
_MOST = 2
"""Dangers in dhclient's files that are shown unless all are asked for."""


def status(data: Data, page: Page = _PLAIN, *, is_full: bool = False) -> tuple[Line, ...]:
    """Return the status, the verdict first and a row each idea.

    :param is_full: with the rows that say nothing new on this node, too.
    """
    rows = (
        page.folded(*verdict(data), hang=2),
        *(page.row("DEGRADED", line, "bad") for line in data["degraded"][1:]),
        *_mode(data, page),
        *_file(data, page),
        *_nodelocal(data["nodelocal"], page, is_full=is_full),
        *_upstream(data["upstream"], page),
        *_for_kubelet(data, page, is_full=is_full),
        *_dhclient(data["dhclient"], page, is_full=is_full),
        *_tramples(data["tramples"], page, is_full=is_full),
        *_next(data, page, is_full=is_full),
    )
    return tuple(line for row in rows for line in row)


def verdict(data: Data) -> Line:
    """Return in one line whether all is well, and if not, what is wrong and what to do."""
    mode = data["mode"]
    if data["degraded"]:
        return Line(f"DEGRADED {mode}: {data['degraded'][0]}", "bad")
    if data["hold"] is not None:
        return Line(f"OK {_holding(data['hold'])}", _MODES[mode])
    if mode == "handed-over":
        about = f"NodeLocalDNS answers; behind it {_list(_in_use(data))}"
    elif not data["resolv_conf"]["nameservers"]:
        about = f"resolv.conf names nobody yet; {dict(data['because']).get('write', 'see dnsguard plan')}"
    else:
        about = f"{_answering(data)}; {dict(data['because'])['handover']}"
    return Line(f"OK {mode}: {about}", _MODES[mode])


def _in_use(data: Data) -> list[str]:
    return [one["address"] for one in data["upstream"]["servers"] if one["in_use"]]


def _answering(data: Data) -> str:
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


def held(data: Data) -> str:
    """Return the one line that answers ``hold``."""
    hold = data["hold"]
    return f"held to {hold['serves']}, {_until(hold)}; {_outcome(data)}"


def released(data: Data) -> str:
    """Return the one line that answers ``release``."""
    return f"released: {data['mode']}; {_outcome(data)}"


def forgotten(data: Data, address: str) -> str:
    """Return the one line that answers ``forget``."""
    named = data["named_by"]
    why = f", but {named} names it" if named else ""
    return f"forgotten: {address}{why}; {_outcome(data)}"


def _holding(hold: Data) -> str:
    return f"held to {hold['serves']} by {hold['by']}, {_until(hold)}"


def _outcome(data: Data) -> str:
    wrong = f"; DEGRADED: {data['degraded'][0]}" if data["degraded"] else ""
    return f"resolv.conf {_list(data['resolv_conf']['nameservers'])}{wrong}"


def _until(hold: Data) -> str:
    if hold["until"] is None:
        return "until dnsguard release"
    left = describe(hold["seconds_left"])
    return f"until {_clock(hold['until'])} ({left} left) or dnsguard release"


def _mode(data: Data, page: Page) -> Iterator[_Row]:
    about = f"for {describe(data['mode_seconds'])}, since {_clock(data['mode_since'])}"
    yield page.row("mode", f"{data['mode']} {about}", _MODES[data["mode"]])
    if data["hold"] is not None and data["degraded"]:
        yield page.row("", _holding(data["hold"]), "loud")


def _file(data: Data, page: Page) -> Iterator[_Row]:
    file, because = data["resolv_conf"], dict(data["because"])
    by = file["written_by"]
    named = _list(
        [one if by[one] == _UNKNOWN else f"{one} (by {by[one]})" for one in file["nameservers"]]
    )
    away = [*file["held_back"], *(f"options {one}" for one in file["held_back_options"])]
    held_back = f"; held back: {_list(away)}" if away else ""
    yield page.row("resolv.conf", named + held_back)
    if file["in_place_of"]:
        yield page.row("", f"in the place of a link to {file['in_place_of']}, until that is clean")
    if "write" in because:
        yield page.row("", because["write"], "warn")
    elif file["trouble"]:
        yield page.row("", file["trouble"], "bad")


def _nodelocal(nodelocal: Data, page: Page, *, is_full: bool) -> Iterator[_Row]:
    style = _NODELOCAL.get(nodelocal["state"], "")
    told = sentences.nodelocal(f"{nodelocal['state']}: {nodelocal['detail']}")
    legs = [leg for leg in nodelocal["legs"] if leg["state"] != "not asked"]
    fine = [leg for leg in legs if leg["state"] == "answers"]
    if fine and len(fine) == len(legs) and not is_full:
        slowest = max(leg["rtt_ms"] or 0.0 for leg in fine)
        told += f" ({len(fine)} ways, at most {slowest} ms)"
        legs = []
    yield page.row("NodeLocalDNS", told, style)
    for leg in legs:
        yield _leg(leg, page)


def _leg(leg: Data, page: Page) -> _Row:
    name = _ASKED[leg["asked"]]
    name += "" if leg["asked"] == "http" else f" over {leg['protocol'].upper()}"
    if leg["state"] == "answers":
        return page.row("", f"  {name}: {leg['rtt_ms']} ms", hang=2)
    times = "once" if leg["in_a_row"] == 1 else f"{leg['in_a_row']} times in a row"
    told, colon, _ = leg["detail"].partition(": ")  # "refused: nothing listens there"
    return page.row("", f"! {name}: {told}{'' if colon else ','} {times}", "bad", hang=2)


def _upstream(upstream: Data, page: Page) -> Iterator[_Row]:
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


def _for_kubelet(data: Data, page: Page, *, is_full: bool) -> Iterator[_Row]:
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


def _dhclient(dhclient: Data, page: Page, *, is_full: bool) -> Iterator[_Row]:
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


def _tramples(tramples: Data, page: Page, *, is_full: bool) -> Iterator[_Row]:
    last = tramples["last"]
    if last is None:
        if is_full:
            yield page.row("tramples", "0")
        return
    counts = sorted(tramples["by_writer"].items(), key=lambda one: int(one[1]), reverse=True)
    by = ", ".join(f"{count} {_by(name)}" for name, count in counts)
    evidence = "" if last["writer"] == _UNKNOWN else f": {last['evidence']}"
    when = f"at {_clock(last['at'])}, {_by(last['writer'])}{evidence}"
    count = int(tramples["count"])
    yield page.row("tramples", f"1, {when}" if count == 1 else f"{count} ({by}); the last {when}")


def _next(data: Data, page: Page, *, is_full: bool) -> Iterator[_Row]:
    """Yield what has to happen for the mode to change, but for what the verdict says."""
    told = [str(line) for line in data["next"]]
    if not is_full:
        first = f"handover: {dict(data['because'])['handover']}"
        is_said = data["mode"] == "guarding" and not data["degraded"]
        told = [] if data["mode"] != "guarding" else told[is_said and told[:1] == [first] :]
    for at, line in enumerate(told):
        yield page.row("" if at else "next", line.replace("handover: ", "and ", 1) if at else line)


def _by(writer: str) -> str:
    return "writer unknown" if writer == _UNKNOWN else f"by {writer}"


def _clock(at: float) -> str:
    """Return a time of day, with its date where that is not today's."""
    when, today = time.localtime(at), time.localtime()
    form = "%H:%M:%S" if when[:3] == today[:3] else "%Y-%m-%d %H:%M:%S"
    return time.strftime(form, when)


def _list(entries: list[str]) -> str:
    return ", ".join(entries) or "none"


def plan(data: Data, page: Page = _PLAIN) -> tuple[Line, ...]:
    """Return the plan: why, what, and the diff."""
    when = f", after {data['later']:g} s" if data["later"] else ""
    rows = [page.folded(data["verdict"] + when)]
    if not data["daemon"]:
        alone = "No daemon runs" + (": nobody does it until one does" if data["actions"] else "")
        rows.append(page.folded(f"{alone}."))
    rows.append(page.folded(f"mode: {data['mode']}"))
    rows += [
        page.folded(f"{fact}: {_fact(fact, value)}", head="  ", hang=4)
        for fact, value in data["because"]
        if value != "done"
    ]
    rows += [page.folded(f"would {action}", hang=2) for action in data["actions"]]
    lines = [line for row in rows for line in row]
    if data["diff"]:
        lines += [Line(""), *map(Line, data["diff"].split("\n"))]
    return tuple(lines)


def _fact(fact: str, value: str) -> str:
    return sentences.nodelocal(value) if fact == "nodelocal" else value
