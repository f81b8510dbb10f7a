"""The command ``forget``: root drops a remembered nameserver."""

import argparse
from typing import cast

from dnsguard import client, terminal
from dnsguard.commands.status import describe_outcome
from dnsguard.errors import DEGRADED
from dnsguard.paths import Paths
from dnsguard.reporting.wire import StatusJson


class ForgottenJson(StatusJson):
    """The status, and what else names the server."""

    named_by: str | None


def run(options: argparse.Namespace) -> int:
    address, by = options.address, client.operator()
    data = client.ask_status(Paths(options.root).socket, "forget", address=address, by=by)
    terminal.say(render(cast("ForgottenJson", data), address))
    return DEGRADED if data["degraded"] else 0


def render(data: ForgottenJson, address: str) -> str:
    """Return the one line that answers."""
    named = data["named_by"]
    why = f", but {named} names it" if named else ""
    return f"forgotten: {address}{why}; {describe_outcome(data)}"
