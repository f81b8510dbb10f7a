"""The command ``hold``: root pins who serves the node."""

import argparse

from dnsguard import client, terminal
from dnsguard.commands.status import describe_end, describe_outcome
from dnsguard.errors import DEGRADED
from dnsguard.paths import Paths
from dnsguard.reporting.wire import StatusJson


def run(options: argparse.Namespace) -> int:
    wish = {"serves": options.serves, "seconds": options.seconds, "by": client.operator()}
    data = client.ask_status(Paths(options.root).socket, "hold", **wish)
    terminal.say(render(data))
    return DEGRADED if data["degraded"] else 0


def render(data: StatusJson) -> str:
    """Return the one line that answers."""
    hold = data["hold"]
    if hold is None:
        return f"the hold has expired; {describe_outcome(data)}"
    return f"held to {hold['serves']}, {describe_end(hold)}; {describe_outcome(data)}"
