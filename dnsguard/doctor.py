"""``dnsguard doctor``: the loops that exist on this node now, and what ends them.

Every CoreDNS and node-cache is looked at as the kernel shows it: the resolv.conf that it
sees, its Corefile, where it listens. No API server is asked, which may need DNS itself, and no
daemon. Who asks whom is followed by :mod:`dnsguard.core.loops`.
"""

import json
import os
import posixpath
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dnsguard import config
from dnsguard.core import loops, resolvconf
from dnsguard.core.address import IPAddress, parse_address, plain
from dnsguard.core.effective import KNOWN_NODELOCAL, effective
from dnsguard.core.loops import Block, Door, Hop, Loop, Onward, Server, Target
from dnsguard.core.model import Policy
from dnsguard.core.sources import corefile
from dnsguard.errors import DnsguardError, UsageError
from dnsguard.host import kubelet, pods, processes, wire
from dnsguard.host.files import read_bounded
from dnsguard.paths import Paths

FOUND = 2
"""The exit status where there is a loop, or where the next pod would make one."""
CANT_TELL = 1
PROGRAMS = ("coredns", "node-cache")
CONF = "/etc/resolv.conf"
SECONDS = 2.0
"""To listen for the one-time name where no answer ends it sooner."""

_STUB = (parse_address("127.0.0.53"), parse_address("127.0.0.54"))
_SLACK = 2.0
"""Seconds: a process's start is known to a hundredth, the clock's boot to a second."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One DNS server's process."""

    pid: int
    program: str
    pod: pods.Pod | None
    network: int
    nameservers: tuple[IPAddress, ...]
    """Of its /etc/resolv.conf."""
    corefile: str
    server: Server
    answers_cluster: bool
    """Whether its Corefile has the ``kubernetes`` plugin."""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.server.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """All that was looked at."""

    seen: tuple[Seen, ...]
    servers: tuple[Server, ...]
    """Theirs, with the services that lead to them, and systemd-resolved."""
    unread: tuple[str, ...]
    looped: tuple[pods.Pod, ...]
    """Those whose ``loop`` plugin has ended them."""
    kubelet: tuple[str, tuple[IPAddress, ...]] | None
    """The file that new pods get, and its nameservers."""
    cluster: frozenset[IPAddress]


def run(paths: Paths, *, as_json: bool, trace: str | None = None) -> int:
    """Print what was found; 2 if there is anything, 1 if something couldn't be looked at.

    :raises DnsguardError: not root.
    """
    if os.geteuid() != 0:
        raise DnsguardError("doctor looks into other programs' processes: run it as root")
    policy = effective(config.load(paths.config).policy, kubelet.look(paths.root))
    node = look(paths, policy)
    data = examine(node)
    data["trace"] = None if trace is None else _trace(paths, policy, node, trace)
    sys.stdout.write((json.dumps(data, indent=2) if as_json else render(data)) + "\n")
    is_proven = data["trace"] is not None and data["trace"]["is_loop"]
    if data["loops"] or data["poisoned"] or data["looped"] or is_proven:
        return FOUND
    if data["kubelet"] is not None and data["kubelet"]["poison"]:
        return FOUND
    return CANT_TELL if data["unread"] else 0


# What there is


def look(paths: Paths, policy: Policy) -> Node:
    """Look at every DNS server's process. Only reads."""
    proc, logs = paths.root / "proc", paths.root / "var/log/pods"
    seen: list[Seen] = []
    unread: list[str] = []
    for process in processes.running(proc, frozenset(PROGRAMS)):
        try:
            seen.append(_seen(proc / str(process.pid), logs, process))
        except OSError as error:
            if (proc / str(process.pid)).exists():
                what = error.filename or "its files"
                unread.append(f"pid {process.pid}: {what}: {error.strerror}")
    # CoreDNS first: a loop is told from there.
    seen.sort(key=lambda one: (one.program != PROGRAMS[0], one.pid))
    services = policy.cluster - frozenset(policy.nodelocal) - frozenset(KNOWN_NODELOCAL)
    up = [one.pod.uid for one in seen if one.pod is not None]
    return Node(
        seen=tuple(seen),
        servers=(*_served(seen, services), *_resolved(paths.root)),
        unread=tuple(unread),
        looped=pods.looped(logs, PROGRAMS, up),
        kubelet=_kubelet(paths),
        cluster=policy.cluster,
    )


