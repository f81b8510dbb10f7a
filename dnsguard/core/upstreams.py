"""Which nameservers are real, which of them answer, and which are to be used."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from dnsguard.core import resolvconf
from dnsguard.core.address import IPAddress, zoned
from dnsguard.core.answers import Answer, Ask, Outcome
from dnsguard.core.border import Border
from dnsguard.core.evidence import Finding, Round, Services, finding, resolves, treats_alike
from dnsguard.core.model import RANK, Candidate, Source, UpstreamState

MOST_REMEMBERED = 16
LOST_AFTER = 2
"""Failures in a row after which an upstream is no longer usable."""
MOST_NAMED = 30
"""Addresses of one text. glibc uses three lines; the others may count once those are refused."""
FORGOTTEN_AFTER = 8
"""Failures in a row after which one is forgotten, if another answers."""
REFRESH = 3600.0
"""Seconds after which the time of a remembered candidate is brought up to date."""
NOT_ASKED = "not asked yet"
PATIENCE = 60.0
"""Seconds, and :data:`ROUNDS` of questions, for which a server that answers for the outside
has to treat the cluster's name like any other it fails for. CoreDNS waits for its API server
before it knows its zone; its SERVFAIL must never be taken for a resolver's."""
ROUNDS = 3

_GUESSES = frozenset({Source.GUESS, Source.FALLBACK})
_PASSING = frozenset({Source.CONFIG, Source.DELETED, *_GUESSES})
"""Not remembered: what the operator removes there is gone, and a guess can be made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one nameserver has answered."""

    asked_at: float | None = None
    """When its last round of questions began."""
    asked: frozenset[Ask] = frozenset()
    """What it was asked in that round."""
    round: Round = field(default_factory=dict)
    """What came of it so far."""
    answered_at: float | None = None
    """When it last answered for the outside."""
    rtt: float | None = None
    failures: int = 0
    """How often in a row it did not."""
    failing_since: float | None = None
    failed_at: float | None = None
    detail: str = NOT_ASKED
    cleared_at: float | None = None
    """When a round last showed that it answers for the outside and not for the cluster; None
    where that was not shown since it last fell silent: somebody else may answer there now."""
    was_cleared: bool = False
    """It was shown at some time."""
    is_exposed: bool = False
    """It was shown to be cluster DNS, and not cleared of it since."""
    doubts: int = 0
    """Rounds in a row that showed neither, while it answered for the outside."""
    alike_since: float | None = None
    """Since when it has failed for the cluster's name as for any like it."""

    @property
    def is_waiting(self) -> bool:
        return not self.asked <= self.round.keys()

    @property
    def answers(self) -> bool:
        """Whether it resolves names outside, whoever it is."""
        return self.answered_at is not None and self.failures < LOST_AFTER

    @property
    def is_silent(self) -> bool:
        """Whether it was asked in vain often enough to say so."""
        return self.failures >= LOST_AFTER

    @property
    def is_usable(self) -> bool:
        return self.answers and self.cleared_at is not None


class Standing(IntEnum):
    """What a server is worth, best first; within one the source's rank decides."""

    USABLE = 0  # answers, and was shown to be outside the cluster
    EXPECTED = 1  # was so earlier, and is not known to be silent: the first looks of a boot
    ANSWERS = 2  # answers for the outside, and nothing was shown about the cluster's name
    PROVEN = 3  # was usable earlier, silent now
    NAMED = 4  # some source names it


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A candidate, and what its probes said."""

    candidate: Candidate
    verdict: Verdict
    refusal: str | None = None
    """Why it is never used."""
    is_proven: bool = False
    """It was usable at some time, in this boot or an earlier one, or the operator says so."""
    is_doubtful: bool = False
    """It counts only once it is proven."""
    is_suspect: bool = False
    """It stands among the cluster's services."""

    @property
    def address(self) -> IPAddress:
        return self.candidate.address

    @property
    def rank(self) -> tuple[int, int]:
        return self.candidate.rank

    @property
    def is_usable(self) -> bool:
        is_named = self.candidate.source is Source.CONFIG  # the operator's word clears
        return self.verdict.answers if is_named else self.verdict.is_usable

    @property
    def standing(self) -> Standing:
        if self.is_usable:
            return Standing.USABLE
        if self.is_proven:
            return Standing.PROVEN if self.verdict.is_silent else Standing.EXPECTED
        return Standing.ANSWERS if self.verdict.answers else Standing.NAMED

    @property
    def is_guess(self) -> bool:
        """Whether it is asked only when nothing better answers."""
        return self.candidate.source in (*_GUESSES, Source.DELETED)


Verdicts = Mapping[IPAddress, Verdict]
Pool = tuple[Upstream, ...]
_UNKNOWN = Verdict()
SILENT = "none of the known ones answers"


