"""The command ``demo``: the incident, replayed."""

import argparse

from dnsguard.demo import demo


def run(_: argparse.Namespace) -> int:
    return demo()