def _seen(directory: Path, logs: Path, process: processes.Process) -> Seen:
    network = pods.network(directory)
    content, changed = pods.read(directory, CONF)
    nameservers = resolvconf.addresses(content)
    conf = _option(process.arguments, "conf") or "Corefile"
    blocks = _corefile(directory, conf)
    ports = {int(text) for text in (_option(process.arguments, "dns.port"),) if text.isdecimal()}
    program = next(
        (one for one in PROGRAMS if one in posixpath.basename(process.arguments[0])), PROGRAMS[0]
    )
    pod = pods.pod_of(directory, logs)
    listens = pods.listens(directory)
    notes = []
    if changed > process.started + _SLACK:
        notes.append(f"{CONF} changed after it started: it may still use what was there before")
    if not listens:
        notes.append("listens nowhere yet")
    default = min(ports, default=53)
    return Seen(
        pid=process.pid,
        program=program,
        pod=pod,
        network=network,
        nameservers=nameservers,
        corefile=conf,
        server=Server(
            name=f"pod {pod.name}" if pod else f"{program} (pid {process.pid})",
            blocks=tuple(
                Block(
                    zone=zone,
                    doors=_doors(block.binds, port or default, listens, directory, network),
                    local=block.local,
                    onward=tuple(_onward(one, directory, network) for one in block.forwards),
                )
                for block in blocks
                for zone, port in block.keys
            ),
        ),
        answers_cluster=any(one.plugin == "kubernetes" for block in blocks for one in block.local),
        notes=tuple(notes),
    )


def _option(arguments: Sequence[str], name: str) -> str:
    """Return an option's value as Go's flag package reads it; the last one wins."""
    found = ""
    for at, word in enumerate(arguments):
        option, equals, value = word.partition("=")
        if option in (f"-{name}", f"--{name}"):
            found = value if equals else next(iter(arguments[at + 1 : at + 2]), "")
    return found


def _corefile(directory: Path, conf: str) -> tuple[corefile.Block, ...]:
    content, _ = pods.read(directory, conf)
    below = posixpath.dirname(conf)

    def imports(pattern: str) -> Iterable[bytes]:
        return pods.matching(directory, posixpath.join(below, pattern))

    return corefile.blocks(content, pods.environ(directory), imports)


def _doors(
    binds: Sequence[str],
    port: int,
    listens: Iterable[tuple[IPAddress, int]],
    directory: Path,
    network: int,
) -> frozenset[Door]:
    """Return where a server block is asked; the kernel knows what an interface's name means."""
    specific = {one for one, at in listens if at == port and not one.is_unspecified}
    found: frozenset[IPAddress] | set[IPAddress] = specific
    if binds:
        with suppress(ValueError):  # an interface's name
            found = {plain(parse_address(one)) for one in binds}
    else:
        found = pods.addresses(directory) - specific
    return frozenset(_door(one, port, network) for one in found)


def _door(address: IPAddress, port: int | None, network: int) -> Door:
    return Door(address=address, port=port or 53, place=network if address.is_loopback else None)


def _onward(forward: corefile.Forward, directory: Path, network: int) -> Onward:
    targets = [
        Target(door=_door(plain(one.address), one.port or _port(one.scheme), network))
        for one in forward.servers
    ]
    for file in forward.files:
        with suppress(FileNotFoundError):
            named = resolvconf.addresses(pods.read(directory, file)[0])
            targets += [Target(door=_door(one, None, network), via=file) for one in named]
    return Onward(base=forward.base, excepts=forward.excepts, targets=tuple(targets))


def _port(scheme: str | None) -> int:
    return 853 if scheme == "tls" else 53


def _served(seen: Sequence[Seen], services: frozenset[IPAddress]) -> Iterator[Server]:
    """Yield the servers, with the cluster's DNS services leading to CoreDNS.

    Not where somebody here listens at a service's address himself, as NodeLocalDNS may.
    """
    taken = {door.address for one in seen for door in one.server.doors}
    coredns = [one.name for one in seen if one.program == PROGRAMS[0]]
    behind = [one.name for one in seen if one.answers_cluster] or coredns
    doors = frozenset(Door(address=one) for one in services - taken)
    for one in seen:
        if one.name in behind:
            blocks = (replace(block, doors=block.doors | doors) for block in one.server.blocks)
            yield replace(one.server, blocks=tuple(blocks))
        else:
            yield one.server


def _resolved(root: Path) -> Iterator[Server]:
    """Yield systemd-resolved's stub: 127.0.0.53 may stand in a host network pod's file."""
    content = read_bounded(root / "run/systemd/resolve/resolv.conf", pods.MOST_BYTES)
    if content is not None:
        network = pods.network(Path("/proc/self"))
        targets = (_door(one, None, network) for one in resolvconf.addresses(content))
        onward = Onward(targets=tuple(Target(door=door) for door in targets))
        doors = frozenset(_door(one, None, network) for one in _STUB)
        yield Server(
            name="systemd-resolved", blocks=(Block(zone=".", doors=doors, onward=(onward,)),)
        )