def state(among: Pool) -> tuple[UpstreamState, str]:
    """Return how far the upstreams can be trusted, and the same as a line."""
    if any(upstream.is_usable for upstream in among):
        return UpstreamState.VERIFIED, UpstreamState.VERIFIED
    if not among:
        return UpstreamState.NONE, "none: no source names a real nameserver"
    answering = [upstream for upstream in among if upstream.verdict.answers]
    doubted = next((upstream for upstream in answering if upstream.verdict.doubts), None)
    # Who has answered for the outside has yet to say what it knows of the cluster.
    is_asked = not answering and all(one.verdict.detail != NOT_ASKED for one in among)
    reason = SILENT if is_asked else NOT_ASKED
    if doubted is not None:
        reason = f"{doubted.address} answers, but may be cluster DNS"
    return UpstreamState.UNVERIFIED, f"{UpstreamState.UNVERIFIED}: {reason}"


def from_text(content: bytes, *, source: Source, origin: str, seen: float) -> tuple[Candidate, ...]:
    """Return the candidates that a resolv.conf names, in its order, as many as can ever matter."""
    named: dict[IPAddress, None] = {}
    for server in resolvconf.nameservers(content):
        named.setdefault(server.address)
        if len(named) == MOST_NAMED:
            break
    return tuple(
        Candidate(address=address, source=source, origin=origin, seen=seen) for address in named
    )


def known(candidates: Iterable[Candidate], verdicts: Verdicts, border: Border) -> Pool:
    """Return each named address once, under its best source, best first, refused ones too."""
    best: dict[IPAddress, Candidate] = {}
    proven: set[IPAddress] = set()
    for candidate in candidates:
        address = zoned(candidate.address)
        other = best.get(address)
        if other is None or candidate.rank < other.rank:
            best.pop(address, None)  # its place is among those that the better source names
            best[address] = replace(candidate, address=address)
        is_recalled = candidate.answered is not None and not address.is_loopback
        if is_recalled or candidate.source is Source.CONFIG:
            proven.add(address)
    ranked = sorted(best.values(), key=lambda candidate: candidate.rank)
    return tuple(_upstream(candidate, proven, verdicts, border) for candidate in ranked)


def _upstream(
    candidate: Candidate, proven: Container[IPAddress], verdicts: Verdicts, border: Border
) -> Upstream:
    verdict = verdicts.get(candidate.address, _UNKNOWN)
    is_suspect = border.is_suspect(candidate.address)
    return Upstream(
        candidate=candidate,
        verdict=verdict,
        refusal=border.refusal(candidate.address) or _stale_stub(candidate),
        is_proven=candidate.address in proven or verdict.was_cleared,
        is_doubtful=is_suspect or border.is_own(candidate.address) or _is_recalled_stub(candidate),
        is_suspect=is_suspect,
    )


def _stale_stub(candidate: Candidate) -> str | None:
    is_old = RANK[candidate.source] > RANK[Source.DHCP] and not _is_recalled_stub(candidate)
    if candidate.address.is_loopback and is_old:
        return "a loopback address, and its stub may be gone by now"
    return None


def _is_recalled_stub(candidate: Candidate) -> bool:
    """Tell whether it is the node's own resolver on loopback, which has answered here earlier.

    It counts once it answers in this boot, as one at the node's LAN address does (case 70).
    """
    return candidate.address.is_loopback and candidate.answered is not None


def pool(among: Pool) -> Pool:
    """Return those that can be used at all."""
    return tuple(upstream for upstream in among if upstream.refusal is None)


def without_deleted(among: Pool) -> Pool:
    """Return those that no person took out of the file; all, where those are silent."""
    kept = tuple(one for one in among if one.candidate.source is not Source.DELETED)
    return kept if any(not one.verdict.is_silent for one in eligible(kept)) else among


def eligible(among: Pool) -> Pool:
    """Return those that may be written without an answer: somebody has said that they serve."""
    return tuple(
        upstream
        for upstream in among
        if upstream.is_usable
        or (
            upstream.candidate.source is not Source.GUESS
            and (upstream.is_proven or not upstream.is_doubtful)
        )
    )


