"""The command ``plan``: what would be done now, decided by the same policy, applied by nobody."""

import argparse
import asyncio
from contextlib import closing, suppress
from dataclasses import replace
from typing import cast

from dnsguard import client, config, terminal
from dnsguard.core.decide import decide, decide_ahead
from dnsguard.errors import NoDaemonError
from dnsguard.guard import Guard
from dnsguard.paths import Paths
from dnsguard.reporting.encoding import to_json
from dnsguard.reporting.plan import PlanReport, describe
from dnsguard.reporting.status import Server
from dnsguard.reporting.survey import list_servers
from dnsguard.reporting.wire import PlanJson
from dnsguard.terminal import Line, Page

_PLAIN = Page()


def run(options: argparse.Namespace) -> int:
    paths = Paths(options.root)
    try:
        told: object = client.ask(paths.socket, "plan")
    except NoDaemonError:
        guard = Guard(paths, config.load(paths.config).policy, lambda _: None)
        told = to_json(asyncio.run(preview_alone(guard)))
    data = cast("PlanJson", told)
    if options.json:
        terminal.say_json(data)
    else:
        terminal.say(*render(data, terminal.stdout()))
    return 0


def render(data: PlanJson, page: Page = _PLAIN) -> tuple[Line, ...]:
    """Return the plan: why, what, and the diff."""
    when = f", after {data['later']:g} s" if data["later"] else ""
    rows = [page.fold(data["verdict"] + when)]
    if not data["daemon"]:
        rows.append(page.fold("No daemon runs: nobody does it until one does."))
    rows.append(page.fold(f"mode: {data['mode']}"))
    rows += [
        page.fold(f"{fact}: {value}", head="  ", hang=4)
        for fact, value in data["because"]
        if value != "done"
    ]
    rows += [page.fold(f"would {action}", hang=2) for action in data["actions"]]
    lines = [line for row in rows for line in row]
    if data["diff"]:
        lines += [Line(""), *map(Line, data["diff"].split("\n"))]
    return tuple(lines)


def list_alone(guard: Guard) -> tuple[Server, ...]:
    """Return the nameservers where no daemon runs: whom one would start with."""
    _take_in(guard)
    seen = guard.observe()
    memory, plan = decide(guard.memory, seen, guard.policy)
    return list_servers(memory, seen, plan, guard.policy)


def _take_in(guard: Guard) -> None:
    """Look at everything that is looked at without asking anybody."""
    # Here, not above: the daemon's first look must not wait for pyroute2.
    from dnsguard.host.addresses import Addresses, Unknown

    with suppress(OSError), closing(Addresses()) as addresses:
        bound = addresses.bound()
        guard.set_addresses(None if isinstance(bound, Unknown) else bound)
    guard.search()
    guard.refresh()


async def preview_alone(guard: Guard) -> PlanReport:
    """Return the plan where no daemon runs: look, ask, and decide as one would."""
    from dnsguard.prober import ask

    _take_in(guard)
    seen = guard.observe()
    memory = guard.memory
    memory, plan = decide(memory, seen, guard.policy)
    for _ in range(guard.policy.successes + 2):  # who is there, the streak, the proof
        asked = [ask(query, guard.policy) for query in plan.questions]
        if not asked:
            break
        answers = tuple(await asyncio.gather(*asked))
        seen = replace(guard.observe(), answers=answers)
        memory, plan = decide(memory, seen, guard.policy)
        if not plan.questions and memory.health.address is not None:
            await asyncio.sleep(guard.policy.fast)
            seen = guard.observe()
            memory, plan = decide(memory, seen, guard.policy)
    later = 0.0
    if plan.write is None:
        _, plan, later = decide_ahead(memory, replace(seen, answers=()), guard.policy)
    return describe(guard.paths, seen, plan, later, has_daemon=False)
