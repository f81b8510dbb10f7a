"""The command line. Imports nothing heavy: each command fetches what it needs.

Exit statuses: 0 fine, 1 can't tell (no daemon), 2 degraded, 64 usage, 78 configuration.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dnsguard import __version__
from dnsguard.errors import DnsguardError, NoDaemonError, UsageError
from dnsguard.paths import Paths

if TYPE_CHECKING:
    from dnsguard.core.event import Event

DEGRADED = 2
_PACKAGES = {"dns": "dnspython"}
"""Where Debian's package is not called like its module."""


class _Parser(argparse.ArgumentParser):
    """argparse, with one line and sysexits.h's EX_USAGE instead of two and 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see dnsguard --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dnsguard", description="Guards /etc/resolv.conf; see dnsguard(8).")
    parser.add_argument("--version", action="version", version=f"dnsguard {__version__}")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="use the files below DIR"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name: str, run: Callable[[argparse.Namespace], int], about: str) -> _Parser:
        command: _Parser = commands.add_parser(name, help=about, description=about)
        command.set_defaults(run=run)
        return command

    add("run", _run, "run the daemon in the foreground")
    for name, run, about in (
        ("status", _status, "show what the daemon sees and does"),
        ("plan", _plan, "show what would be done now and why; changes nothing"),
        ("upstreams", _upstreams, "show who is known as a nameserver, and ask them all"),
        ("forecast", _forecast, "show what DHCP and a reboot would make of resolv.conf"),
    ):
        add(name, run, about).add_argument("--json", action="store_true", help="as JSON")
    kubelet = add("kubelet", _kubelet, "show which resolv.conf kubelet hands to pods")
    kubelet.add_argument("--json", action="store_true", help="as JSON")
    about = "point kubelet at the file that dnsguard keeps for pods"
    adopt = kubelet.add_subparsers(metavar="adopt", parser_class=_Parser).add_parser(
        "adopt", help=about, description=about
    )
    adopt.set_defaults(run=_adopt)
    for name, about in (
        ("--dry-run", "show the change, make none"),
        ("--undo", "take the change back"),
        ("--restart", "restart kubelet then"),
    ):
        adopt.add_argument(name, action="store_true", help=about)
    doctor = add("doctor", _doctor, "find the DNS loops that exist on this node now")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    about = "ask for a one-time name, in ZONE if one is given, and count how often it is seen"
    doctor.add_argument("--trace", nargs="?", const=".", metavar="ZONE", help=about)
    add("secure", _secure, "make resolv.conf safe from what is known, then exit")
    check = add("check-config", _check_config, "check the configuration")
    check.add_argument("file", type=Path, nargs="?", help="instead of the installed one")
    add("demo", _demo, "replay the incident in private namespaces; touches nothing")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except DnsguardError as error:
        print(f"dnsguard: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:  # the reader of our output has gone: head(1)
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    """Make the file safe with the standard library alone, then load the rest."""
    from dnsguard import config
    from dnsguard.cycle import Cycle

    paths = Paths(options.root)
    early: list[Event] = []
    settings = config.load(paths.config)
    cycle = Cycle(paths, settings.policy, early.append)
    if cycle.memory.remembered or settings.policy.servers:
        cycle.look()  # safe a little sooner; what the other sources know comes next
        cycle.settle()
    cycle.refresh()
    cycle.look()
    cycle.settle()

    try:
        from dnsguard import daemon  # pyroute2 and dnspython: only now
    except ModuleNotFoundError as error:
        module = str(error.name).partition(".")[0]
        package = f"python3-{_PACKAGES.get(module, module)}"
        raise DnsguardError(f"{module} is missing: apt-get install {package}") from error

    daemon.run(cycle, settings, early)
    return 0


def _secure(options: argparse.Namespace) -> int:
    """Never fails a stopping unit for its configuration: the defaults are safe, too."""
    from dnsguard.secure import secure

    return secure(Paths(options.root))


def _kubelet(options: argparse.Namespace) -> int:
    from dnsguard import kubelet

    return kubelet.run(Paths(options.root), as_json=options.json)


def _adopt(options: argparse.Namespace) -> int:
    from dnsguard import adoption

    return adoption.adopt(
        Paths(options.root),
        is_dry_run=options.dry_run,
        is_undo=options.undo,
        is_restart=options.restart,
    )


def _doctor(options: argparse.Namespace) -> int:
    from dnsguard import doctor

    return doctor.run(Paths(options.root), as_json=options.json, trace=options.trace)


def _status(options: argparse.Namespace) -> int:
    from dnsguard import client, render

    data = client.ask(Paths(options.root).socket, "status")
    print(json.dumps(data, indent=2) if options.json else render.status(data))
    return DEGRADED if data.get("degraded") else 0


def _plan(options: argparse.Namespace) -> int:
    from dnsguard import client, render

    paths = Paths(options.root)
    try:
        data = client.ask(paths.socket, "plan")
    except NoDaemonError:
        import asyncio

        from dnsguard import config
        from dnsguard.cycle import Cycle
        from dnsguard.preview import preview_alone

        settings = config.load(paths.config)
        cycle = Cycle(paths, settings.policy, lambda _: None)
        data = asyncio.run(preview_alone(cycle))
    print(json.dumps(data, indent=2) if options.json else render.plan(data))
    return 0


def _upstreams(options: argparse.Namespace) -> int:
    from dnsguard import candidates

    data = candidates.ask_all(Paths(options.root))
    print(json.dumps(data, indent=2) if options.json else candidates.render(data))
    return 0 if candidates.is_served(data) else DEGRADED


def _forecast(options: argparse.Namespace) -> int:
    from dnsguard import forecast

    return forecast.run(Paths(options.root), as_json=options.json)


def _check_config(options: argparse.Namespace) -> int:
    from dnsguard import config

    path = options.file or Paths(options.root).config
    if options.file is not None and not path.exists():
        raise UsageError(f"{path}: no such file")
    config.load(path)
    print(f"{path}: fine" if path.exists() else f"{path}: not there, the defaults are used")
    return 0


def _demo(_: argparse.Namespace) -> int:
    from dnsguard.demo import demo

    return demo()
