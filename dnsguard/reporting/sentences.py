"""What happened, and what to do about it, as sentences: ``events`` and ``journalctl -x``.

Made from an event's own fields, so that lines of an older daemon are told, too.
"""

from collections.abc import Callable, Mapping

from dnsguard.core.model import Mode, NodeLocal, UpstreamState
from dnsguard.formats.timespan import describe
from dnsguard.reporting.words import (
    UNKNOWN,
    describe_hold,
    describe_nodelocal,
    describe_writer,
    split_state,
)

Fields = Mapping[str, str]

_LINKS = {
    "link-replaced": "; a file is in the place of the link",
    "link-restored": "; the link is back in its place",
}
_LOOK_AT_POD = "Look at its pod on this node: crictl ps --name node-cache; dnsguard doctor"
_NOTHING = "Nothing to do."


def summary(event: str, fields: Fields) -> str:
    """Return what happened in one sentence."""
    told = _SENTENCES.get(event)
    try:
        text = _list(event, fields) if told is None else told(fields)
    except KeyError:  # of another version
        text = _list(event, fields)
    more = fields.get("lines_held_back")
    return f"{text} ({more} more like this)" if more else text


def advice(event: str, fields: Fields) -> str:
    """Return what to do in this very case; empty where the catalog's words are enough."""
    told = _ADVICE.get(event)
    return "" if told is None else told(fields)


def _list(event: str, fields: Fields) -> str:
    pairs = ", ".join(f"{key} {value}" for key, value in fields.items())
    return f"{event.replace('_', ' ')}: {pairs}".removesuffix(": ")


def _mode(fields: Fields) -> str:
    mode, named = fields["mode"], f"resolv.conf {fields['nameservers']}"
    if mode == Mode.HELD:
        return f"{fields['handover']}; {named}"
    if mode == Mode.HANDED_OVER:
        return f"{mode}: NodeLocalDNS answers; {named}"
    state, detail = split_state(fields["nodelocal"])
    if state in (NodeLocal.HEALTHY, NodeLocal.UNKNOWN):
        return f"{mode}: {fields['handover']}; {named}"
    return f"{mode}: {_describe_nodelocal(state, detail)}; {named}"


def _upstream(fields: Fields) -> str:
    state, detail = split_state(fields["upstream"])
    named = fields.get("nameservers", "none")
    if state == UpstreamState.VERIFIED:
        return f"an upstream answers; resolv.conf {named}"
    if state == UpstreamState.NONE:
        return "no upstream is known"
    return f"no upstream answers ({detail}); resolv.conf {named}"


def _describe_nodelocal(state: str, detail: str) -> str:
    return f"NodeLocalDNS {describe_nodelocal(state, detail)}"


def _describe_write(fields: Fields) -> str:
    told = f"resolv.conf {fields['nameservers']}; before, it {_before(fields['file'])}"
    return told + _LINKS.get(fields.get("result", ""), "")


def _before(file: str) -> str:
    """Return ``names 192.0.2.1`` and ``missing: No such file`` as of a moment ago."""
    told, names, rest = file.partition("names ")
    return f"named {rest}" if names and not told else f"was {file}"


def _describe_trample(fields: Fields) -> str:
    writer = fields["writer"]
    if writer == UNKNOWN:
        return f"/etc/resolv.conf was overwritten ({describe_writer(writer)})"
    return f"/etc/resolv.conf was overwritten {describe_writer(writer)} ({fields['evidence']})"


def _describe_fight(fields: Fields) -> str:
    writer = fields["writer"]
    who = "a program" if writer == UNKNOWN else writer
    return f"{who} rewrites /etc/resolv.conf again and again; repairs are delayed"


def _describe_hold(fields: Fields) -> str:
    seconds = fields.get("seconds")
    span = f" for {describe(float(seconds))}" if seconds else ""
    return describe_hold(fields["hold"], fields["by"]) + span


