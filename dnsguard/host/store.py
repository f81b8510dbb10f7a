"""What outlives the daemon: remembered candidates and the foreign resolv.conf.

The state has a version. One from the future or a damaged one is said and kept aside,
and the daemon starts with an empty memory: the other sources remain.
"""

import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dnsguard.core.address import parse_address
from dnsguard.core.model import MAX_FILE, Candidate, Source
from dnsguard.errors import ForeignStateError
from dnsguard.host.files import read_whole

VERSION = 2
"""1 had neither sources nor answers; what it holds is taken over."""
_MAX_STATE = 256 * 1024
_TOO_MUCH = (RecursionError, OverflowError)
"""5,000 brackets; a number of 400 digits, which no float holds."""
_LONGEST = 80
"""Characters of an error that are told; it may quote the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is read back at the start."""

    remembered: tuple[Candidate, ...] = ()
    foreign: bytes | None = None
    complaint: str | None = None
    """One line for the operator where the state could not be read."""


def load(state: Path, foreign: Path) -> State:
    """Read the state and change nothing. Never raises OSError."""
    complaint = None
    remembered: tuple[Candidate, ...] = ()
    try:
        remembered = _parse(read_whole(state, _MAX_STATE))
    except FileNotFoundError:
        pass
    except (OSError, ForeignStateError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        complaint = f"{state}: {reason}: starting without what was remembered"
    content = None
    with suppress(OSError):
        content = read_whole(foreign, MAX_FILE)
    return State(remembered=remembered, foreign=content, complaint=complaint)


def set_aside(state: Path) -> Path | None:
    """Keep a state that could not be read as ``state.json.unreadable``."""
    aside = state.with_name(state.name + ".unreadable")
    with suppress(OSError):
        state.replace(aside)
        return aside
    return None


def _parse(content: bytes) -> tuple[Candidate, ...]:
    """Return the candidates of a state file.

    :raises ForeignStateError: not JSON, not ours, or of a later version.
    """
    try:
        data = json.loads(content)
        version = data["version"]
        if version not in (1, VERSION):
            raise ForeignStateError(f"version {version!r} is not {VERSION}")
        return tuple(_candidate(entry) for entry in data["remembered"])
    except (ValueError, LookupError, TypeError, AttributeError, *_TOO_MUCH) as error:
        raise ForeignStateError(f"damaged ({str(error)[:_LONGEST]})") from error


def _candidate(entry: dict[str, object]) -> Candidate:
    interface, answered = entry.get("interface"), entry.get("answered")
    return Candidate(
        address=parse_address(str(entry["address"])),
        source=Source(str(entry.get("source", Source.REMEMBERED))),
        origin=str(entry["origin"]),
        interface=None if interface is None else str(interface),
        seen=_time(entry["seen"]),
        answered=None if answered is None else _time(answered),
    )


def _time(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no time")
    return float(value)


def dump(candidates: tuple[Candidate, ...]) -> bytes:
    """Return the state file that :func:`load` reads."""
    entries = [
        {
            "address": str(c.address),
            "source": c.source,
            "origin": c.origin,
            "interface": c.interface,
            "seen": round(c.seen, 3),
            "answered": None if c.answered is None else round(c.answered, 3),
        }
        for c in candidates
    ]
    return json.dumps({"version": VERSION, "remembered": entries}, indent=1).encode() + b"\n"


def write(path: Path, content: bytes) -> None:
    """Replace a file of ours in one step; the caller syncs.

    :raises OSError: the directory can't be made or written.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
