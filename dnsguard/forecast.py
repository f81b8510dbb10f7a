"""``dnsguard forecast``: resolv.conf after the next renewal and after a reboot.

What dhclient will write is told by :mod:`dnsguard.core.forecast`, what becomes of it with
dnsguard is decided by the daemon's own policy. Only reads and asks, changes nothing.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dnsguard import client, config, page, query
from dnsguard.config import Config
from dnsguard.core import resolvconf
from dnsguard.core.decide import decide, draw_border
from dnsguard.core.fight import Fight
from dnsguard.core.forecast import Future, Node, maker_of, reboots, renewals
from dnsguard.core.hazards import judge
from dnsguard.core.health import Health
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import FileSeen, Identity, Mode, ReplaceFile
from dnsguard.core.offer import Offer
from dnsguard.core.rewrite import read
from dnsguard.core.sources.dhcp import Reply
from dnsguard.cycle import Cycle
from dnsguard.errors import DnsguardError
from dnsguard.host import dhclient, inform, units
from dnsguard.host.addresses import Addresses, Unknown
from dnsguard.host.files import unwritable
from dnsguard.host.units import State
from dnsguard.paths import Paths
from dnsguard.preview import decide_in_the_end

POISONED = 2
"""The exit status where not even dnsguard knows a real nameserver."""
INFORM_TIMEOUT = 2.0
"""Seconds for the DHCP server to answer."""

_OFF = (State.DISABLED, State.MASKED)
_MAKERS = {
    "NetworkManager": "NetworkManager.service",
    "systemd-resolved": "systemd-resolved.service",
}
"""Who would make resolv.conf anew after dhclient. Kubespray keeps their header in the file, and
images are made with it, where they are not even installed."""
_POISONED, _UNTOLD = "POISONED", "can't be told"
_EMPTY, _FINE = "NO NAMESERVER", "fine"
_PLAIN = page.Page()
Json = dict[str, Any]
_EVENTS = (
    ("renewal", "After the next DHCP renewal"),
    ("reboot", "After a reboot"),
)


def run(paths: Paths, as_json: bool) -> int:  # noqa: FBT001 -- the command line's option
    """Print the forecast; 2 if a future is poisoned even with dnsguard."""
    settings = config.load(paths.config)
    data = asyncio.run(foresee(paths, settings))
    if as_json:
        page.say_json(data)
    else:
        page.say(*render(data, page.stdout()))
    futures = (*data["renewal"], *data["reboot"])
    return POISONED if any(future["with"]["poisoned"] for future in futures) else 0


async def foresee(paths: Paths, settings: Config) -> Json:
    """Look, ask, and return the forecast as data."""
    cycle = Cycle(paths, settings.policy, lambda _: None)
    is_running = _is_running(paths)
    cycle.refresh()
    policy = cycle.policy
    memory = await _consult(cycle)
    seen = cycle.observe()
    node = Node(
        dhclient=dhclient.look(paths.root),
        running=dhclient.running(paths.root),
        content=seen.file.content,
        link=seen.file.link,
        offers={
            name: _offer(one.told) for name, one in memory.informs.items() if one.told is not None
        },
        absent=frozenset(
            name for name, unit in _MAKERS.items() if not _is_started(paths.root, unit)
        ),
        cluster=policy.cluster,
        configured=dhclient.configured(paths.root),
        unwritable=unwritable(paths.resolv_conf),
        wall=seen.wall,
    )
    unit = unit_at_boot(paths.root)
    starts = unit in (State.ENABLED, State.ABSENT)
    hook_is_active = is_running and settings.takes_hook
    hazards = judge(node.dhclient, policy.cluster, hook_is_active=hook_is_active)
    data = {
        "daemon": is_running,
        "unit": unit,
        "maker": maker_of(node),
        "immutable": node.unwritable,
        "renewal": [
            _both(cycle, memory, one, is_boot=False, can_act=node.unwritable is None)
            for one in renewals(node)
        ],
        "reboot": [
            _both(cycle, memory, one, is_boot=True, can_act=starts and node.unwritable is None)
            for one in reboots(node)
        ],
        "hazards": [asdict(hazard) for hazard in hazards],
        "at": round(time.time(), 3),
    }
    return {"verdict": verdict(data), **data}


def _is_started(root: Path, unit: str) -> bool:
    return units.state(root, unit) is State.ENABLED


def unit_at_boot(root: Path) -> State:
    """Return whether dnsguard is started at boot; dnsguard-wait pulls it in, too."""
    found = units.state(root, "dnsguard.service")
    waits = units.state(root, "dnsguard-wait.service") is State.ENABLED
    return State.ENABLED if found is State.DISABLED and waits else found


def _is_running(paths: Paths) -> bool:
    with suppress(DnsguardError):
        client.ask(paths.socket, "status")
        return True
    return False


async def _consult(cycle: Cycle) -> Memory:
    """Return what the daemon would know by now: whom it knows, and who of them answers."""
    with suppress(OSError), closing(Addresses()) as addresses:
        bound = addresses.bound()
        cycle.bind(None if isinstance(bound, Unknown) else bound)
    memory, plan = decide(cycle.memory, cycle.observe(), cycle.policy)
    for _ in range(cycle.policy.successes + 2):  # who is there, the streak, the proof
        if not (plan.questions or plan.informs):
            break
        asked = [query.ask(one, cycle.policy) for one in plan.questions]
        told = [inform.ask(lease, timeout=INFORM_TIMEOUT) for lease in plan.informs]
        answers, informed = await asyncio.gather(asyncio.gather(*asked), asyncio.gather(*told))
        seen = replace(cycle.observe(), answers=tuple(answers), informed=tuple(informed))
        memory, plan = decide(memory, seen, cycle.policy)
        if not plan.questions and memory.health.address is not None:
            await asyncio.sleep(cycle.policy.fast)
            memory, plan = decide(memory, cycle.observe(), cycle.policy)
    return memory


def _offer(reply: Reply) -> Offer:
    return Offer(nameservers=reply.nameservers, domain=reply.domain, search=reply.search)


def _both(cycle: Cycle, memory: Memory, future: Future, *, is_boot: bool, can_act: bool) -> Json:
    """Return a future without and with dnsguard.

    Where the text can't be told, dnsguard is given the worst: cluster addresses alone.

    :param can_act: dnsguard is started, and able to write the file.
    """
    policy, seen = cycle.policy, cycle.observe()
    worst = b"".join(b"nameserver %s\n" % str(one).encode() for one in policy.nodelocal)
    text = worst if future.text is None else future.text
    memory = replace(memory, fight=Fight(), written=None, records=())
    if is_boot:
        # NodeLocalDNS isn't up yet: its address comes with its pod.
        memory = replace(memory, health=Health(), serves=Serves.UPSTREAM, mode_since=None)
        bound = (memory.bound or frozenset()) - frozenset(policy.nodelocal)
        seen = replace(seen, bound=bound, hold=None)
    identity = Identity(device=0, inode=0, size=len(text), mtime_ns=0, ctime_ns=0)
    seen = replace(seen, file=FileSeen(content=text, identity=identity), records=())
    border = draw_border(memory, seen, policy)
    after, plan, _ = decide_in_the_end(memory, seen, policy)
    left = next((one.content for one in plan.actions if isinstance(one, ReplaceFile)), text)
    left = left if can_act else text

    def is_poisoned(content: bytes) -> bool:
        reading = read(content, border)
        return bool(reading.poison) or not reading.real

    is_handed_over = after.mode is Mode.HANDED_OVER and can_act
    is_told = can_act or future.text is not None
    return {
        "interface": future.interface,
        "because": [list(pair) for pair in future.because],
        "without": _file(future.text)
        | {"poisoned": None if future.text is None else is_poisoned(text)},
        "with": _file(None if future.text is None else left)
        | {
            "nameservers": _nameservers(left) if is_told else None,
            "mode": plan.mode,
            "because": [list(pair) for pair in plan.because],
            "poisoned": not is_handed_over and is_poisoned(left) if is_told else None,
        },
        "caveats": list(future.caveats),
    }


def _file(content: bytes | None) -> Json:
    if content is None:
        return {"text": None, "nameservers": None}
    text = content.decode("utf-8", "backslashreplace")
    return {"text": text, "nameservers": _nameservers(content)}


def _nameservers(content: bytes) -> list[str]:
    return [str(server.address) for server in resolvconf.nameservers(content) if server.glibc]


def render(data: Mapping[str, Any], layout: page.Page = _PLAIN) -> tuple[page.Line, ...]:
    """Return the forecast's lines for people."""
    return tuple(one for line in _lines(data) for one in layout.indented(line))


