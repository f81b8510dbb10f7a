"""``dnsguard forecast``: resolv.conf after the next renewal and after a reboot.

What dhclient will write is told by :mod:`~dnsguard.commands.forecast.renewal` and
:mod:`~dnsguard.commands.forecast.reboot`, what becomes of it with dnsguard is decided by
the daemon's own policy. Only reads and asks, changes nothing.
"""

import argparse
import asyncio
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dnsguard import client, config, dry_run, terminal
from dnsguard.commands.forecast.future import ForecastInput, Future, find_maker
from dnsguard.commands.forecast.reboot import foresee_reboots
from dnsguard.commands.forecast.renewal import foresee_renewals
from dnsguard.commands.forecast.text import make_verdict, render
from dnsguard.config import Config
from dnsguard.core.backoff import RepairBackoff
from dnsguard.core.choice import sort_nameservers
from dnsguard.core.decide import decide_ahead
from dnsguard.core.eligibility import find_exclusions
from dnsguard.core.health import Health
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import Mode
from dnsguard.core.observation import FileObservation, Identity, Observation, Resolved
from dnsguard.core.plan import ReplaceFile
from dnsguard.core.policy import Policy
from dnsguard.dry_run import DryRun
from dnsguard.errors import DnsguardError
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.hazards import judge
from dnsguard.formats.dhclient.offer import Offer
from dnsguard.formats.dhcp import Reply
from dnsguard.guard import Guard
from dnsguard.host import dhclient, dhclient_processes, units
from dnsguard.host.files import explain_unwritable
from dnsguard.host.units import State
from dnsguard.paths import Paths

POISONED = 2
"""The exit status where not even dnsguard knows a real nameserver."""

_MAKERS = {
    "NetworkManager": "NetworkManager.service",
    "systemd-resolved": "systemd-resolved.service",
}
"""Who would make resolv.conf anew after dhclient. Kubespray keeps their header in the file, and
images are made with it, where they are not even installed."""
Json = dict[str, Any]


def run(options: argparse.Namespace) -> int:
    """Print the forecast; 2 if a future is poisoned even with dnsguard."""
    paths = Paths(options.root)
    settings = config.load(paths.config)
    data = asyncio.run(foresee(paths, settings))
    if options.json:
        terminal.say_json(data)
    else:
        terminal.say(*render(data, terminal.find_page()))
    futures = (*data["renewal"], *data["reboot"])
    return POISONED if any(future["with"]["poisoned"] for future in futures) else 0


async def foresee(paths: Paths, settings: Config) -> Json:
    """Look, ask, and return the forecast as data."""
    guard = Guard(paths, settings.policy, lambda _: None)
    is_running = _is_running(paths)
    known = await dry_run.ask(guard)
    node = _collect(guard, known)
    unit = find_state_at_boot(paths.root)
    starts = unit in (State.ENABLED, State.ABSENT)
    hook_is_active = is_running and settings.takes_hook
    hazards = judge(node.dhclient, node.cluster, hook_is_active=hook_is_active)
    can_write = node.unwritable is None
    data = {
        "daemon": is_running,
        "unit": unit,
        "maker": find_maker(node),
        "immutable": node.unwritable,
        "renewal": [
            _compare(guard, known, one, is_boot=False, can_act=can_write)
            for one in foresee_renewals(node)
        ],
        "reboot": [
            _compare(guard, known, one, is_boot=True, can_act=starts and can_write)
            for one in foresee_reboots(node)
        ],
        "hazards": [asdict(hazard) for hazard in hazards],
        "at": round(time.time(), 3),
    }
    return {"verdict": make_verdict(data), **data}


def _is_started(root: Path, unit: str) -> bool:
    return units.find_state(root, unit) is State.ENABLED


def find_state_at_boot(root: Path) -> State:
    """Return whether dnsguard is started at boot; dnsguard-wait pulls it in, too."""
    found = units.find_state(root, "dnsguard.service")
    waits = units.find_state(root, "dnsguard-wait.service") is State.ENABLED
    return State.ENABLED if found is State.DISABLED and waits else found


