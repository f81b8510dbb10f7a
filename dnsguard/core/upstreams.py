"""Which nameservers are real, which of them answer, and which are to be used."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dnsguard.core import resolvconf
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Answer, Ask, Outcome
from dnsguard.core.border import Border
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

_GUESSES = frozenset({Source.GUESS, Source.FALLBACK})
_PASSING = frozenset({Source.CONFIG, *_GUESSES})
"""Not remembered: what the operator removes there is gone, and a guess can be made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one nameserver has answered."""

    asked_at: float | None = None
    waiting: bool = False
    answered_at: float | None = None
    rtt: float | None = None
    failures: int = 0
    failed_at: float | None = None
    detail: str = NOT_ASKED
    cleared_at: float | None = None
    """When it was last tried for a name that cluster DNS alone knows."""
    is_exposed: bool = False
    """It found that name then."""

    @property
    def is_usable(self) -> bool:
        is_known = self.answered_at is not None and self.cleared_at is not None
        return is_known and self.failures < LOST_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A candidate, and what its probes said."""

    candidate: Candidate
    verdict: Verdict
    refusal: str | None = None
    """Why it is never used."""

    @property
    def address(self) -> IPAddress:
        return self.candidate.address

    @property
    def rank(self) -> tuple[int, int]:
        return self.candidate.rank

    @property
    def is_usable(self) -> bool:
        return self.verdict.is_usable

    @property
    def is_guess(self) -> bool:
        """Whether it is asked only when nothing better answers."""
        return self.candidate.source in _GUESSES


Verdicts = Mapping[IPAddress, Verdict]
Pool = tuple[Upstream, ...]
_UNKNOWN = Verdict()


def state(among: Pool) -> tuple[UpstreamState, str]:
    """Return how far the upstreams can be trusted, and the same as a line."""
    if any(upstream.is_usable for upstream in among):
        return UpstreamState.VERIFIED, UpstreamState.VERIFIED
    if not among:
        return UpstreamState.NONE, "none: no source names a real nameserver"
    is_asked = all(upstream.verdict.detail != NOT_ASKED for upstream in among)
    reason = "none of the known ones answers" if is_asked else NOT_ASKED
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
    for candidate in candidates:
        other = best.get(candidate.address)
        if other is None or candidate.rank < other.rank:
            best[candidate.address] = candidate
    ranked = sorted(best.values(), key=lambda candidate: candidate.rank)
    return tuple(
        Upstream(
            candidate=candidate,
            verdict=verdicts.get(candidate.address, _UNKNOWN),
            refusal=border.refusal(candidate.address) or _stale_stub(candidate),
        )
        for candidate in ranked
    )


def _stale_stub(candidate: Candidate) -> str | None:
    if candidate.address.is_loopback and RANK[candidate.source] > RANK[Source.DHCP]:
        return "a loopback address, and its stub may be gone by now"
    return None


def pool(among: Pool) -> Pool:
    """Return those that can be used at all."""
    return tuple(upstream for upstream in among if upstream.refusal is None)


def select(among: Pool, current: Sequence[IPAddress], count: int) -> tuple[IPAddress, ...]:
    """Return the best upstreams: those that answer, of the best source, the fastest first.

    Only one source's servers are used at a time: an old backup that happens to
    answer is no peer of what DHCP says today. What is in the file already stays
    in its place, so that answer times alone never rewrite it; what a foreign file names
    comes in that file's order. A guess is used only once it answered.
    """
    usable = [upstream for upstream in among if upstream.is_usable]
    usable = usable or [u for u in among if u.candidate.source is not Source.GUESS]
    if not usable:
        return ()
    best = min(upstream.rank for upstream in usable)
    tier = [upstream for upstream in usable if upstream.rank == best]
    order = {address: place for place, address in enumerate(current)}
    if tier[0].candidate.source is Source.RESOLV_CONF:
        order = {upstream.address: place for place, upstream in enumerate(tier)}

    def key(upstream: Upstream) -> tuple[int, float]:
        return order.get(upstream.address, len(order)), upstream.verdict.rtt or 0.0

    return tuple(upstream.address for upstream in sorted(tier, key=key)[:count])


