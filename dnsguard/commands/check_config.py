"""The command ``check-config``: whether the configuration can be used."""

import argparse

from dnsguard import config, terminal
from dnsguard.errors import UsageError
from dnsguard.paths import Paths


def run(options: argparse.Namespace) -> int:
    path = options.file or Paths(options.root).config
    if options.file is not None and not path.exists():
        raise UsageError(f"{path}: no such file")
    config.load(path)
    is_there = path.exists()
    terminal.say(f"{path}: fine" if is_there else f"{path}: not there, the defaults are used")
    return 0
