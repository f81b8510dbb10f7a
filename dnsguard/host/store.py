"""What outlives the daemon: remembered candidates and the foreign resolv.conf.

The state has a version. One from the future or a damaged one is said and kept aside,
and the daemon starts with an empty memory: the other sources remain.
"""

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dnsguard.core.model import Candidate, Source
from dnsguard.core.observation import MAX_FILE
from dnsguard.core.plan import Remember
from dnsguard.errors import ForeignStateError
from dnsguard.formats.address import IPAddress, parse_address
from dnsguard.host.files import read_whole

VERSION = 3
"""1 had neither sources nor answers, 2 nobody who was found to be cluster DNS; what they
hold is taken over."""
_MAX_STATE = 256 * 1024
_TRIES = 3
_TOO_MUCH = (RecursionError, OverflowError)
"""5,000 brackets; a number of 400 digits, which no float holds."""
_LONGEST = 80
"""Characters of an error that are told; it may quote the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is read back at the start."""

    remembered: tuple[Candidate, ...] = ()
    convicts: Mapping[IPAddress, float] = field(default_factory=dict)
    kubernetes: frozenset[IPAddress] = frozenset()
    deleted: Mapping[IPAddress, float] = field(default_factory=dict)
    links_bring: bool = False
    foreign: bytes | None = None
    complaint: str | None = None
    """One line for the operator where the state could not be read."""


def load(state: Path, foreign: Path) -> State:
    """Read the state and change nothing. Never raises OSError."""
    complaint = None
    kept = Remember(candidates=())
    try:
        kept = _parse(_read_twice(state))
    except FileNotFoundError:
        pass
    except (OSError, ForeignStateError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        complaint = f"{state}: {reason}: starting without what was remembered"
    content = None
    with suppress(OSError):
        content = read_whole(foreign, MAX_FILE)
    return State(
        remembered=kept.candidates,
        convicts=kept.cluster_resolvers,
        kubernetes=kept.kubernetes,
        deleted=kept.deleted,
        links_bring=kept.links_bring,
        foreign=content,
        complaint=complaint,
    )


def set_aside(state: Path) -> Path | None:
    """Keep a state that could not be read as ``state.json.unreadable``."""
    aside = state.with_name(state.name + ".unreadable")
    with suppress(OSError):
        state.replace(aside)
        return aside
    return None


def _read_twice(path: Path) -> bytes:
    """Read a state, once more where the kernel could not just then: a good one is not set aside.

    :raises OSError: it can't be read, or is too big.
    """
    for _ in range(_TRIES - 1):
        with suppress(OSError):
            return read_whole(path, _MAX_STATE)
    return read_whole(path, _MAX_STATE)


def _parse(content: bytes) -> Remember:
    """Return what a state file keeps.

    :raises ForeignStateError: not JSON, not ours, or of a later version.
    """
    try:
        data = json.loads(content)
        version = data["version"]
        if version not in (1, 2, VERSION):
            raise ForeignStateError(f"version {version!r} is not {VERSION}")
        found = data["cluster_dns"] if version == VERSION else ()
        services = data["kubernetes"] if version == VERSION else ()
        deleted = data.get("deleted", ())  # the first states of version 3 had none
        return Remember(
            candidates=tuple(_read_candidate(entry) for entry in data["remembered"]),
            cluster_resolvers=_read_times(found),
            kubernetes=frozenset(parse_address(str(one)) for one in services),
            deleted=_read_times(deleted),
            links_bring=data.get("resolved_links_bring") is True,
        )
    except (ValueError, LookupError, TypeError, AttributeError, *_TOO_MUCH) as error:
        raise ForeignStateError(f"damaged ({str(error)[:_LONGEST]})") from error


def _read_candidate(entry: dict[str, object]) -> Candidate:
    interface, answered = entry.get("interface"), entry.get("answered")
    return Candidate(
        address=parse_address(str(entry["address"])),
        source=Source(str(entry.get("source", Source.REMEMBERED))),
        origin=str(entry["origin"]),
        interface=None if interface is None else str(interface),
        seen=_read_time(entry["seen"]),
        answered=None if answered is None else _read_time(answered),
        # The first states of version 3 had neither.
        is_in_force=entry.get("in_force") is True,
        is_replaced=entry.get("replaced") is True,
    )


def _read_times(entries: Iterable[Mapping[str, object]]) -> dict[IPAddress, float]:
    return {parse_address(str(one["address"])): _read_time(one["seen"]) for one in entries}


def _read_time(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no time")
    return float(value)


def dump(kept: Remember) -> bytes:
    """Return the state file that :func:`load` reads."""
    entries = [
        {
            "address": str(c.address),
            "source": c.source,
            "origin": c.origin,
            "interface": c.interface,
            "seen": round(c.seen, 3),
            "answered": None if c.answered is None else round(c.answered, 3),
            "in_force": c.is_in_force,
            "replaced": c.is_replaced,
        }
        for c in kept.candidates
    ]
    state = {
        "version": VERSION,
        "remembered": entries,
        "cluster_dns": _dump_dates(kept.cluster_resolvers),
        "kubernetes": sorted(str(address) for address in kept.kubernetes),
        "deleted": _dump_dates(kept.deleted),
        "resolved_links_bring": kept.links_bring,
    }
    return json.dumps(state, indent=1).encode() + b"\n"


def _dump_dates(addresses: Mapping[IPAddress, float]) -> list[dict[str, object]]:
    return [{"address": str(one), "seen": round(at, 3)} for one, at in addresses.items()]