def _is_running(paths: Paths) -> bool:
    with suppress(DnsguardError):
        client.ask(paths.socket, "status")
        return True
    return False


def _collect(guard: Guard, known: DryRun) -> ForecastInput:
    root, seen = guard.paths.root, known.seen
    return ForecastInput(
        dhclient=dhclient.find_dhclient(root),
        running=dhclient_processes.find_running(root),
        content=seen.file.content,
        link=seen.file.link,
        offers={
            name: _make_offer(one.told)
            for name, one in known.memory.dhcp_answers.items()
            if one.told is not None
        },
        absent=frozenset(name for name, unit in _MAKERS.items() if not _is_started(root, unit)),
        cluster=guard.policy.cluster,
        configured=dhclient_processes.find_configured(root),
        resolved=None if seen.resolved is None else _find_asked(seen.resolved),
        unwritable=explain_unwritable(guard.paths.resolv_conf),
        wall=seen.wall,
    )


def _find_asked(own: Resolved) -> tuple[IPAddress, ...]:
    brought = (one for one in own.asks or () if one not in own.told)
    return tuple(dict.fromkeys((*own.configured.servers, *own.links, *brought)))


def _make_offer(reply: Reply) -> Offer:
    return Offer(nameservers=reply.nameservers, domain=reply.domain, search=reply.search)


def _compare(guard: Guard, known: DryRun, future: Future, *, is_boot: bool, can_act: bool) -> Json:
    """Return a future without and with dnsguard.

    Where the text can't be told, dnsguard is given the worst: cluster addresses alone.

    :param can_act: dnsguard is started, and able to write the file.
    """
    policy = guard.policy
    worst = b"".join(b"nameserver %s\n" % str(one).encode() for one in policy.nodelocal)
    text = worst if future.text is None else future.text
    memory, seen = _imagine(known, policy, text, is_boot=is_boot)
    exclusions = find_exclusions(memory, seen, policy)
    after, plan, _ = decide_ahead(memory, seen, policy)
    written = plan.write.content if isinstance(plan.write, ReplaceFile) else text
    left = written if can_act else text

    def is_poisoned(content: bytes) -> bool:
        reading = sort_nameservers(content, exclusions)
        return bool(reading.poison) or not reading.real

    is_handed_over = after.mode is Mode.HANDED_OVER and can_act
    is_told = can_act or future.text is not None
    return {
        "interface": future.interface,
        "because": [list(pair) for pair in future.because],
        "without": _describe_file(future.text)
        | {"poisoned": None if future.text is None else is_poisoned(text)},
        "with": _describe_file(None if future.text is None else left)
        | {
            "nameservers": _list_nameservers(left) if is_told else None,
            "mode": plan.mode,
            "because": [list(pair) for pair in plan.because],
            "poisoned": not is_handed_over and is_poisoned(left) if is_told else None,
        },
        "caveats": list(future.caveats),
    }


def _imagine(
    known: DryRun, policy: Policy, text: bytes, *, is_boot: bool
) -> tuple[Memory, Observation]:
    """Return what a daemon would know and see with this text in the file."""
    memory = replace(known.memory, fight=RepairBackoff(), written=None, records=())
    identity = Identity(device=0, inode=0, size=len(text), mtime_ns=0, ctime_ns=0)
    file = FileObservation(content=text, identity=identity)
    seen = replace(known.seen, file=file, records=())
    if is_boot:
        # NodeLocalDNS isn't up yet: its address comes with its pod.
        memory = replace(memory, health=Health(), serves=Serves.UPSTREAM, mode_since=None)
        bound = (memory.bound or frozenset()) - frozenset(policy.nodelocal)
        seen = replace(seen, bound=bound, hold=None)
    return memory, seen


def _describe_file(content: bytes | None) -> Json:
    if content is None:
        return {"text": None, "nameservers": None}
    text = content.decode("utf-8", "backslashreplace")
    return {"text": text, "nameservers": _list_nameservers(content)}


def _list_nameservers(content: bytes) -> list[str]:
    return [str(server.address) for server in resolvconf.read_nameservers(content) if server.glibc]
