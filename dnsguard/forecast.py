"""``dnsguard forecast``: resolv.conf after the next renewal and after a reboot.

What dhclient will write is told by :mod:`dnsguard.core.forecast`, what becomes of it with
dnsguard is decided by the daemon's own policy. Only reads and asks, changes nothing.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, replace
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
from dnsguard.host import dhclient, inform
from dnsguard.host.addresses import Addresses, Unknown
from dnsguard.paths import Paths

POISONED = 2
"""The exit status where not even dnsguard knows a real nameserver."""
INFORM_TIMEOUT = 2.0
"""Seconds for the DHCP server to answer."""

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
        cluster=policy.cluster,
        wall=seen.wall,
    )
    hook_is_active = is_running and settings.takes_hook
    hazards = judge(node.dhclient, policy.cluster, hook_is_active=hook_is_active)
    return {
        "daemon": is_running,
        "maker": maker_of(node),
        "renewal": [_both(cycle, memory, one, is_boot=False) for one in renewals(node)],
        "reboot": [_both(cycle, memory, one, is_boot=True) for one in reboots(node)],
        "hazards": [asdict(hazard) for hazard in hazards],
        "at": round(time.time(), 3),
    }


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


def _both(cycle: Cycle, memory: Memory, future: Future, *, is_boot: bool) -> Json:
    """Return a future without and with dnsguard.

    Where the text can't be told, dnsguard is given the worst: cluster addresses alone.
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
    after, plan = decide(memory, seen, policy)
    left = next((one.content for one in plan.actions if isinstance(one, ReplaceFile)), text)

    def is_poisoned(content: bytes) -> bool:
        reading = read(content, border)
        return bool(reading.poison) or not reading.real

    is_handed_over = after.mode is Mode.HANDED_OVER
    return {
        "interface": future.interface,
        "because": [list(pair) for pair in future.because],
        "without": _file(future.text)
        | {"poisoned": None if future.text is None else is_poisoned(text)},
        "with": _file(None if future.text is None else left)
        | {
            "nameservers": _nameservers(left),
            "mode": plan.mode,
            "because": [list(pair) for pair in plan.because],
            "poisoned": not is_handed_over and is_poisoned(left),
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


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    if not data["daemon"]:
        yield "No daemon runs: until one does, it will be as without dnsguard."
        yield ""
    for key, title in _EVENTS:
        for future in data[key]:
            yield title + (f" ({future['interface']})" if future["interface"] else "") + ":"
            yield from _future(future)
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


def _future(future: Mapping[str, Any]) -> Iterator[str]:
    without, guarded = future["without"], future["with"]
    for fact, value in future["because"]:
        yield f"  {fact}: {value}"
    if without["text"] is None:
        yield "  without dnsguard: can't be told"
        servers = ", ".join(guarded["nameservers"]) or "none"
        yield f"  with dnsguard, whatever comes, at least: {servers}"
    else:
        yield "  without dnsguard: " + ("POISONED" if without["poisoned"] else "fine")
        yield from _indented(without["text"])
        is_same = guarded["text"] == without["text"]
        yield "  with dnsguard: " + _verdict(guarded) + (", the same" if is_same else "")
        yield from () if is_same else _indented(guarded["text"])
    yield f"      upstream: {dict(guarded['because'])['upstream']}"
    for caveat in future["caveats"]:
        yield f"  but {caveat}"


def _verdict(guarded: Mapping[str, Any]) -> str:
    if guarded["poisoned"]:
        return "POISONED: set upstream.servers in /etc/dnsguard/dnsguard.toml"
    return "NodeLocalDNS answers" if guarded["mode"] == Mode.HANDED_OVER else "fine"


def _indented(text: str) -> Iterator[str]:
    for line in text.removesuffix("\n").split("\n"):
        yield f"      {line}"