_SENTENCES: Mapping[str, Callable[[Fields], str]] = {
    "started": lambda f: f"dnsguard {f['version']} has started",
    "stopped": lambda f: (
        f"dnsguard has stopped; resolv.conf {f['nameservers']}; nobody repairs it from now on"
    ),
    "mode_changed": _mode,
    "nodelocal_changed": lambda f: _describe_nodelocal(*split_state(f["nodelocal"])),
    "handover_reason_changed": lambda f: f"no handover: {f['handover']}",
    "upstream_changed": _upstream,
    "resolv_conf_written": _describe_write,
    "resolv_conf_trampled": _describe_trample,
    "resolv_conf_fought_over": _describe_fight,
    "resolv_conf_not_written": lambda f: f["why"],
    "attributes_not_kept": lambda f: (
        f"the new resolv.conf has lost attributes of the old one: {f['lost']}"
    ),
    "nameserver_unused": lambda f: f"nameserver {f['server']} {f['why']}; {f['otherwise']}",
    "upstream_forgotten": lambda f: f"{f['server']} was forgotten by {f['by']}",
    "pod_file_written": lambda f: f"the file for pods names {f['nameservers']}",
    "resolved_told": lambda f: f"systemd-resolved {f['told']}",
    "hold_set": _describe_hold,
    "hold_released": lambda f: f"hold released by {f['by']}; it was {f['hold']}",
    "hold_expired": lambda f: f"the hold has expired; it was {f['hold']}",
    "state_unreadable": lambda f: f["why"],
    "state_not_written": lambda f: f"could not {f['what']}: {f['error']}",
    "dhclient_hazard_found": lambda f: (
        f"{f['at']} would poison resolv.conf ({f['what']}): {f['why']}"
    ),
    "dhclient_hazard_gone": lambda f: f"{f['at']} is no danger any more ({f['what']})",
    "dhcp_server_asked": lambda f: f"{f['interface']}: {f['said']}",
    "hook_unavailable": lambda f: f"dhclient can't be kept from resolv.conf: {f['error']}",
    "addresses_not_listed": lambda f: f"the node's addresses can't be listed: {f['error']}",
    "hints_unavailable": lambda f: f"changes of {f['source']} are seen late: {f['error']}",
    "control_socket_failed": lambda f: f"dnsguard can't be asked: {f['error']}",
    "lock_failed": lambda f: f"a second dnsguard would not be kept out: {f['error']}",
    "client_refused": lambda f: f"a client (uid {f['uid']}, pid {f['pid']}) {f['what']}",
    "lines_lost": lambda f: f"{f['lines']} lines are missing here: {f['means']}",
    "metrics_failed": lambda f: f"metrics can't be delivered: {f['what']}: {f['why']}",
    "reloaded": lambda f: f"{f['path']} was reloaded",
    "reload_refused": lambda f: f"{f['why']}; the old configuration stays",
    "look_failed": lambda f: f"a fault in dnsguard: {f['error']}",
}


def _about_mode(fields: Fields) -> str:
    if fields["mode"] == Mode.HELD:
        return "To end it: dnsguard release"
    if fields["mode"] == Mode.HANDED_OVER:
        return _NOTHING
    return _about_nodelocal(fields)


def _about_nodelocal(fields: Fields) -> str:
    state, _ = split_state(fields.get("nodelocal", ""))
    return _LOOK_AT_POD if state == NodeLocal.SILENT else _NOTHING


def _about_upstream(fields: Fields) -> str:
    state, _ = split_state(fields["upstream"])
    told: Mapping[str, str] = {
        UpstreamState.UNVERIFIED: "Look at the node's network: dnsguard upstreams; ip route",
        UpstreamState.NONE: "Name one in upstream.servers of /etc/dnsguard/dnsguard.toml, then:"
        " systemctl reload dnsguard",
    }
    return told.get(state, _NOTHING)


def _about_written(fields: Fields) -> str:
    return {
        "in-place": "It is a mount, could not be replaced, and was overwritten in place.",
        "link-replaced": "It was a symbolic link, and is a file now.",
    }.get(fields.get("result", ""), _NOTHING)


_ADVICE: Mapping[str, Callable[[Fields], str]] = {
    "mode_changed": _about_mode,
    "nodelocal_changed": _about_nodelocal,
    "upstream_changed": _about_upstream,
    "resolv_conf_written": _about_written,
}
