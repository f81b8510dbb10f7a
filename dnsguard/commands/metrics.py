"""The command ``metrics``: the metrics as Prometheus reads them."""

import argparse

from dnsguard import client, terminal
from dnsguard.formats.prometheus import write_text
from dnsguard.paths import Paths


def run(options: argparse.Namespace) -> int:
    families = client.ask(Paths(options.root).socket, "metrics")["families"]
    assert isinstance(families, list)  # noqa: S101 -- the protocol's version says so
    terminal.say(*write_text(families).decode().removesuffix("\n").split("\n"))
    return 0
