"""The command line. Imports nothing heavy: each command fetches what it needs.

Exit statuses: 0 fine, 1 can't tell (no daemon), 2 degraded, 64 usage, 74 output, 77 not
permitted, 78 configuration; 130 and 141 as a shell has it for SIGINT and SIGPIPE.
"""

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from dnsguard import __version__, terminal
from dnsguard.errors import (
    DnsguardError,
    OutputError,
    UsageError,
)
from dnsguard.formats.timespan import parse

_PACKAGES = {"dns": "dnspython"}
"""Where Debian's package is not called like its module."""


class _Parser(argparse.ArgumentParser):
    """argparse, with one line and sysexits.h's EX_USAGE instead of two and 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")

    def _print_message(self, message: str, file: object = None) -> None:  # noqa: ARG002
        """``--help`` and ``--version``, which argparse would write by itself."""
        terminal.say(*message.rstrip("\n").split("\n"))


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dnsguard", description="Guards /etc/resolv.conf; see dnsguard(8).")
    parser.add_argument("--version", action="version", version=f"dnsguard {__version__}")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="use the files below DIR"
    )
    commands = parser.add_subparsers(
        metavar="COMMAND", dest="command", required=True, parser_class=_Parser
    )

    def add(name: str, about: str) -> _Parser:
        command: _Parser = commands.add_parser(name, help=about, description=about)
        command.set_defaults(module=name.replace("-", "_"))
        return command

    add("run", "run the daemon in the foreground")
    status = add("status", "show what the daemon sees and does")
    status.add_argument("--json", action="store_true", help="as JSON")
    about = "show everything, also what says nothing new on this node"
    status.add_argument("-v", "--verbose", action="store_true", help=about)
    status.add_argument("--wait", choices=_STATES, help="first wait for this state")
    _add_timeout(status)
    add("watch", "show the status, and redraw it when it changes")
    add("check", "say in one line whether all is well, for monitoring")
    _add_timeout(add("wait", "wait until an upstream has answered and is in the file"))
    hold = add("hold", "pin who serves the node; root only")
    hold.add_argument("serves", choices=("upstream", "nodelocal"), help="who stands first")
    about = "end on its own after this time: 90s, 30m, 1h 30min"
    hold.add_argument("--for", dest="seconds", type=_parse_timespan, metavar="TIME", help=about)
    add("release", "end a hold; root only")
    forget = add("forget", "drop a remembered nameserver; root only")
    forget.add_argument("address", metavar="ADDRESS", help="as dnsguard upstreams shows it")
    events = add("events", "show what happened, from the journal")
    events.add_argument("--follow", action="store_true", help="and what happens from now on")
    events.add_argument("--since", metavar="WHEN", help="only from then on: see systemd.time(7)")
    events.add_argument("--json", action="store_true", help="one JSON object a line")
    add("metrics", "print the metrics as Prometheus reads them")
    restore = add("restore", "put back what somebody else wrote last; without a daemon")
    restore.add_argument("--yes", action="store_true", help="without asking")
    for name, about in (
        ("plan", "show what would be done now and why; changes nothing"),
        ("upstreams", "list every known nameserver, and ask each of them"),
        ("forecast", "show what DHCP and a reboot would make of resolv.conf"),
    ):
        add(name, about).add_argument("--json", action="store_true", help="as JSON")
    kubelet = add("kubelet", "show which resolv.conf kubelet hands to pods")
    kubelet.add_argument("--json", action="store_true", help="as JSON")
    about = "point kubelet at the file that dnsguard keeps for pods"
    adopt = kubelet.add_subparsers(metavar="adopt", parser_class=_Parser).add_parser(
        "adopt", help=about, description=about
    )
    adopt.set_defaults(module="adopt")
    for name, about in (
        ("--dry-run", "show the change, make none"),
        ("--undo", "take the change back"),
        ("--restart", "restart kubelet then"),
    ):
        adopt.add_argument(name, action="store_true", help=about)
    doctor = add("doctor", "find the DNS loops that exist on this node now")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    secure = add("secure", "make resolv.conf safe from what is known, then exit")
    about = "and put a manager's link back, wherever it leads: dnsguard is being removed"
    secure.add_argument("--give-link-back", action="store_true", help=about)
    check = add("check-config", "check the configuration")
    check.add_argument("file", type=Path, nargs="?", help="instead of the installed one")
    return parser


_STATES = ("guarding", "handed-over", "safe")
_PATIENCE = 30.0
"""Seconds for which something is waited for unless told otherwise."""


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    about = f"wait no longer than this; {_PATIENCE:g}s"
    parser.add_argument(
        "--timeout", type=_parse_timespan, default=_PATIENCE, metavar="TIME", help=about
    )


def _parse_timespan(text: str) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    terminal.open_streams()
    failure = None
    try:
        try:
            status = _obey(arguments)
        finally:
            terminal.flush()
    except OutputError as error:
        failure, status = error, error.status
    terminal.finish(failure)
    return status


def _obey(arguments: Sequence[str] | None) -> int:
    try:
        options, rest = _make_parser().parse_known_args(arguments)
        if rest:  # argparse has its top parser complain, which has another --help
            what = f"unrecognized arguments: {' '.join(rest)}"
            raise UsageError(f"{what}; see dnsguard {options.command} --help")
        return _load(options.module)(options)
    except DnsguardError as error:
        terminal.complain(str(error))
        return error.status
    except KeyboardInterrupt:
        return 130


def _load(module: str) -> Callable[[argparse.Namespace], int]:
    """Return what a command does; what it stands on is imported now, and nothing else.

    :raises DnsguardError: a package is missing.
    """
    try:
        run: Callable[[argparse.Namespace], int]
        run = importlib.import_module(f"dnsguard.commands.{module}").run
    except ModuleNotFoundError as error:
        raise _name_package(error) from error
    return run


def _name_package(error: ModuleNotFoundError) -> DnsguardError:
    module = str(error.name).partition(".")[0]
    package = f"python3-{_PACKAGES.get(module, module)}"
    return DnsguardError(f"{module} is missing: apt-get install {package}")
