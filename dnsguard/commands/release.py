"""The command ``release``: root ends what is held."""

import argparse

from dnsguard import client, terminal
from dnsguard.commands.status import describe_outcome
from dnsguard.errors import DEGRADED
from dnsguard.paths import Paths


def run(options: argparse.Namespace) -> int:
    data = client.ask_status(Paths(options.root).socket, "release", by=client.operator())
    terminal.say(f"released: {data['mode']}; {describe_outcome(data)}")
    return DEGRADED if data["degraded"] else 0
