"""The command ``check-config``: whether the configuration can be used."""

import argparse

from dnsguard import config, terminal
from dnsguard.errors import UsageError
from dnsguard.paths import Paths


def run(options: argparse.Namespace) -> int:
    path = options.file or Paths(options.root).config
    config.load(path)  # first: exists() raises where there is no way in (EACCES)
    is_there = path.exists()
    if options.file is not None and not is_there:
        raise UsageError(f"{path}: no such file")
    terminal.say(f"{path}: fine" if is_there else f"{path}: not there, the defaults are used")
    return 0