def _kubelet(paths: Paths) -> tuple[str, tuple[IPAddress, ...]] | None:
    found = kubelet.look(paths.root)
    if found is None:
        return None
    named = found.pods_file
    content = read_bounded(paths.root / named.lstrip("/"), pods.MOST_BYTES)
    return named, resolvconf.addresses(content or b"")


# What it means


def examine(node: Node) -> Json:
    """Return what was found, as data."""
    found = loops.find(node.servers)
    by_name = {one.name: one for one in node.seen}
    poisoned = [(one, hop) for one in node.seen for hop in dict.fromkeys(_dead_ends(node, one))]
    guilty = [hop.server for loop in found for hop in loop.hops if hop.target.via]
    guilty += [one.name for one, _ in poisoned]
    return {
        "servers": [_server(node, one) for one in node.seen],
        "loops": [_loop(node, loop) for loop in found],
        "poisoned": [{"server": one.name, "path": _path(node, (hop,))} for one, hop in poisoned],
        "looped": [pod.name for pod in node.looped],
        "kubelet": _given(node),
        "delete": [
            _command(pod)
            for pod in dict.fromkeys(
                [by_name[name].pod for name in guilty if name in by_name] + [*node.looped]
            )
            if pod is not None
        ],
        "restart": [
            name for name in dict.fromkeys(guilty) if name in by_name and by_name[name].pod is None
        ],
        "unread": list(node.unread),
        "at": round(time.time(), 3),
    }


def _dead_ends(node: Node, one: Seen) -> Iterator[Hop]:
    """Yield where a resolv.conf names a cluster address at which nobody here answers.

    NodeLocalDNS is not up, or cluster DNS runs on other nodes: the loop closes there, or soon.
    """
    doors = {door for server in node.servers for door in server.doors}
    server = next(server for server in node.servers if server.name == one.name)
    for zone in loops.zones(node.servers):
        for hops in loops.chains(node.servers, server, zone):
            for hop in hops[-1:]:
                target = hop.target
                is_nobody = target.door not in doors and target.door.address in node.cluster
                if hop.server == one.name and target.via and is_nobody:
                    yield hop


def _server(node: Node, one: Seen) -> Json:
    server = next(server for server in node.servers if server.name == one.name)
    ways = loops.chains(node.servers, server)
    return {
        "name": one.name,
        "program": one.program,
        "pid": one.pid,
        "pod": one.pod.name if one.pod else None,
        "namespace": one.pod.namespace if one.pod else None,
        "nameservers": [str(address) for address in one.nameservers],
        "corefile": one.corefile,
        "addresses": sorted({str(door.address) for door in server.doors}),
        "ways": [_path(node, way, start=one.name) for way in ways],
        "notes": list(one.notes),
    }


def _loop(node: Node, loop: Loop) -> Json:
    return {
        "path": _path(node, loop.hops) + " -> back",
        "zones": list(loop.zones),
        "certain": loop.is_certain,
    }


def _path(node: Node, hops: Sequence[Hop], *, start: str = "") -> str:
    """Return hops as they are drawn; who is at a door is told unless the path ends there."""
    words = [hops[0].server if hops else start]
    for hop, following in zip(hops, [*(hop.server for hop in hops[1:]), None], strict=True):
        if hop.target.via:
            words.append(hop.target.via)
        door = hop.target.door
        text = str(door.address) if door.port == 53 else f"{door.address} port {door.port}"
        notes = [_label(node, following)] if following else []
        notes += [f"one of {hop.choices}"] if hop.choices > 1 else []
        words.append(f"{text} ({', '.join(notes)})" if notes else text)
    if not hops:
        words.append("answers itself")
    return " -> ".join(words)


def _label(node: Node, name: str) -> str:
    for one in node.seen:
        if one.name == name:
            what = f"{one.program}, pid {one.pid}"
            return f"{one.name}, {what}" if one.pod and one.program == PROGRAMS[0] else what
    return name


def _given(node: Node) -> Json | None:
    if node.kubelet is None:
        return None
    file, nameservers = node.kubelet
    here = {door.address for server in node.servers for door in server.doors if not door.place}
    poison = [str(one) for one in nameservers if one in node.cluster or one in here]
    return {"file": file, "nameservers": [str(one) for one in nameservers], "poison": poison}


def _command(pod: pods.Pod) -> str:
    return f"kubectl -n {pod.namespace} delete pod {pod.name}"


# The proof