def verdict(data: Mapping[str, Any]) -> str:
    """Return in a line what comes, as the node is now, and what dnsguard has to do with it."""
    is_kept = {"renewal": data["daemon"], "reboot": data["unit"] in _STARTED[data["daemon"]]}
    with_it = {key: _worst([one["with"] for one in data[key]]) for key in is_kept}
    without = {key: _worst([one["without"] for one in data[key]]) for key in is_kept}
    comes = {key: (with_it if is_kept[key] else without)[key] for key in is_kept}
    said = "; ".join(f"{key}: {state}" for key, state in comes.items())
    others = [
        f"{'without' if is_kept[key] else 'with'} dnsguard: {other}"
        for key in is_kept
        for other in [(without if is_kept[key] else with_it)[key]]
        if other != comes[key]
    ]
    return said + (f" ({'; '.join(dict.fromkeys(others))})" if others else "")


_STARTED = {True: (State.ENABLED, State.ABSENT), False: (State.ENABLED,)}
"""What dnsguard's unit is where a boot starts it, by whether it runs now: one that runs and
whose unit nobody knows is started by something else."""


def _worst(files: Sequence[Mapping[str, Any]]) -> str:
    states = {_state(one) for one in files}
    return next(one for one in (_POISONED, _EMPTY, _UNTOLD, _FINE) if one in states)


