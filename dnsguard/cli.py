"""The command line. Imports nothing heavy: each command fetches what it needs.

Exit statuses: 0 fine, 1 can't tell (no daemon), 2 degraded, 64 usage, 74 output, 77 not
permitted, 78 configuration; 130 and 141 as a shell has it for SIGINT and SIGPIPE.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dnsguard import __version__, page
from dnsguard.errors import (
    AlreadyRunningError,
    DnsguardError,
    NoDaemonError,
    OutputError,
    UsageError,
)
from dnsguard.paths import Paths

if TYPE_CHECKING:
    from dnsguard.core.event import Event

DEGRADED = 2
_PACKAGES = {"dns": "dnspython", "prometheus_client": "prometheus-client"}
"""Where Debian's package is not called like its module."""


class _Parser(argparse.ArgumentParser):
    """argparse, with one line and sysexits.h's EX_USAGE instead of two and 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")

    def _print_message(self, message: str, file: object = None) -> None:  # noqa: ARG002
        """``--help`` and ``--version``, which argparse would write by itself."""
        page.say(*message.rstrip("\n").split("\n"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dnsguard", description="Guards /etc/resolv.conf; see dnsguard(8).")
    parser.add_argument("--version", action="version", version=f"dnsguard {__version__}")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="use the files below DIR"
    )
    commands = parser.add_subparsers(
        metavar="COMMAND", dest="command", required=True, parser_class=_Parser
    )

    def add(name: str, run: Callable[[argparse.Namespace], int], about: str) -> _Parser:
        command: _Parser = commands.add_parser(name, help=about, description=about)
        command.set_defaults(run=run)
        return command

    add("run", _run, "run the daemon in the foreground")
    status = add("status", _status, "show what the daemon sees and does")
    status.add_argument("--json", action="store_true", help="as JSON")
    about = "show everything, also what says nothing new on this node"
    status.add_argument("-v", "--verbose", action="store_true", help=about)
    status.add_argument("--wait", choices=_STATES, help="first wait for this state")
    _with_timeout(status)
    add("watch", _watch, "show the status, and redraw it when it changes")
    add("check", _check, "say in one line whether all is well, for monitoring")
    _with_timeout(add("wait", _wait, "wait until an upstream has answered and is in the file"))
    hold = add("hold", _hold, "pin who serves the node; root only")
    hold.add_argument("serves", choices=("upstream", "nodelocal"), help="who stands first")
    about = "end on its own after this time: 90s, 30m, 1h 30min"
    hold.add_argument("--for", dest="seconds", type=_timespan, metavar="TIME", help=about)
    add("release", _release, "end a hold; root only")
    forget = add("forget", _forget, "drop a remembered nameserver; root only")
    forget.add_argument("address", metavar="ADDRESS", help="as dnsguard upstreams shows it")
    events = add("events", _events, "show what happened, from the journal")
    events.add_argument("--follow", action="store_true", help="and what happens from now on")
    events.add_argument("--since", metavar="WHEN", help="only from then on: see systemd.time(7)")
    events.add_argument("--json", action="store_true", help="one JSON object a line")
    add("metrics", _metrics, "print the metrics as Prometheus reads them")
    restore = add("restore", _restore, "put back what somebody else wrote last; without a daemon")
    restore.add_argument("--yes", action="store_true", help="without asking")
    for name, run, about in (
        ("plan", _plan, "show what would be done now and why; changes nothing"),
        ("upstreams", _upstreams, "list every known nameserver, and ask each of them"),
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
    about = "ask for a fresh name, in ZONE if one is given, and count how often it is seen"
    doctor.add_argument("--trace", nargs="?", const=".", metavar="ZONE", help=about)
    secure = add("secure", _secure, "make resolv.conf safe from what is known, then exit")
    about = "and put a manager's link back, wherever it leads: dnsguard is being removed"
    secure.add_argument("--give-link-back", action="store_true", help=about)
    check = add("check-config", _check_config, "check the configuration")
    check.add_argument("file", type=Path, nargs="?", help="instead of the installed one")
    add("demo", _demo, "replay the incident in private namespaces; touches nothing")
    return parser


_STATES = ("guarding", "handed-over", "safe")
_PATIENCE = 30.0
"""Seconds for which something is waited for unless told otherwise."""


def _with_timeout(parser: argparse.ArgumentParser) -> None:
    about = f"wait no longer than this; {_PATIENCE:g}s"
    parser.add_argument("--timeout", type=_timespan, default=_PATIENCE, metavar="TIME", help=about)


def _timespan(text: str) -> float:
    from dnsguard.core.timespan import parse

    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    page.occupy()
    failure = None
    try:
        try:
            status = _obeyed(arguments)
        finally:
            page.flush()
    except OutputError as error:
        failure, status = error, error.status
    page.finish(failure)
    return status


def _obeyed(arguments: Sequence[str] | None) -> int:
    try:
        options, rest = _parser().parse_known_args(arguments)
        if rest:  # argparse has its top parser complain, which has another --help
            what = f"unrecognized arguments: {' '.join(rest)}"
            raise UsageError(f"{what}; see dnsguard {options.command} --help")
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except DnsguardError as error:
        page.complain(str(error))
        return error.status
    except KeyboardInterrupt:
        return 130


_SEARCH = 0.01
"""Seconds of the start for searching the processes for a kubelet; the daemon searches on."""


def _run(options: argparse.Namespace) -> int:
    """Make the file safe with the standard library alone, then load the rest."""
    from dnsguard import config
    from dnsguard.cycle import Cycle

    paths = Paths(options.root)
    early: list[Event] = []
    settings = config.load(paths.config)
    _be_the_only_one(paths, early)
    cycle = Cycle(paths, settings.policy, early.append)
    cycle.recall()
    if cycle.memory.remembered or settings.policy.servers:
        cycle.look()  # safe a little sooner; what the other sources know comes next
        cycle.settle()
    cycle.search(_SEARCH)
    cycle.refresh()
    cycle.look()
    cycle.settle()
    cycle.sweep()

    try:
        from dnsguard import daemon  # pyroute2 and dnspython: only now
    except ModuleNotFoundError as error:
        raise _missing(error) from error

    daemon.run(cycle, settings, early)
    return 0


def _be_the_only_one(paths: Paths, early: "list[Event]") -> None:
    """Refuse to be a second daemon, before anything is looked at or written.

    Where there is no lock to be had, the node is guarded all the same.

    :raises AlreadyRunningError: another one runs on these files.
    """
    from dnsguard.core.event import Event, Level
    from dnsguard.host import lock

    try:
        is_only_one = lock.take(paths.lock)
    except OSError as error:
        details = (("error", str(error)), ("means", "a second daemon would not be noticed"))
        early.append(Event(name="lock_failed", level=Level.ERROR, details=details))
    else:
        if not is_only_one:
            raise AlreadyRunningError(
                f"another dnsguard listens on {paths.socket}: stop that first"
            )


def _missing(error: ModuleNotFoundError) -> DnsguardError:
    module = str(error.name).partition(".")[0]
    package = f"python3-{_PACKAGES.get(module, module)}"
    return DnsguardError(f"{module} is missing: apt-get install {package}")


def _secure(options: argparse.Namespace) -> int:
    """Never fails a stopping unit for its configuration: the defaults are safe, too."""
    from dnsguard.secure import secure

    return secure(Paths(options.root), gives_link_back=options.give_link_back)


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
    from dnsguard import client, reach, render

    paths = Paths(options.root)
    if options.wait is None:
        data = client.ask(paths.socket, "status")
    else:
        data = dict(reach.wait(paths, options.wait, options.timeout))
    if options.json:
        page.say_json(data)
    else:
        page.say(*render.status(data, page.stdout(), is_full=options.verbose))
    return DEGRADED if data.get("degraded") else 0


def _watch(options: argparse.Namespace) -> int:
    from dnsguard import live

    return live.watch(Paths(options.root))


def _events(options: argparse.Namespace) -> int:
    from dnsguard.events import events

    return events(since=options.since, is_followed=options.follow, as_json=options.json)


def _metrics(options: argparse.Namespace) -> int:
    from dnsguard import client

    data = client.ask(Paths(options.root).socket, "metrics")
    try:
        from dnsguard.host.exposition import text
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    families = data["families"]
    assert isinstance(families, list)  # noqa: S101 -- the protocol's version says so
    page.say(*text(families).decode().removesuffix("\n").split("\n"))
    return 0


def _check(options: argparse.Namespace) -> int:
    from dnsguard.check import check

    status, line = check(Paths(options.root))
    page.say(line)
    return status


def _wait(options: argparse.Namespace) -> int:
    from dnsguard import reach

    reach.wait(Paths(options.root), "safe", options.timeout)
    return 0


def _hold(options: argparse.Namespace) -> int:
    from dnsguard import client, render

    wish = {"serves": options.serves, "seconds": options.seconds, "by": _operator()}
    data = client.ask(Paths(options.root).socket, "hold", **wish)
    page.say(render.held(data))
    return DEGRADED if data["degraded"] else 0


def _release(options: argparse.Namespace) -> int:
    from dnsguard import client, render

    data = client.ask(Paths(options.root).socket, "release", by=_operator())
    page.say(render.released(data))
    return DEGRADED if data["degraded"] else 0


def _forget(options: argparse.Namespace) -> int:
    from dnsguard import client, render

    address = options.address
    data = client.ask(Paths(options.root).socket, "forget", address=address, by=_operator())
    page.say(render.forgotten(data, address))
    return DEGRADED if data["degraded"] else 0


def _operator() -> str:
    """Return who is at the keyboard, as far as sudo(8) tells."""
    return os.environ.get("SUDO_USER") or "root"


def _restore(options: argparse.Namespace) -> int:
    from dnsguard.restore import restore

    return restore(Paths(options.root), is_sure=options.yes)


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
    if options.json:
        page.say_json(data)
    else:
        page.say(*render.plan(data, page.stdout()))
    return 0


def _upstreams(options: argparse.Namespace) -> int:
    from dnsguard import candidates

    data = candidates.ask_all(Paths(options.root))
    if options.json:
        page.say_json(data)
    else:
        page.say(*candidates.render(data, page.stdout()))
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
    page.say(f"{path}: fine" if path.exists() else f"{path}: not there, the defaults are used")
    return 0


def _demo(_: argparse.Namespace) -> int:
    from dnsguard.demo import demo

    return demo()
