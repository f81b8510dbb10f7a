"""The command ``events``: what happened, in its order, from the journal.

journalctl(1) reads it: it knows what ``--since`` may say, who may read, and how to follow.
"""

import argparse
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from dnsguard.core.plan import UnusedKind
from dnsguard.errors import DnsguardError, UsageError
from dnsguard.reporting.sentences import summary
from dnsguard.reporting.words import clock
from dnsguard.terminal import find_page, flush, say, say_json, wait

_COMMAND = ("journalctl", "--no-pager", "--quiet", "--output=json", "--all")
_MATCHES = ("SYSLOG_IDENTIFIER=dnsguard", "_SYSTEMD_UNIT=dnsguard.service")
_OWN = "DNSGUARD_"
CANT_TELL = 1
_LEVELS = {"3": "error", "4": "warning", "6": "info", "7": "debug"}
_STYLES = {"error": "bad", "warning": "warn", "info": "", "debug": "dim"}

_FOR_THE_CATALOG = ("DNSGUARD_SUMMARY", "DNSGUARD_ADVICE")
_MOMENT = 0.3
"""Seconds: what one look finds and does is told in less."""
_SAID_BY = {
    "mode_changed": frozenset({"hold_set"}),
    "resolv_conf_written": frozenset({"mode_changed", "resolv_conf_trampled", "hold_set"}),
    "pod_file_written": frozenset({"mode_changed", "resolv_conf_written"}),
}
"""Whose sentence says the same."""
_ANSWERED = {"resolv_conf_trampled": "repaired: ", "hold_set": ""}
"""What is told together with what was written upon it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event, as the journal has it; an object of JSON with these keys."""

    at: float
    """Seconds since the epoch."""
    event: str
    level: str
    message: str
    fields: Mapping[str, str]

    @property
    def sentence(self) -> str:
        return summary(self.event, self.fields)

    @property
    def is_about_nodelocal(self) -> bool:
        """Whether it says only that NodeLocalDNS's own line waits for NodeLocalDNS."""
        is_unused = self.event == "nameserver_unused"
        return is_unused and self.fields.get("kind") == UnusedKind.NODELOCAL


def run(options: argparse.Namespace) -> int:
    """Print the events, a line or an object each.

    :raises UsageError: ``--since`` is no time.
    :raises DnsguardError: there is no journal, or it may not be read.
    """
    command = [*_COMMAND, *(["--follow", "--lines=all"] if options.follow else [])]
    try:
        command += [] if options.since is None else [f"--since={_point(options.since)}"]
        _check_permission()
        with (
            subprocess.Popen([*command, *_MATCHES], stdout=subprocess.PIPE) as child,
            ExitStack() as unfinished,
        ):
            unfinished.callback(child.terminate)
            for moment in _moments(_read(_lines(child))):
                _print(moment, as_json=options.json)
                if options.follow:
                    flush()
            unfinished.pop_all()  # it has ended by itself, and its exit status counts
    except FileNotFoundError as error:
        raise DnsguardError(f"{error.filename} is missing: apt-get install systemd") from error
    except KeyboardInterrupt:
        return 0
    return CANT_TELL if child.returncode else 0  # it has said why on stderr


def _print(moment: Sequence[Entry], *, as_json: bool) -> None:
    if as_json:
        for entry in moment:
            say_json(asdict(entry), indent=None)
        return
    page = find_page()
    for entry, sentence in read(moment):
        head = f"{clock(entry.at, '%b %d %H:%M:%S')}  "
        say(*page.fold(sentence, _STYLES[entry.level], head=head, hang=len(head)))


def _moments(read: Iterator[Entry | None]) -> Iterator[Sequence[Entry]]:
    """Yield what happened at one moment together; None is the silence behind it."""
    together: list[Entry] = []
    for entry in read:
        if together and (entry is None or entry.at - together[0].at > _MOMENT):
            yield together
            together = []
        if entry is not None:
            together.append(entry)
    if together:
        yield together


def read(moment: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Yield the events of one moment as sentences: one for a handover, one for a repair."""
    said = {entry.event: entry for entry in moment}
    for entry in moment:
        if entry.is_about_nodelocal and len(moment) > 1:
            continue  # the others speak of NodeLocalDNS
        if not said.keys() & _SAID_BY.get(entry.event, frozenset()):
            yield entry, entry.sentence + _follow(entry, said.get("resolv_conf_written"))


def _follow(entry: Entry, written: Entry | None) -> str:
    """Return what a sentence says of what was written upon it."""
    if written is None or entry.event not in _ANSWERED:
        return ""
    return f"; {_ANSWERED[entry.event]}resolv.conf {written.fields['nameservers']}"


def _check_permission() -> None:
    """Journalctl shows a user's own entries, if any, and only hints at what it leaves out."""
    command = ["journalctl", "--lines=0", "--no-pager"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode or "not seeing messages from" in done.stderr:
        raise DnsguardError(
            "the system's journal may be read by root and the groups systemd-journal and adm"
            ": sudo dnsguard events"
        )


def _point(since: str) -> str:
    """Return the point in time as journalctl takes it for sure.

    :raises UsageError: systemd.time(7) knows no such time.
    """
    done = subprocess.run(
        ["systemd-analyze", "timestamp", "--", since], check=False, capture_output=True, text=True
    )
    found = [line for line in done.stdout.splitlines() if "UNIX seconds:" in line]
    if done.returncode or not found:
        raise UsageError(f"--since: {since!r} is no time: see systemd.time(7)")
    return found[0].split()[-1]


def _lines(child: "subprocess.Popen[bytes]") -> Iterator[bytes | None]:
    """Yield the lines as they come, for as long as somebody reads what becomes of them.

    None is a silence: what comes next is of another moment.
    """
    assert child.stdout is not None  # noqa: S101 -- it is a pipe
    descriptor, rest = child.stdout.fileno(), b""
    patience: float | None = None
    while True:
        if not wait(patience, descriptor):
            yield None
            patience = None
            continue
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        patience = _MOMENT


def _read(lines: Iterator[bytes | None]) -> Iterator[Entry | None]:
    for line in lines:
        told = None if line is None else json.loads(line)
        if told is None:
            yield None
        elif "DNSGUARD_EVENT" in told:  # not what ``secure`` says when the daemon has ended
            yield _make_entry(told)


def _make_entry(told: Mapping[str, object]) -> Entry:
    own = {key: _text(value) for key, value in told.items() if key.startswith(_OWN)}
    return Entry(
        at=int(_text(told["__REALTIME_TIMESTAMP"])) / 1_000_000,
        event=own.pop("DNSGUARD_EVENT"),
        level=_LEVELS.get(_text(told.get("PRIORITY", "6")), "info"),
        message=_text(told.get("MESSAGE", "")),
        fields={
            key.removeprefix(_OWN).lower(): own[key]
            for key in sorted(own)
            if key not in _FOR_THE_CATALOG
        },
    )


def _text(value: object) -> str:
    """Return a field; journalctl gives unprintable ones as bytes, and repeated ones as a list."""
    if isinstance(value, list) and all(isinstance(one, int) for one in value):
        return bytes(value).decode("utf-8", "replace")
    return _text(value[-1]) if isinstance(value, list) and value else str(value)
