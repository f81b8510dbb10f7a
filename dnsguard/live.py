"""The command ``watch``: the status on the terminal, drawn anew when it changes."""

import sys
import time
from typing import NoReturn

from dnsguard import client, render
from dnsguard.errors import DnsguardError
from dnsguard.page import Page, page_for
from dnsguard.paths import Paths

PERIOD = 0.25
"""Seconds between two questions to the daemon; each costs both a millisecond."""
# The alternate screen without a cursor (xterm's ctlseqs: 1049, 25), as less(1) has it.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _TO_END_OF_LINE, _TO_END = "\x1b[H", "\x1b[K", "\x1b[J"


def watch(paths: Paths) -> int:
    """Draw until interrupted. Where no terminal is, each change is printed once."""
    if not sys.stdout.isatty():
        _print(paths)
    sys.stdout.write(_ENTER)
    try:
        _draw(paths)
    except KeyboardInterrupt:
        return 0
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()


def _draw(paths: Paths) -> NoReturn:
    shown = None
    while True:
        page = page_for(sys.stdout)
        text = _text(paths, page)
        if text != shown:
            lines = (line + _TO_END_OF_LINE for line in text.split("\n"))
            sys.stdout.write(_HOME + "\r\n".join(lines) + _TO_END)
            sys.stdout.flush()
            shown = text
        time.sleep(PERIOD)


def _print(paths: Paths) -> NoReturn:
    """Print each status that differs in more than the time that has passed."""
    shown: object = None
    while True:
        data = client.ask(paths.socket, "status")
        told = (data["mode"], data["because"], data["resolv_conf"], data["degraded"])
        if told != shown:
            print(time.strftime("%Y-%m-%d %H:%M:%S"), render.status(data), "", sep="\n", flush=True)
            shown = told
        time.sleep(PERIOD)


def _text(paths: Paths, page: Page) -> str:
    try:
        body = render.status(client.ask(paths.socket, "status"), page)
    except DnsguardError as error:
        body = page.row("", str(error), "bad")
    return f"{page.painted('dnsguard, ^C ends', 'dim')}\n\n{body}"
