"""The command ``watch``: the status on the terminal, drawn anew when it changes."""

import argparse
import time
from contextlib import suppress
from typing import NoReturn

from dnsguard import client, terminal
from dnsguard.commands import status
from dnsguard.errors import DnsguardError
from dnsguard.page import Line, Page
from dnsguard.paths import Paths
from dnsguard.screen import Screen

PERIOD = 0.25
"""Seconds between two questions to the daemon; each costs both a millisecond."""


def run(options: argparse.Namespace) -> int:
    """Draw until ``q`` or ^C. Where no terminal is, each change is printed once."""
    paths = Paths(options.root)
    if terminal.find_page().width is None:
        _print(paths)
    with Screen() as screen, suppress(KeyboardInterrupt):
        screen.draw(_lines(paths, terminal.find_page()))
        while not screen.is_left(PERIOD):
            screen.draw(_lines(paths, terminal.find_page()))
    return 0


def _print(paths: Paths) -> NoReturn:
    """Print each status that differs in more than the time that has passed.

    :raises DnsguardError: there is no status at first; later the daemon may be restarted.
    """
    shown: object = None
    while True:
        told, lines = _ask(paths, is_first=shown is None)
        if told != shown:
            terminal.say(time.strftime("%Y-%m-%d %H:%M:%S"), *lines, "")
            terminal.flush()
            shown = told
        terminal.wait(PERIOD)


def _ask(paths: Paths, *, is_first: bool) -> tuple[object, tuple[Line, ...]]:
    """Return what makes a status another one, and its lines."""
    try:
        data = client.ask_status(paths.socket)
    except DnsguardError as error:
        if is_first:
            raise
        return str(error), (Line(str(error)),)
    told = (data["mode"], data["because"], data["resolv_conf"], data["degraded"])
    return told, status.render(data)


def _lines(paths: Paths, layout: Page) -> tuple[Line, ...]:
    try:
        body = status.render(client.ask_status(paths.socket), layout)
    except DnsguardError as error:
        body = layout.row("", str(error), "bad")
    return (*body, Line("q ends", "dim"))
