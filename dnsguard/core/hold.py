"""An operator's pin: who is to serve the node, until it is released or its time is up."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

VERSION = 1
_MOST = 1e12
"""Seconds; 30,000 years."""
MOST_NAME = 64
"""Characters of a name that are kept: it is shown to people."""


class Serves(StrEnum):
    """Who serves the node: what stands first in resolv.conf."""

    UPSTREAM = "upstream"  # real upstreams, no cluster address
    NODELOCAL = "nodelocal"  # NodeLocalDNS first, upstreams behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One pin; times in seconds of CLOCK_MONOTONIC, so that no clock set anew moves them."""

    serves: Serves
    by: str
    """Who asked for it, for people."""
    since: float
    until: float = math.inf

    def describe(self) -> str:
        return f"held to {self.serves} by {self.by}"


def active_hold(hold: Hold | None, now: float) -> Hold | None:
    """Return the hold while its time is not up."""
    return hold if hold is not None and now < hold.until else None


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
