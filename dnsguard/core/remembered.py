"""What is kept across reboots: which upstreams have answered, and which are stale by now."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dnsguard.core.exclusions import Exclusions
from dnsguard.core.model import RANK, Candidate, Source
from dnsguard.core.upstreams import _GUESSES, Pool
from dnsguard.formats.address import IPAddress, zoned

MOST_REMEMBERED = 16


FORGOTTEN_AFTER = 8
"""Failures in a row after which one is forgotten, if another answers."""


REFRESH = 3600.0
"""Seconds after which the time of a remembered candidate is brought up to date."""


_PASSING = frozenset({Source.CONFIG, Source.DELETED, *_GUESSES})
"""Not remembered: what the operator removes there is gone, and a guess can be made anew."""


def remember(
    remembered: tuple[Candidate, ...],
    named: Iterable[Candidate],
    proven: frozenset[IPAddress],
    exclusions: Exclusions,
    wall: float,
) -> tuple[Candidate, ...]:
    """Return what to keep across reboots: the newest candidates, with where they came from.

    What comes from the future was noted with a wrong clock: it is of now at the latest, else
    it would push out the real one for years. The order stays that in which they were learned,
    or, of one origin's, its own (:func:`as_named`).

    :param proven: who has answered just now.
    """
    kept = {c.address: _cap_times(c, wall) for c in remembered if exclusions.allows(c.address)}
    for candidate in named:
        address = candidate.address
        before = kept.get(address)
        is_stub = address.is_loopback and address not in proven
        if candidate.source in _PASSING or is_stub or not exclusions.allows(address):
            continue
        if before is None:
            answered = wall if address in proven else None
            kept[address] = replace(_cap_times(candidate, wall), answered=answered)
        elif address in proven and _is_better(candidate, before):
            kept[address] = replace(_cap_times(candidate, wall), answered=wall)
        elif address in proven and wall - (before.answered or float("-inf")) >= REFRESH:
            kept[address] = replace(before, answered=wall)
    newest = sorted(kept.values(), key=lambda c: (c.answered or 0.0, c.seen), reverse=True)
    return tuple(c for c in kept.values() if c in newest[:MOST_REMEMBERED])


def as_named(kept: Iterable[Candidate], said: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates, those of one origin in the order in which it names them now.

    They were kept one by one as they answered, and who is the fastest is chance.
    """
    places: dict[tuple[str, IPAddress], int] = {}
    for place, one in enumerate(said):
        places.setdefault((one.origin, zoned(one.address)), place)
    ordered, slots = list(kept), dict[str, list[int]]()
    for slot, one in enumerate(ordered):
        if (one.origin, one.address) in places:
            slots.setdefault(one.origin, []).append(slot)
    for taken in slots.values():
        named = sorted((ordered[n] for n in taken), key=lambda c: places[c.origin, c.address])
        for slot, one in zip(taken, named, strict=True):
            ordered[slot] = one
    return tuple(ordered)


def _cap_times(candidate: Candidate, wall: float) -> Candidate:
    answered = None if candidate.answered is None else min(candidate.answered, wall)
    return replace(candidate, seen=min(candidate.seen, wall), answered=answered, leased=None)


def _is_better(candidate: Candidate, before: Candidate) -> bool:
    """Tell whether a better source names it by now; what is recalled is no source of its own."""
    is_recalled = candidate.source is Source.REMEMBERED
    return candidate.rank[:1] < before.rank[:1] and not is_recalled


def load_remembered(remembered: Iterable[Candidate]) -> Iterator[Candidate]:
    """Yield what is remembered, ranked by whether it ever answered, and by who named it.

    What never did is worth no more than a backup of the file that named it. What did is not
    worth more than a lease for that alone: a source that ranks behind leases keeps its rank,
    ahead of what else it names; unless that was in force. A resolver on loopback may ask whom
    resolv.conf names, so it is worth a backup, too, and comes first among its like. Who was
    replaced since comes behind them all: better than nobody, if the new one falls silent.
    """
    for candidate in sorted(remembered, key=lambda one: not one.address.is_loopback):
        is_worth_less = candidate.answered is None or candidate.address.is_loopback
        worth = Source.BACKUP if is_worth_less else Source.REMEMBERED
        is_low = candidate.rank[0] > max(RANK[worth], RANK[Source.LEASE])
        yield replace(
            candidate,
            source=candidate.source if is_low else worth,
            origin=f"{Source.REMEMBERED if is_low else candidate.source}: {candidate.origin}",
            tier=_find_tier(candidate, is_low=is_low),
            is_in_force=False,
        )


def _find_tier(candidate: Candidate, *, is_low: bool) -> int:
    if candidate.is_replaced:
        return 1
    return -1 if is_low or candidate.address.is_loopback else 0


def mark_replaced(kept: Iterable[Candidate], among: Pool) -> tuple[Candidate, ...]:
    """Return the candidates, those as replaced instead of whom leases in force name others.

    A lease replaces what was learned on its interface, or from a resolv.conf, which is any
    interface's; and not before a server that it names was usable.
    """
    named = {one.address for one in among if _is_said_now(one.candidate)}
    speaking = {
        one.candidate.interface for one in among if one.is_usable and _is_leased_now(one.candidate)
    }
    over = {None, *speaking} if speaking else set[str | None]()
    return tuple(
        replace(one, is_replaced=False)
        if one.address in named
        else replace(one, is_replaced=one.is_replaced or one.interface in over)
        for one in kept
    )


def _is_leased_now(candidate: Candidate) -> bool:
    return candidate.is_in_force or candidate.source in (Source.DHCP, Source.INFORM)


def _is_said_now(candidate: Candidate) -> bool:
    is_told = candidate.source in (Source.CONFIG, Source.RESOLV_CONF)
    return is_told or _is_leased_now(candidate)


def find_stale(among: Pool) -> frozenset[IPAddress]:
    """Return who has long been silent while another answers: the node may have moved."""
    if not any(upstream.is_usable for upstream in among):
        return frozenset()
    return frozenset(u.address for u in among if u.record.failures >= FORGOTTEN_AFTER)
