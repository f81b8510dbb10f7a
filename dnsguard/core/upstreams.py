"""Which nameservers are real, which of them answer, and which are to be used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dnsguard.core import resolvconf
from dnsguard.core.address import IPAddress, plain
from dnsguard.core.answers import Answer, Outcome
from dnsguard.core.model import RANK, Candidate, Policy, Source, UpstreamState

MOST_REMEMBERED = 16
MOST_ASKED = 8
"""Candidates beyond these are not asked: a file of a thousand lines is no reason to."""
LOST_AFTER = 2
"""Failures in a row after which an upstream is no longer usable."""
REFRESH = 3600.0
"""Seconds after which the time of a remembered candidate is brought up to date."""

_BROADCAST = 0xFFFFFFFF
NOT_ASKED = "not asked yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one upstream has answered."""

    asked_at: float | None = None
    waiting: bool = False
    answered_at: float | None = None
    rtt: float | None = None
    failures: int = 0
    detail: str = NOT_ASKED

    @property
    def is_usable(self) -> bool:
        return self.answered_at is not None and self.failures < LOST_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A candidate, and what its probes said."""

    candidate: Candidate
    verdict: Verdict

    @property
    def address(self) -> IPAddress:
        return self.candidate.address

    @property
    def rank(self) -> int:
        return RANK[self.candidate.source]

    @property
    def is_usable(self) -> bool:
        return self.verdict.is_usable


Verdicts = Mapping[IPAddress, Verdict]
Pool = tuple[Upstream, ...]
_UNKNOWN = Verdict()


def is_upstream(address: IPAddress, policy: Policy) -> bool:
    """Tell whether the address can be a real nameserver outside the cluster."""
    return not (
        plain(address) in policy.cluster
        or address.is_unspecified
        or address.is_multicast
        or (address.version == 4 and int(address) == _BROADCAST)
    )


def state(among: Pool) -> tuple[UpstreamState, str]:
    """Return how far the upstreams can be trusted, and the same as a line."""
    if any(upstream.is_usable for upstream in among):
        return UpstreamState.VERIFIED, UpstreamState.VERIFIED
    if not among:
        return UpstreamState.NONE, "none: no source names a real nameserver"
    is_asked = all(upstream.verdict.detail != NOT_ASKED for upstream in among[:MOST_ASKED])
    reason = "none of the known ones answers" if is_asked else NOT_ASKED
    return UpstreamState.UNVERIFIED, f"{UpstreamState.UNVERIFIED}: {reason}"


def from_text(
    content: bytes, policy: Policy, *, source: Source, origin: str, seen: float
) -> tuple[Candidate, ...]:
    """Return the candidates that a resolv.conf names, in its order."""
    return tuple(
        Candidate(address=address, source=source, origin=origin, seen=seen)
        for address in resolvconf.addresses(content)
        if is_upstream(address, policy)
    )


def pool(candidates: Iterable[Candidate], verdicts: Verdicts, policy: Policy) -> Pool:
    """Return each real upstream once, under its best source, best first.

    A loopback address counts only where the operator or the file itself names it:
    in a backup or a lease it tells of a stub that may be gone.
    """
    best: dict[IPAddress, Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.address)
        if not is_upstream(candidate.address, policy):
            continue
        if candidate.address.is_loopback and RANK[candidate.source] > RANK[Source.RESOLV_CONF]:
            continue
        if known is None or RANK[candidate.source] < RANK[known.source]:
            best[candidate.address] = candidate
    ranked = sorted(best.values(), key=lambda candidate: RANK[candidate.source])
    return tuple(
        Upstream(candidate=candidate, verdict=verdicts.get(candidate.address, _UNKNOWN))
        for candidate in ranked
    )


def select(among: Pool, current: Sequence[IPAddress], count: int) -> tuple[IPAddress, ...]:
    """Return the best upstreams: those that answer, of the best source, the fastest first.

    Only one source's servers are used at a time: an old backup that happens to
    answer is no peer of what DHCP says today. What is in the file already stays
    in its place, so that answer times alone never rewrite it.
    """
    usable = [upstream for upstream in among if upstream.is_usable] or list(among)
    if not usable:
        return ()
    best = min(upstream.rank for upstream in usable)
    tier = [upstream for upstream in usable if upstream.rank == best]
    order = {address: place for place, address in enumerate(current)}

    def key(upstream: Upstream) -> tuple[int, float]:
        return order.get(upstream.address, len(order)), upstream.verdict.rtt or 0.0

    return tuple(upstream.address for upstream in sorted(tier, key=key)[:count])


def can_stay(servers: Sequence[IPAddress], among: Pool) -> bool:
    """Tell whether a file with these real servers is as good as any.

    One that has not been asked yet is given the time to answer.

    With no upstream answering at all nothing is better than what is there: an
    outage is no reason to rewrite.
    """
    usable = {upstream.address: upstream.rank for upstream in among if upstream.is_usable}
    if not usable:
        return bool(servers)
    best = min(usable.values())
    unasked = {u.address for u in among if u.verdict.answered_at is None and not u.verdict.failures}
    return all(server in usable or server in unasked for server in servers) and any(
        usable.get(server) == best for server in servers[:1]
    )


def unasked(verdict: Verdict) -> Verdict:
    """Return the verdict on a silent server as if it had just fallen silent."""
    return replace(verdict, asked_at=None, failures=min(verdict.failures, LOST_AFTER))


def heard(verdicts: Verdicts, answers: Iterable[Answer]) -> Verdicts:
    """Return the verdicts after these answers."""
    changed = dict(verdicts)
    for answer in answers:
        before = changed.get(answer.address, _UNKNOWN)
        if answer.outcome is Outcome.ANSWERED:
            changed[answer.address] = replace(
                before,
                waiting=False,
                answered_at=answer.at,
                rtt=answer.rtt,
                failures=0,
                detail=answer.detail,
            )
        else:
            changed[answer.address] = replace(
                before, waiting=False, failures=before.failures + 1, detail=answer.detail
            )
    return changed


def remember(
    remembered: tuple[Candidate, ...], worth: Iterable[Candidate], policy: Policy
) -> tuple[Candidate, ...]:
    """Return what to keep across reboots: the newest candidates that proved themselves.

    The configuration is not remembered: what the operator removes there is gone.
    """
    kept = {c.address: c for c in remembered if is_upstream(c.address, policy)}
    for candidate in worth:
        if candidate.source is Source.CONFIG or candidate.address.is_loopback:
            continue
        known = kept.get(candidate.address)
        if known is None or candidate.seen - known.seen >= REFRESH:
            origin = candidate.origin
            kept[candidate.address] = replace(candidate, source=Source.REMEMBERED, origin=origin)
    newest = sorted(kept.values(), key=lambda candidate: candidate.seen, reverse=True)
    return tuple(newest[:MOST_REMEMBERED])
