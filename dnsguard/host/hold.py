"""An operator's pin as it is asked for, and as it is kept for the next daemon of this boot."""

import json
import math
from collections.abc import Mapping

from dnsguard.core.hold import Hold, Serves

VERSION = 1
_MOST = 1e12
"""Seconds; 30,000 years."""
MOST_NAME = 64
"""Characters of a name that are kept: it is shown to people."""


def from_request(request: Mapping[str, object], now: float) -> Hold:
    """Return the hold that a request asks for: ``serves``, ``seconds`` and ``by``.

    :raises ValueError: it asks for none that there is.
    """
    serves = Serves(str(request.get("serves")))
    seconds = request.get("seconds")
    until = math.inf if seconds is None else now + _number(seconds)
    if until <= now:
        raise ValueError("a hold needs more than 0 seconds")
    return Hold(serves=serves, by=name(request.get("by")), since=now, until=until)


def dump(hold: Hold) -> bytes:
    """Return the hold as it is kept for the next daemon of this boot."""
    until = None if hold.until == math.inf else hold.until
    kept = {"version": VERSION, "serves": hold.serves, "by": hold.by}
    return json.dumps({**kept, "since": hold.since, "until": until}).encode() + b"\n"


def load(content: bytes) -> Hold:
    """Return the hold that was kept.

    :raises ValueError: it is no hold that this version can read.
    """
    try:
        return _read(json.loads(content))
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise ValueError(f"no hold can be read from it: {repr(error)[:80]}") from error


def _read(kept: dict[str, object]) -> Hold:
    if kept["version"] != VERSION:
        raise ValueError(f"version {kept['version']!r} is not {VERSION}")
    return Hold(
        serves=Serves(str(kept["serves"])),
        by=name(kept["by"]),
        since=_number(kept["since"]),
        until=math.inf if kept["until"] is None else _number(kept["until"]),
    )


def name(text: object) -> str:
    """Return a name that somebody gave as one short printable line."""
    printable = "".join(c for c in str(text or "") if c.isprintable()).strip()
    return printable[:MOST_NAME] or "root"


def _number(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Compared as it is: no float holds an int of 400 digits, and a NaN is less than nothing.
    if not is_number or not -_MOST <= value <= _MOST:  # type: ignore[operator]
        raise ValueError(f"{repr(value)[:40]} is no time")
    return float(value)  # type: ignore[arg-type]
