"""``dnsguard kubelet``: which resolv.conf kubelet hands to pods, and where that is set.

Reads the node as it is and works without the daemon.
"""

import argparse
import os
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from dnsguard import config, page, terminal
from dnsguard.core.policy import fill_policy
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress, is_asker
from dnsguard.formats.kubelet import DEFAULT, Setting
from dnsguard.host import kubelet as host
from dnsguard.host.files import read_bounded
from dnsguard.paths import Paths

POD_FILE = "/var/lib/dnsguard/resolv.conf"
LOCALHOST = IPv4Address("127.0.0.1")
"""What pods get where there is no file for them (kubelet, GetPodDNS): themselves."""
LOOPING = 2
"""The exit status where pods may get a cluster address as their upstream, or nobody."""
CANT_TELL = 1

_MOST = 1 << 16

_PLAIN = page.Page()
Json = dict[str, Any]


def run(options: argparse.Namespace) -> int:
    """Print what kubelet does; 2 if a pod may get a cluster address as its upstream, or none.

    1 where nobody can tell.
    """
    data = _look(Paths(options.root))
    if options.json:
        terminal.say_json(data)
    else:
        terminal.say(*render(data, terminal.find_page()))
    if data["can_loop"] or data.get("names_nobody"):
        return LOOPING
    return CANT_TELL if data.get("doubt") else 0


def _look(paths: Paths) -> Json:
    """Return what there is to know, as data."""
    lookout = host.KubeletReader(paths.root)
    lookout.search()
    kubelet = lookout.read()
    if kubelet is None:
        return _make_doubt(lookout.explain_doubt())
    if kubelet.troubles and os.geteuid() != 0:  # root may well read what is assumed here
        return _make_doubt(f"{kubelet.troubles[0]}; run it as root")
    named = _list_servers(paths.root, kubelet.pods_file) if kubelet.pods_file else [LOCALHOST]
    cluster = fill_policy(config.load(paths.config).policy, kubelet).cluster
    dead_ends = [str(one) for one in named if one in cluster or is_asker(one)]
    return {
        "kubelet": {
            "pid": kubelet.pid,
            "stale": kubelet.is_stale,
            "used": _describe(kubelet.used),
            "resolv_conf": _describe(kubelet.resolv_conf),
            "cluster_dns": [_describe(one) for one in kubelet.cluster_dns],
            "cluster_domain": _describe(kubelet.cluster_domain),
            "troubles": list(kubelet.troubles),
            "remedy": kubelet.by_hand,
            "restart": kubelet.restart,
        },
        "pods_file": kubelet.pods_file,
        "nameservers": [str(one) for one in named],
        "cluster_addresses": dead_ends,
        "names_nobody": not named,
        "can_loop": kubelet.pods_file == DEFAULT or bool(dead_ends),
    }


def _make_doubt(why: str | None) -> Json:
    return {"kubelet": None, "can_loop": False, "doubt": why}


def _describe(setting: Setting | None) -> Json | None:
    return None if setting is None else {"value": setting.value, "origin": setting.origin}


def _list_servers(root: Path, name: str) -> list[IPAddress]:
    content = read_bounded(root / name.lstrip("/"), _MOST) or b""
    return [one.address for one in resolvconf.read_nameservers(content)]


def render(data: Json, layout: page.Page = _PLAIN) -> tuple[page.Line, ...]:
    """Return the data's lines for people."""
    return tuple(one for line in _lines(data) for one in layout.indent(line))


def _lines(data: Json) -> Iterator[str]:
    kubelet = data["kubelet"]
    if kubelet is None:
        if data["doubt"]:
            yield f"Nobody can tell which resolv.conf pods get: {data['doubt']}."
        else:
            yield "No kubelet on this node."
        return
    running = "not running" if kubelet["pid"] is None else f"pid {kubelet['pid']}"
    yield f"kubelet         {running}"
    yield f"pods get        {data['pods_file'] or 'no file'}"
    yield f"configured      {_show(kubelet['resolv_conf'])}"
    if kubelet["stale"]:
        used = kubelet["used"]
        yield f"runs with       {_show(used) if used else 'what was configured at its start'}"
    yield f"nameservers     {', '.join(data['nameservers']) or 'none'}"
    for setting in kubelet["cluster_dns"]:
        yield f"cluster DNS     {_show(setting)}"
    if kubelet["cluster_domain"]:
        yield f"cluster domain  {_show(kubelet['cluster_domain'])}"
    for trouble in kubelet["troubles"]:
        yield f"trouble         {trouble}: /etc/resolv.conf is assumed"
    yield ""
    yield from _judge(data)


def _show(setting: Json) -> str:
    return f"{setting['value'] or 'no file'}  ({setting['origin']})"


def _judge(data: Json) -> Iterator[str]:
    kubelet = data["kubelet"]
    if kubelet["stale"] and kubelet["resolv_conf"]["value"] != DEFAULT:
        yield f"kubelet was started before this was configured: {kubelet['restart']}"
    if data["names_nobody"]:
        yield f"Pods get {data['pods_file']}, which names nobody: a CoreDNS does not even start."
    elif not data["can_loop"]:
        yield "Pods can't inherit a loop."
        return
    elif data["cluster_addresses"]:
        named = ", ".join(data["cluster_addresses"])
        yield f"Pods get {named} as their upstream: CoreDNS and NodeLocalDNS would ask themselves."
    else:
        yield "Pods inherit the node's file, so the node can't be handed to NodeLocalDNS."
    if kubelet["resolv_conf"]["value"] != POD_FILE:
        yield f"Remedy: {kubelet['remedy'] or 'dnsguard kubelet adopt'}"
