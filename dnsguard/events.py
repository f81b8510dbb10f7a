"""The command ``events``: what happened, in its order, from the journal.

journalctl(1) reads it: it knows what ``--since`` may say, who may read, and how to follow.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping

from dnsguard.errors import DnsguardError, UsageError
from dnsguard.page import Line, Page, flush, say, say_json, stdout, wait

_COMMAND = ("journalctl", "--no-pager", "--quiet", "--output=json", "--all")
_MATCHES = ("SYSLOG_IDENTIFIER=dnsguard", "_SYSTEMD_UNIT=dnsguard.service")
_OWN = "DNSGUARD_"
_LEVELS = {"3": "error", "4": "warning", "6": "info", "7": "debug"}
_STYLES = {"error": "bad", "warning": "warn", "info": "", "debug": "dim"}

Event = Mapping[str, object]


def events(*, since: str | None, is_followed: bool, as_json: bool) -> int:
    """Print the events, a line or an object each.

    :raises UsageError: ``since`` is no time.
    :raises DnsguardError: there is no journal, or it may not be read.
    """
    command = [*_COMMAND, *(["--follow", "--lines=all"] if is_followed else [])]
    command += [] if since is None else [f"--since={_point(since)}"]
    page = stdout()
    try:
        _see_that_it_may_be_read()
        with subprocess.Popen([*command, *_MATCHES], stdout=subprocess.PIPE) as child:
            try:
                for event in _read(_lines(child)):
                    if as_json:
                        say_json(event, indent=None)
                    else:
                        say(*_row(event, page))
                    if is_followed:
                        flush()
            finally:
                child.terminate()
    except FileNotFoundError as error:
        raise DnsguardError("journalctl is missing: apt-get install systemd") from error
    except KeyboardInterrupt:
        return 0
    return 0


def _see_that_it_may_be_read() -> None:
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


def _lines(child: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """Yield the lines as they come, for as long as somebody reads what becomes of them."""
    assert child.stdout is not None  # noqa: S101 -- it is a pipe
    descriptor, rest = child.stdout.fileno(), b""
    while wait(None, descriptor) and (piece := os.read(descriptor, 1 << 16)):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def _read(lines: Iterator[bytes]) -> Iterator[Event]:
    for line in lines:
        entry = json.loads(line)
        if "DNSGUARD_EVENT" not in entry:
            continue  # what ``secure`` says when the daemon has ended
        own = {key: _text(value) for key, value in entry.items() if key.startswith(_OWN)}
        yield {
            "at": int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000,
            "event": own.pop("DNSGUARD_EVENT"),
            "level": _LEVELS.get(_text(entry.get("PRIORITY", "6")), "info"),
            "message": _text(entry.get("MESSAGE", "")),
            "fields": {key.removeprefix(_OWN).lower(): own[key] for key in sorted(own)},
        }


def _text(value: object) -> str:
    """Return a field; journalctl gives unprintable ones as bytes, and repeated ones as a list."""
    if isinstance(value, list) and all(isinstance(one, int) for one in value):
        return bytes(value).decode("utf-8", "replace")
    return _text(value[-1]) if isinstance(value, list) and value else str(value)


def _row(event: Event, page: Page) -> tuple[Line, ...]:
    at = time.strftime("%b %d %H:%M:%S", time.localtime(float(str(event["at"]))))
    words = str(event["message"]).removeprefix(str(event["event"])).strip()
    return page.row(at, f"   {event['event']} {words}", _STYLES[str(event["level"])], hang=5)
