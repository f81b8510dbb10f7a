"""The command ``plan``: what would be done now, decided by the same policy, applied by nobody."""

import argparse
import asyncio
from typing import cast

from dnsguard import client, config, terminal
from dnsguard.core.decide import decide_ahead
from dnsguard.errors import NoDaemonError
from dnsguard.guard import Guard
from dnsguard.page import Line, Page
from dnsguard.paths import Paths
from dnsguard.reporting.encoding import to_json
from dnsguard.reporting.plan import PlanReport, describe
from dnsguard.reporting.wire import PlanJson
from dnsguard.reporting.words import describe_nodelocal, split_state

_PLAIN = Page()


def run(options: argparse.Namespace) -> int:
    paths = Paths(options.root)
    try:
        told: object = client.ask(paths.socket, "plan")
    except NoDaemonError:
        guard = Guard(paths, config.load(paths.config).policy, lambda _: None)
        told = to_json(asyncio.run(preview(guard)))
    data = cast("PlanJson", told)
    if options.json:
        terminal.say_json(data)
    else:
        terminal.say(*render(data, terminal.find_page()))
    return 0


def render(data: PlanJson, page: Page = _PLAIN) -> tuple[Line, ...]:
    """Return the plan: why, what, and the diff."""
    when = f", after {data['later']:g} s" if data["later"] else ""
    rows = [page.fold(data["verdict"] + when)]
    if not data["daemon"]:
        alone = "No daemon runs" + (": nobody does it until one does" if data["actions"] else "")
        rows.append(page.fold(f"{alone}."))
    rows.append(page.fold(f"mode: {data['mode']}"))
    rows += [
        page.fold(f"{fact}: {_describe_fact(fact, value)}", head="  ", hang=4)
        for fact, value in data["because"]
        if value != "done"
    ]
    rows += [page.fold(f"would {action}", hang=2) for action in data["actions"]]
    lines = [line for row in rows for line in row]
    if data["diff"]:
        lines += [Line(""), *map(Line, data["diff"].split("\n"))]
    return tuple(lines)


def _describe_fact(fact: str, value: str) -> str:
    return describe_nodelocal(*split_state(value)) if fact == "nodelocal" else value


async def preview(guard: Guard) -> PlanReport:
    """Return the plan where no daemon runs."""
    # Here, not above: with a daemon, neither pyroute2 nor dnspython is needed.
    from dnsguard import dry_run

    known = await dry_run.ask(guard)
    plan, later = known.plan, 0.0
    if plan.write is None:
        _, plan, later = decide_ahead(known.memory, known.seen, guard.policy)
    return describe(guard.paths, known.seen, plan, later, has_daemon=False)