def select(among: Pool, current: Sequence[IPAddress], count: int) -> tuple[IPAddress, ...]:
    """Return the best upstreams: those that are usable, of the best source.

    Where none is, who answers or has answered earlier comes before who never did: at boot
    the address of a poisoned lease beat the remembered server, both silent (issue 13).

    Only one source's servers are used at a time: an old backup that happens to
    answer is no peer of what DHCP says today. Of many, those that are in the file already
    and then the fastest are taken. They come in their source's order, so that the same
    servers are always written in the same one.
    """
    ranked = eligible(among)
    if not ranked:
        return ()
    best = min(ranked, key=lambda upstream: (upstream.standing, upstream.rank))
    peers = [upstream for upstream in ranked if upstream.rank == best.rank]
    if best.standing in (Standing.USABLE, Standing.ANSWERS):
        peers = [upstream for upstream in peers if upstream.standing <= best.standing]

    def preference(upstream: Upstream) -> tuple[bool, float]:
        return upstream.address not in current, upstream.verdict.rtt or 0.0

    is_ordered = best.candidate.source is Source.RESOLV_CONF
    chosen = peers if is_ordered else sorted(peers, key=preference)
    taken = {upstream.address for upstream in chosen[:count]}
    return tuple(upstream.address for upstream in peers if upstream.address in taken)


def in_order(addresses: Sequence[IPAddress], among: Pool) -> tuple[IPAddress, ...]:
    """Return the addresses as :func:`select` would order them, strangers last."""
    places = {upstream.address: place for place, upstream in enumerate(among)}
    return tuple(sorted(addresses, key=lambda address: places.get(address, len(places))))


def can_stay(servers: Sequence[IPAddress], among: Pool, count: int) -> bool:
    """Tell whether a file with these real servers is as good as any.

    One that has not been asked yet is given the time to answer; a peer of theirs that
    answers is missed, as long as the file has room.

    With no upstream answering at all nothing is better than what is there: an
    outage is no reason to rewrite. A spare that was last asked before it began is no better
    either: the file flipped to one that was as dead (issue 13).
    """
    named = [upstream for upstream in among if upstream.address in servers]
    if named and all(u.is_suspect and not (u.is_usable or u.is_proven) for u in named):
        return not eligible(among)
    since = _silent_since(named)
    usable = {u.address: u.rank for u in among if u.is_usable and _answered_since(u, since)}
    if not usable:
        return bool(servers) and not _are_outdone(named, among, since)
    best = min(usable.values())
    if len(servers) < min(count, list(usable.values()).count(best)):
        return False
    unasked = {u.address for u in among if not u.is_usable and not u.verdict.failures}
    unasked -= {u.address for u in among if u.verdict.doubts}
    ranks = {upstream.address: upstream.rank for upstream in among}
    is_best = any(ranks.get(server) == best for server in servers[:1])
    return is_best and all(server in usable or server in unasked for server in servers)


def _silent_since(named: Sequence[Upstream]) -> float | None:
    """Return since when none of them has answered; None while one of them may."""
    if not named or not all(upstream.verdict.is_silent for upstream in named):
        return None
    return max(upstream.verdict.failing_since or 0.0 for upstream in named)


def _answered_since(upstream: Upstream, since: float | None) -> bool:
    at = upstream.verdict.answered_at
    return since is None or (at is not None and at > since)


def _are_outdone(named: Sequence[Upstream], among: Pool, since: float | None) -> bool:
    """Tell whether silent servers have to give way, though no usable one is known.

    Who answers goes before who is silent, and who was proven before who never was.
    """
    if since is None:
        return False
    is_proven = any(upstream.is_proven for upstream in named)
    return any(
        (upstream.verdict.answers and _answered_since(upstream, since))
        or (upstream.is_proven and not is_proven)
        for upstream in eligible(among)
        if upstream not in named
    )


def unasked(verdict: Verdict) -> Verdict:
    """Return the verdict on a silent server as if it had just fallen silent."""
    return replace(verdict, asked_at=None, failures=min(verdict.failures, LOST_AFTER))


def heard(verdicts: Verdicts, answers: Iterable[Answer], services: Services) -> Verdicts:
    """Return the verdicts after these answers."""
    changed = dict(verdicts)
    for answer in answers:
        before = changed.get(answer.address, _UNKNOWN)
        verdict = replace(before, round={**before.round, answer.ask: answer})
        if answer.ask in (Ask.UPSTREAM, Ask.ONE_TIME):
            verdict = _asked_outside(verdict, answer)
        changed[answer.address] = _judged(verdict, answer, services)
    return changed


def _asked_outside(verdict: Verdict, answer: Answer) -> Verdict:
    """Take in what came of names outside; one lost datagram loses nobody."""
    does_resolve = resolves(verdict.round, is_stub=answer.address.is_loopback)
    if does_resolve is None:
        return verdict
    first = verdict.round[Ask.UPSTREAM]
    is_second = answer is not first
    if is_second and first.outcome is not Outcome.ANSWERED:
        return verdict  # counted already
    if does_resolve:
        return replace(
            verdict,
            answered_at=answer.at,
            rtt=first.rtt,
            failures=0,
            failing_since=None,
            detail=first.detail,
        )
    since = answer.at if verdict.failing_since is None else verdict.failing_since
    failures = verdict.failures + 1
    verdict = replace(verdict, failures=failures, failing_since=since, failed_at=answer.at)
    about = " for a one-time name" if is_second else ""
    verdict = replace(verdict, detail=answer.detail + about)
    if failures < LOST_AFTER:
        return verdict
    return replace(verdict, cleared_at=None, doubts=0, alike_since=None)


