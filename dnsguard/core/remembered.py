"""What is kept across reboots: which upstreams have answered, and which are stale by now."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dnsguard.core.answers import Outcome
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.memory import Memory
from dnsguard.core.model import RANK, Candidate, Source
from dnsguard.core.observation import Observation
from dnsguard.core.upstreams import _GUESSES, Pool
from dnsguard.formats.address import IPAddress

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
    border: Exclusions,
    wall: float,
) -> tuple[Candidate, ...]:
    """Return what to keep across reboots: the newest candidates, with where they came from.

    What comes from the future was noted with a wrong clock: it is of now at the latest, else
    it would push out the real one for years. The order stays that in which they were learned.

    :param proven: who has answered just now.
    """
    kept = {c.address: _cap_times(c, wall) for c in remembered if border.allows(c.address)}
    for candidate in named:
        address = candidate.address
        before = kept.get(address)
        if candidate.source in _PASSING or address.is_loopback or not border.allows(address):
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


def _cap_times(candidate: Candidate, wall: float) -> Candidate:
    answered = None if candidate.answered is None else min(candidate.answered, wall)
    return replace(candidate, seen=min(candidate.seen, wall), answered=answered)


def _is_better(candidate: Candidate, before: Candidate) -> bool:
    """Tell whether a better source names it by now; what is recalled is no source of its own."""
    is_recalled = candidate.source is Source.REMEMBERED
    return RANK[candidate.source] < RANK[before.source] and not is_recalled


def load_remembered(remembered: Iterable[Candidate]) -> Iterator[Candidate]:
    """Yield what is remembered, ranked by whether it ever answered, and by who named it.

    What never did is worth no more than a backup of the file that named it. What did is not
    worth more than a lease for that alone: a source that ranks behind leases keeps its rank,
    ahead of what else it names.
    """
    for candidate in remembered:
        worth = Source.BACKUP if candidate.answered is None else Source.REMEMBERED
        is_low = RANK[candidate.source] > max(RANK[worth], RANK[Source.LEASE])
        yield replace(
            candidate,
            source=candidate.source if is_low else worth,
            origin=f"{Source.REMEMBERED if is_low else candidate.source}: {candidate.origin}",
            tier=-1 if is_low else 0,
        )


def find_stale(among: Pool) -> frozenset[IPAddress]:
    """Return who has long been silent while another answers: the node may have moved."""
    if not any(upstream.is_usable for upstream in among):
        return frozenset()
    return frozenset(u.address for u in among if u.record.failures >= FORGOTTEN_AFTER)


def update(memory: Memory, seen: Observation, pool: Pool, exclusions: Exclusions) -> Memory:
    """Keep the upstreams that have answered just now, forget what others have outlived."""
    answered = {a.address for a in seen.answers if a.outcome is Outcome.ANSWERED}
    # By what it has shown; that the operator names it is no proof once the name is taken away.
    proven = frozenset(u.address for u in pool if u.record.is_usable and u.address in answered)
    named = (*memory.learned, *(u.candidate for u in pool if u.address in proven))
    kept = remember(memory.remembered, named, proven, exclusions, seen.wall)
    stale = find_stale(pool) - {learned.address for learned in memory.learned}
    left = tuple(candidate for candidate in kept if candidate.address not in stale)
    return memory if left == memory.remembered else replace(memory, remembered=left)
