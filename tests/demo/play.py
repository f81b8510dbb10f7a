"""The demo as a program: where the story is told, and how it ends."""

import os
from contextlib import ExitStack, closing
from pathlib import Path

from demo import namespaces
from demo.net import Net
from demo.node import UnexpectedError, node
from demo.screen import Screen
from demo.setting import PRIVATE, SCRATCH, Setting, is_scratch_possible, scratch
from demo.story import Story
from dnsguard import terminal
from dnsguard.errors import DnsguardError, OutputError


def main() -> int:
    """Play it, and return the exit status as dnsguard's own commands have it."""
    terminal.open_streams()
    try:
        play()
    except OutputError as error:
        terminal.finish(error)
        return error.status
    except DnsguardError as error:
        terminal.complain(str(error))
        return error.status
    except KeyboardInterrupt:
        return 130
    return 0


def play() -> None:
    """Play it in new namespaces, or where there are none, on this machine's loopback addresses.

    :raises DnsguardError: neither can be had, or it went otherwise; the log is shown then.
    """
    try:
        root = namespaces.enter()
    except namespaces.NoNamespacesError:
        if not is_scratch_possible():
            raise
        _play(scratch(), SCRATCH)
    else:
        _play(root, PRIVATE)


def _play(root: Path, setting: Setting) -> None:
    os.chdir(root)  # Python looks for modules where it is started (-m)
    with ExitStack() as stack:
        made = stack.enter_context(node(root, setting))
        net = None
        if setting.is_private:
            net = Net(nodelocal=setting.nodelocal, upstream=setting.upstream)
            stack.enter_context(closing(net))
        story = Story(made, setting, net, Screen())
        try:
            story.tell()
        except UnexpectedError:
            story.screen.quote("the daemon's log:", made.log_lines())
            raise