def _judged(verdict: Verdict, answer: Answer, services: Services) -> Verdict:
    """Take in whose DNS the server was shown to be, in one and the same round."""
    found = finding(verdict.round, services)
    if found is Finding.CLUSTER:
        return replace(verdict, is_exposed=True, cleared_at=None, was_cleared=False)
    does_resolve = resolves(verdict.round, is_stub=answer.address.is_loopback)
    if found is Finding.OUTSIDE and does_resolve:
        return _cleared(replace(verdict, is_exposed=False), answer.at)
    if found is Finding.OPEN and does_resolve and answer.ask in (Ask.NONSENSE, Ask.CONTROL):
        return _doubted(verdict, answer.at)
    return verdict


def _cleared(verdict: Verdict, at: float) -> Verdict:
    return replace(verdict, cleared_at=at, was_cleared=True, doubts=0, alike_since=None)


def _doubted(verdict: Verdict, at: float) -> Verdict:
    """Take in a round that showed neither; who was exposed stays so, however long it is."""
    if not treats_alike(verdict.round) or verdict.is_exposed:
        return replace(verdict, doubts=verdict.doubts + 1, alike_since=None)
    since = at if verdict.alike_since is None else verdict.alike_since
    verdict = replace(verdict, doubts=verdict.doubts + 1, alike_since=since)
    is_long = verdict.doubts >= ROUNDS and at - since >= PATIENCE
    return _cleared(verdict, at) if is_long or verdict.cleared_at is not None else verdict


def remember(
    remembered: tuple[Candidate, ...],
    named: Iterable[Candidate],
    proven: frozenset[IPAddress],
    border: Border,
    wall: float,
) -> tuple[Candidate, ...]:
    """Return what to keep across reboots: the newest candidates, with where they came from.

    What comes from the future was noted with a wrong clock: it is of now at the latest, else
    it would push out the real one for years. The order stays that in which they were learned,
    or, of one origin's, its own (:func:`as_named`).

    :param proven: who has answered just now.
    """
    kept = {c.address: _by_now(c, wall) for c in remembered if border.admits(c.address)}
    for candidate in named:
        address = candidate.address
        before = kept.get(address)
        is_stub = address.is_loopback and address not in proven
        if candidate.source in _PASSING or is_stub or not border.admits(address):
            continue
        if before is None:
            answered = wall if address in proven else None
            kept[address] = replace(_by_now(candidate, wall), answered=answered)
        elif address in proven and _is_better(candidate, before):
            kept[address] = replace(_by_now(candidate, wall), answered=wall)
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


def _by_now(candidate: Candidate, wall: float) -> Candidate:
    answered = None if candidate.answered is None else min(candidate.answered, wall)
    return replace(candidate, seen=min(candidate.seen, wall), answered=answered)


def _is_better(candidate: Candidate, before: Candidate) -> bool:
    """Tell whether a better source names it by now; what is recalled is no source of its own."""
    is_recalled = candidate.source is Source.REMEMBERED
    return RANK[candidate.source] < RANK[before.source] and not is_recalled


def recall(remembered: Iterable[Candidate]) -> Iterator[Candidate]:
    """Yield what is remembered, ranked by whether it ever answered, and by who named it.

    What never did is worth no more than a backup of the file that named it. What did is not
    worth more than a lease for that alone: a source that ranks behind leases keeps its rank,
    ahead of what else it names. A resolver on loopback may ask whom resolv.conf names, so it
    is worth a backup, too, and comes first among its like.
    """
    for candidate in sorted(remembered, key=lambda one: not one.address.is_loopback):
        is_worth_less = candidate.answered is None or candidate.address.is_loopback
        worth = Source.BACKUP if is_worth_less else Source.REMEMBERED
        is_low = RANK[candidate.source] > max(RANK[worth], RANK[Source.LEASE])
        yield replace(
            candidate,
            source=candidate.source if is_low else worth,
            origin=f"{Source.REMEMBERED if is_low else candidate.source}: {candidate.origin}",
            tier=-1 if is_low or candidate.address.is_loopback else 0,
        )


def outlived(among: Pool) -> frozenset[IPAddress]:
    """Return who has long been silent while another answers: the node may have moved."""
    if not any(upstream.is_usable for upstream in among):
        return frozenset()
    return frozenset(u.address for u in among if u.verdict.failures >= FORGOTTEN_AFTER)