def can_stay(servers: Sequence[IPAddress], among: Pool, count: int) -> bool:
    """Tell whether a file with these real servers is as good as any.

    One that has not been asked yet is given the time to answer; a peer of theirs that
    answers is missed, as long as the file has room.

    With no upstream answering at all nothing is better than what is there: an
    outage is no reason to rewrite.
    """
    usable = {upstream.address: upstream.rank for upstream in among if upstream.is_usable}
    if not usable:
        return bool(servers)
    best = min(usable.values())
    if len(servers) < min(count, list(usable.values()).count(best)):
        return False
    unasked = {u.address for u in among if not u.is_usable and not u.verdict.failures}
    ranks = {upstream.address: upstream.rank for upstream in among}
    is_best = any(ranks.get(server) == best for server in servers[:1])
    return is_best and all(server in usable or server in unasked for server in servers)


def unasked(verdict: Verdict) -> Verdict:
    """Return the verdict on a silent server as if it had just fallen silent."""
    return replace(verdict, asked_at=None, failures=min(verdict.failures, LOST_AFTER))


def heard(verdicts: Verdicts, answers: Iterable[Answer]) -> Verdicts:
    """Return the verdicts after these answers."""
    changed = dict(verdicts)
    for answer in answers:
        before = changed.get(answer.address, _UNKNOWN)
        told = _tried if answer.ask is Ask.CLUSTER else _asked
        changed[answer.address] = told(before, answer)
    return changed


def _tried(before: Verdict, answer: Answer) -> Verdict:
    """Take in what came of the cluster's own name; silence exposes and clears nobody anew."""
    is_answered = answer.outcome is Outcome.ANSWERED
    is_exposed = answer.has_records if is_answered else before.is_exposed
    return replace(before, cleared_at=answer.at, is_exposed=is_exposed)


def _asked(before: Verdict, answer: Answer) -> Verdict:
    detail = answer.detail
    if answer.outcome is not Outcome.ANSWERED:
        failures = before.failures + 1
        return replace(before, waiting=False, failures=failures, failed_at=answer.at, detail=detail)
    return replace(
        before,
        waiting=False,
        answered_at=answer.at,
        rtt=answer.rtt,
        failures=0,
        detail=detail,
    )


def remember(
    remembered: tuple[Candidate, ...],
    named: Iterable[Candidate],
    proven: frozenset[IPAddress],
    border: Border,
    wall: float,
) -> tuple[Candidate, ...]:
    """Return what to keep across reboots: the newest candidates, with where they came from.

    :param proven: who has answered just now.
    """
    kept = {c.address: c for c in remembered if border.admits(c.address)}
    for candidate in named:
        address = candidate.address
        before = kept.get(address)
        if candidate.source in _PASSING or address.is_loopback or not border.admits(address):
            continue
        if before is None:
            kept[address] = replace(candidate, answered=wall if address in proven else None)
        elif address in proven and _is_better(candidate, before):
            kept[address] = replace(candidate, answered=wall)
        elif address in proven and wall - (before.answered or float("-inf")) >= REFRESH:
            kept[address] = replace(before, answered=wall)
    newest = sorted(kept.values(), key=lambda c: (c.answered or 0.0, c.seen), reverse=True)
    return tuple(newest[:MOST_REMEMBERED])


def _is_better(candidate: Candidate, before: Candidate) -> bool:
    """Tell whether a better source names it by now; what is recalled is no source of its own."""
    is_recalled = candidate.source is Source.REMEMBERED
    return RANK[candidate.source] < RANK[before.source] and not is_recalled


def recall(remembered: Iterable[Candidate]) -> Iterator[Candidate]:
    """Yield what is remembered, ranked by whether it ever answered, and by who named it.

    What never did is worth no more than a backup of the file that named it. What did is not
    worth more than a lease for that alone: a source that ranks behind leases keeps its rank,
    ahead of what else it names. What a DHCP server said itself is as good as a lease.
    """
    for candidate in remembered:
        worth = Source.BACKUP if candidate.answered is None else Source.REMEMBERED
        is_behind = RANK[candidate.source] > max(RANK[worth], RANK[Source.LEASE])
        is_low = is_behind and candidate.source is not Source.INFORM
        yield replace(
            candidate,
            source=candidate.source if is_low else worth,
            origin=f"{Source.REMEMBERED if is_low else candidate.source}: {candidate.origin}",
            tier=-1 if is_low else 0,
        )


def outlived(among: Pool) -> frozenset[IPAddress]:
    """Return who has long been silent while another answers: the node may have moved."""
    if not any(upstream.is_usable for upstream in among):
        return frozenset()
    return frozenset(u.address for u in among if u.verdict.failures >= FORGOTTEN_AFTER)