def _state(file: Mapping[str, Any]) -> str:
    if file["poisoned"] is None:
        return _UNTOLD
    if not file["poisoned"]:
        return _FINE
    return _POISONED if file["nameservers"] else _EMPTY


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    yield data["verdict"]
    if not data["daemon"]:
        yield "No daemon runs: until one does, it will be as without dnsguard."
    if data["unit"] in _OFF:
        remedy = "unmask" if data["unit"] == State.MASKED else "enable"
        yield f"dnsguard.service is {data['unit']}, no boot starts it: systemctl {remedy} dnsguard"
    if data["immutable"]:
        yield f"Nobody can write it, dnsguard neither: {data['immutable']}"
    yield ""
    for key, title in _EVENTS:
        for future in data[key]:
            yield title + (f" ({future['interface']})" if future["interface"] else "") + ":"
            can_act = not data["immutable"] and (key == "renewal" or data["unit"] not in _OFF)
            yield from _future(future, can_act=can_act)
            yield ""
    if data["hazards"]:
        yield "Dangers in dhclient's files:"
    for hazard in data["hazards"]:
        where = f" (interface {hazard['interface']})" if hazard["interface"] else ""
        yield f"  {hazard['path']}:{hazard['line']}: {hazard['what']}{where}"
        why = hazard["why"]
        yield f"      {why if hazard['defused'] else f'not blocked: {why}'}"
    if not data["hazards"]:
        yield "No danger in dhclient's files."


def _future(future: Mapping[str, Any], *, can_act: bool) -> Iterator[str]:
    without, guarded = future["without"], future["with"]
    for fact, value in future["because"]:
        yield f"  {fact}: {value}"
    if without["text"] is None:
        yield f"  without dnsguard: {_UNTOLD}"
        servers = ", ".join(guarded["nameservers"] or ()) or "none"
        if guarded["poisoned"] is None:
            yield f"  with dnsguard as it is: {_UNTOLD}"
        else:
            yield f"  with dnsguard, whatever comes, at least: {servers}"
    else:
        yield f"  without dnsguard: {_state(without)}"
        yield from _indented(without["text"])
        is_same = guarded["text"] == without["text"]
        yield (
            "  with dnsguard: "
            + _verdict(guarded, can_act=can_act)
            + (", the same" if is_same else "")
        )
        yield from () if is_same else _indented(guarded["text"])
    yield f"      upstream: {dict(guarded['because'])['upstream']}"
    for caveat in future["caveats"]:
        yield f"  but {caveat}"


def _verdict(guarded: Mapping[str, Any], *, can_act: bool) -> str:
    if guarded["poisoned"]:
        remedy = ": set upstream.servers in /etc/dnsguard/dnsguard.toml" if can_act else ""
        return _state(guarded) + remedy
    return "NodeLocalDNS answers" if guarded["mode"] == Mode.HANDED_OVER else _FINE


def _indented(text: str) -> Iterator[str]:
    for line in text.removesuffix("\n").split("\n"):
        yield f"      {line}"
