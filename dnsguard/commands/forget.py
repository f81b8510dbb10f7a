"""The command ``forget``: root drops a remembered nameserver."""

import argparse

from dnsguard import client, terminal
from dnsguard.commands.status import Data, describe_outcome
from dnsguard.errors import DEGRADED
from dnsguard.paths import Paths


def run(options: argparse.Namespace) -> int:
    address, by = options.address, client.operator()
    data = client.ask(Paths(options.root).socket, "forget", address=address, by=by)
    terminal.say(render(data, address))
    return DEGRADED if data["degraded"] else 0


def render(data: Data, address: str) -> str:
    """Return the one line that answers."""
    named = data["named_by"]
    why = f", but {named} names it" if named else ""
    return f"forgotten: {address}{why}; {describe_outcome(data)}"