def _trace(paths: Paths, policy: Policy, node: Node, zone: str) -> Json:
    """Ask once and count.

    :raises UsageError: there is nobody to ask.
    """
    doors = {door for server in node.servers for door in server.doors}
    entry = _entry(policy, node)
    networks = {one.network: paths.root / f"proc/{one.pid}/ns/net" for one in node.seen}
    networks.pop(pods.network(Path("/proc/self")), None)
    scope = wire.Scope(
        proc=paths.root / "proc",
        pids=tuple(one.pid for one in node.seen),
        doors=frozenset((door.address, door.port) for door in doors),
        networks=tuple(networks.values()),
    )
    name = wire.one_time_name(zone.strip(".") or loops.ROOT)
    most = loops.most_questions(node.servers)
    try:
        traced = wire.trace(name, entry, scope=scope, most=most, seconds=SECONDS)
    except OSError as error:
        raise DnsguardError(f"{entry} can't be traced: {error.strerror}") from error
    return {
        "name": traced.name,
        "entry": str(entry),
        "seconds": round(traced.seconds, 2),
        "seen": traced.inside,
        "outside": traced.outside,
        "most": most,
        "answered": traced.rcode,
        "is_loop": traced.is_loop,
    }


def _entry(policy: Policy, node: Node) -> IPAddress:
    """Return where to ask: a node-local address, else what can be reached from here."""
    doors = [
        door
        for one in reversed(node.servers)
        for door in sorted(one.doors, key=repr)
        if door.port == 53 and door.place is None and not door.address.is_link_local
    ]
    here = {door.address for server in node.servers for door in server.doors}
    local = [one for one in policy.nodelocal if one in here]
    found = [*local, *(door.address for door in doors)]
    if not found:
        raise UsageError("nothing to trace: no DNS server of this node can be asked")
    return found[0]


# As people read it


def render(data: Mapping[str, Any]) -> str:
    """Return the findings as text; nothing that a process brings in reaches the terminal raw."""
    lines = (line for text in _lines(data) for line in text.splitlines())
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    for loop in data["loops"]:
        yield f"{'LOOP' if loop['certain'] else 'MAY LOOP'} ({_names(loop['zones'])}):"
        yield f"  {loop['path']}"
    for one in data["poisoned"]:
        yield "POISONED (a loop as soon as, or where, somebody answers there):"
        yield f"  {one['path']}"
    for name in data["looped"]:
        yield f"LOOPED: pod {name} was ended by its loop plugin and doesn't run now"
    given = data["kubelet"]
    yield from _kubelet_lines(given)
    count = len(data["servers"])
    is_clean = not (data["loops"] or data["poisoned"] or data["looped"] or data["unread"])
    if is_clean and not count:
        yield "No CoreDNS and no node-cache runs here."
    elif is_clean:
        yield f"Clean: {count} DNS server{'s'[: count != 1]} looked at, no loop."
    for server in data["servers"]:
        if is_clean:
            yield from (f"  {way}" for way in server["ways"])
        yield from (f"  note: {server['name']}: {note}" for note in server["notes"])
    for line in data["unread"]:
        yield f"NOT LOOKED AT: {line}"
    yield from _trace_lines(data["trace"])
    yield from _remedy(data)


def _names(zones: Sequence[str]) -> str:
    words = ["all names of no other zone" if zone == loops.ROOT else zone for zone in zones]
    return ", ".join(words)


def _kubelet_lines(given: Mapping[str, Any] | None) -> Iterator[str]:
    if given is None:
        return
    verdict = f"POISONED by {', '.join(given['poison'])}" if given["poison"] else "fine"
    servers = ", ".join(given["nameservers"]) or "no nameserver"
    yield f"kubelet gives new pods {given['file']} ({servers}): {verdict}"


def _trace_lines(traced: Mapping[str, Any] | None) -> Iterator[str]:
    if traced is None:
        return
    seen = f"seen {traced['seen']} times in {traced['seconds']:g} s"
    told = f"name {traced['name']}: sent once to {traced['entry']}, {seen}"
    if traced["is_loop"]:
        yield f"{told}: a loop (stopped)"
    else:
        yield f"{told}, as a chain of that length does: no loop"
    if traced["answered"] is None:
        yield "  no answer came"


def _remedy(data: Mapping[str, Any]) -> Iterator[str]:
    steps = []
    if data["kubelet"] is not None and data["kubelet"]["poison"]:
        steps.append("dnsguard kubelet adopt --restart    # first: new pods would get the same")
    steps += data["delete"]
    steps += [f"restart {name}: it reads resolv.conf when it starts" for name in data["restart"]]
    if data["loops"] and not steps:
        steps.append("correct the Corefile: its own forward leads back")
    if steps:
        yield "To do:"
        yield from (f"  {step}" for step in steps)
