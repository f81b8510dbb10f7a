"""The command ``events``: what happened, in its order, from the journal.

journalctl(1) reads it: it knows what ``--since`` may say, who may read, and how to follow.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

from dnsguard.core.plan import UnusedKind
from dnsguard.errors import DnsguardError, UsageError
from dnsguard.reporting.sentences import summary
from dnsguard.terminal import find_page, flush, say, say_json, wait

_COMMAND = ("journalctl", "--no-pager", "--quiet", "--output=json", "--all")
_MATCHES = ("SYSLOG_IDENTIFIER=dnsguard", "_SYSTEMD_UNIT=dnsguard.service")
_OWN = "DNSGUARD_"
_LEVELS = {"3": "error", "4": "warning", "6": "info", "7": "debug"}
_STYLES = {"error": "bad", "warning": "warn", "info": "", "debug": "dim"}

_FOR_THE_CATALOG = ("DNSGUARD_SUMMARY", "DNSGUARD_ADVICE")
_MOMENT = 0.3
"""Seconds: what one look finds and does is told in less."""
_SAID_BY = {
    "resolv_conf_written": frozenset({"mode_changed", "resolv_conf_trampled", "hold_set"}),
    "pod_file_written": frozenset({"mode_changed", "resolv_conf_written"}),
}
"""Whose sentence says the same."""

Event = Mapping[str, object]


def run(options: argparse.Namespace) -> int:
    """Print the events, a line or an object each.

    :raises UsageError: ``--since`` is no time.
    :raises DnsguardError: there is no journal, or it may not be read.
    """
    command = [*_COMMAND, *(["--follow", "--lines=all"] if options.follow else [])]
    command += [] if options.since is None else [f"--since={_point(options.since)}"]
    try:
        _check_permission()
        with subprocess.Popen([*command, *_MATCHES], stdout=subprocess.PIPE) as child:
            try:
                for moment in _moments(_read(_lines(child))):
                    _print(moment, as_json=options.json)
                    if options.follow:
                        flush()
            finally:
                child.terminate()
    except FileNotFoundError as error:
        raise DnsguardError("journalctl is missing: apt-get install systemd") from error
    except KeyboardInterrupt:
        return 0
    return 0


def _print(moment: Sequence[Event], *, as_json: bool) -> None:
    if as_json:
        for event in moment:
            say_json(event, indent=None)
        return
    page = find_page()
    for event, sentence in read(moment):
        clock = _clock(float(str(event["at"])))
        say(*page.fold(sentence, _STYLES[str(event["level"])], head=clock, hang=len(clock)))


def _moments(read: Iterator[Event | None]) -> Iterator[Sequence[Event]]:
    """Yield what happened at one moment together; None is the silence behind it."""
    together: list[Event] = []
    for event in read:
        if together and (event is None or _at(event) - _at(together[0]) > _MOMENT):
            yield together
            together = []
        if event is not None:
            together.append(event)
    if together:
        yield together


def read(moment: Sequence[Event]) -> Iterator[tuple[Event, str]]:
    """Yield the events of one moment as sentences: one for a handover, one for a repair."""
    said = {event["event"]: event for event in moment}
    written = said.get("resolv_conf_written")
    for event in moment:
        name, sentence = str(event["event"]), summary(str(event["event"]), _fields(event))
        is_held = name == "mode_changed" and "hold_set" in said
        is_usual = (
            name == "nameserver_unused" and _fields(event).get("kind") == UnusedKind.NODELOCAL
        )
        if is_usual and len(moment) > 1:
            continue  # the others speak of NodeLocalDNS
        if is_held or said.keys() & _SAID_BY.get(name, frozenset()):
            continue
        if name in ("resolv_conf_trampled", "hold_set") and written is not None:
            servers = _fields(written)["nameservers"]
            done = "repaired: " if name == "resolv_conf_trampled" else ""
            sentence += f"; {done}resolv.conf {servers}"
        yield event, sentence


def _fields(event: Event) -> Mapping[str, str]:
    fields = event["fields"]
    assert isinstance(fields, dict)  # noqa: S101 -- made so below
    return fields


def _at(event: Event) -> float:
    return float(str(event["at"]))


def _clock(at: float) -> str:
    when, today = time.localtime(at), time.localtime()
    form = "%H:%M:%S  " if when[:3] == today[:3] else "%b %d %H:%M:%S  "
    return time.strftime(form, when)


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


def _read(lines: Iterator[bytes | None]) -> Iterator[Event | None]:
    for line in lines:
        if line is None:
            yield None
            continue
        entry = json.loads(line)
        if "DNSGUARD_EVENT" not in entry:
            continue  # what ``secure`` says when the daemon has ended
        own = {key: _text(value) for key, value in entry.items() if key.startswith(_OWN)}
        yield {
            "at": int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000,
            "event": own.pop("DNSGUARD_EVENT"),
            "level": _LEVELS.get(_text(entry.get("PRIORITY", "6")), "info"),
            "message": _text(entry.get("MESSAGE", "")),
            "fields": {
                key.removeprefix(_OWN).lower(): own[key]
                for key in sorted(own)
                if key not in _FOR_THE_CATALOG
            },
        }


def _text(value: object) -> str:
    """Return a field; journalctl gives unprintable ones as bytes, and repeated ones as a list."""
    if isinstance(value, list) and all(isinstance(one, int) for one in value):
        return bytes(value).decode("utf-8", "replace")
    return _text(value[-1]) if isinstance(value, list) and value else str(value)
