"""Which nameservers are real, which of them answer, and which are to be used."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from dnsguard.core.exclusions import Exclusions
from dnsguard.core.model import RANK, Candidate, Doubt, Source, Trust, UpstreamState
from dnsguard.core.probe_record import _UNKNOWN, ProbeRecord, ProbeRecords
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress, zoned

MOST_NAMED = 30
"""Addresses of one text. glibc uses three lines; the others may count once those are refused."""

_GUESSES = frozenset({Source.GUESS, Source.FALLBACK})


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
    record: ProbeRecord
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
        return self.record.answers if is_named else self.record.is_usable

    @property
    def is_open(self) -> bool:
        """Whether it has yet to be heard: nothing speaks for it, nor against it."""
        return not (self.is_usable or self.record.failures or self.record.doubts)

    @property
    def standing(self) -> Standing:
        if self.is_usable:
            return Standing.USABLE
        if self.is_proven:
            return Standing.PROVEN if self.record.is_silent else Standing.EXPECTED
        return Standing.ANSWERS if self.record.answers else Standing.NAMED

    @property
    def is_guess(self) -> bool:
        """Whether it is asked only when nothing better answers."""
        return self.candidate.source in (*_GUESSES, Source.DELETED)


Pool = tuple[Upstream, ...]


def summarize(among: Pool) -> Trust:
    """Return how far the upstreams can be trusted, and why no further."""
    if any(upstream.is_usable for upstream in among):
        return Trust(state=UpstreamState.VERIFIED)
    if not among:
        return Trust(state=UpstreamState.NONE)
    answering = [upstream for upstream in among if upstream.record.answers]
    doubted = next((one.address for one in answering if one.record.doubts), None)
    if doubted is not None:
        doubt = Doubt.MAYBE_CLUSTER
    elif not answering and all(upstream.record.has_outcome for upstream in among):
        doubt = Doubt.SILENT
    else:
        # Who has answered for the outside has yet to say what it knows of the cluster.
        doubt = Doubt.NOT_ASKED
    return Trust(state=UpstreamState.UNVERIFIED, doubt=doubt, doubted=doubted)


def from_text(content: bytes, *, source: Source, origin: str, seen: float) -> tuple[Candidate, ...]:
    """Return the candidates that a resolv.conf names, in its order, as many as can ever matter."""
    return tuple(
        Candidate(address=address, source=source, origin=origin, seen=seen)
        for address in resolvconf.find_meant(content)[:MOST_NAMED]
    )


def rank_all(
    candidates: Iterable[Candidate], records: ProbeRecords, exclusions: Exclusions
) -> Pool:
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
    return tuple(_make_upstream(candidate, proven, records, exclusions) for candidate in ranked)


def _make_upstream(
    candidate: Candidate,
    proven: Container[IPAddress],
    records: ProbeRecords,
    exclusions: Exclusions,
) -> Upstream:
    record = records.get(candidate.address, _UNKNOWN)
    is_suspect = exclusions.is_suspect(candidate.address)
    return Upstream(
        candidate=candidate,
        record=record,
        refusal=exclusions.reason(candidate.address) or _refuse_stale_stub(candidate),
        is_proven=candidate.address in proven or record.was_cleared,
        is_doubtful=is_suspect
        or exclusions.is_own(candidate.address)
        or _is_recalled_stub(candidate),
        is_suspect=is_suspect,
    )


def _refuse_stale_stub(candidate: Candidate) -> str | None:
    is_old = RANK[candidate.source] > RANK[Source.DHCP] and not _is_recalled_stub(candidate)
    if candidate.address.is_loopback and is_old:
        return "a loopback address, and its stub may be gone by now"
    return None


def _is_recalled_stub(candidate: Candidate) -> bool:
    """Tell whether it is the node's own resolver on loopback, which has answered here earlier.

    It counts once it answers in this boot, as one at the node's LAN address does (case 70).
    """
    return candidate.address.is_loopback and candidate.answered is not None


def usable_in_principle(among: Pool) -> Pool:
    """Return those that can be used at all."""
    return tuple(upstream for upstream in among if upstream.refusal is None)


def drop_deleted(among: Pool) -> Pool:
    """Return those that no person took out of the file; all, where those are silent."""
    kept = tuple(one for one in among if one.candidate.source is not Source.DELETED)
    return kept if any(not one.record.is_silent for one in eligible(kept)) else among


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


def choose(among: Pool, current: Sequence[IPAddress], count: int) -> tuple[IPAddress, ...]:
    """Return the best upstreams: those that are usable, of the best source.

    named by                                   answers    chosen
    lease      192.0.2.1, 192.0.2.2            both       192.0.2.1, 192.0.2.2
    backup     192.0.2.9                       yes
    lease      10.233.10.10                    no         192.0.2.1
    remembered 192.0.2.1                       no
    """
    ranked = eligible(among)
    if not ranked:
        return ()
    # Where none is usable, who answers or has answered earlier comes before who never did: at
    # boot the address of a poisoned lease beat the remembered server, both silent (issue 13).
    best = min(ranked, key=lambda upstream: (upstream.standing, upstream.rank))
    # One source at a time: an old backup that happens to answer is no peer of what DHCP says
    # today, and split DNS of two networks in one file answers by chance.
    peers = [upstream for upstream in ranked if upstream.rank == best.rank]
    if best.standing in (Standing.USABLE, Standing.ANSWERS):
        # glibc waits 5 s for a dead one that stands first (resolv.conf(5), timeout).
        peers = [upstream for upstream in peers if upstream.standing <= best.standing]

    def preference(upstream: Upstream) -> tuple[bool, float]:
        return upstream.address not in current, upstream.record.rtt or 0.0

    # A person's order is kept. Of another source's many, those that are in the file already and
    # then the fastest are taken; they stand in the source's order, the same at each boot.
    is_ordered = best.candidate.source is Source.RESOLV_CONF
    chosen = peers if is_ordered else sorted(peers, key=preference)
    taken = {upstream.address for upstream in chosen[:count]}
    return tuple(upstream.address for upstream in peers if upstream.address in taken)


def in_order(addresses: Sequence[IPAddress], among: Pool) -> tuple[IPAddress, ...]:
    """Return the addresses as :func:`choose` would order them, strangers last."""
    places = {upstream.address: place for place, upstream in enumerate(among)}
    return tuple(sorted(addresses, key=lambda address: places.get(address, len(places))))


def drop_refusing(servers: Sequence[IPAddress], among: Pool) -> Sequence[IPAddress]:
    """Return those that do not refuse every name outside; all, where all do.

    glibc asks the next one at once (resolv/res_send.c), so who refuses costs nothing there, and may
    be the only one that knows the company's own names.
    """
    refusing = {upstream.address for upstream in among if upstream.record.is_refusing}
    return [server for server in servers if server not in refusing] or servers


def is_good_enough(servers: Sequence[IPAddress], among: Pool, count: int) -> bool:
    """Tell whether a file with these real servers is as good as any: then it stays.

    the file says            others                     stays?
    192.0.2.1  answers       -                          yes
    192.0.2.1  silent        nobody answers             yes: an outage is no reason to write
    192.0.2.1  silent        192.0.2.2 answered since   no
    192.0.2.1  not asked     192.0.2.2 answers          yes: it has the time to answer
    192.0.2.1  answers       its peer answers, too      no: the file has room
    192.0.2.1  answers       -                          no, if only an older source names the
    192.0.2.2  answers                                  second: it may have been retired
    """
    named = [upstream for upstream in among if upstream.address in servers]
    # Among the cluster's services, and never proven: what stands there is likely its DNS. The
    # lease that superseded with 10.233.10.10 had it written for 60 s of each boot (issue 13).
    if named and all(u.is_suspect and not (u.is_usable or u.is_proven) for u in named):
        return not eligible(among)
    # Who was last asked before the outage began is no better: the file flipped to one that was
    # as dead (issue 13).
    since = _silent_since(named)
    usable = {u.address: u.rank for u in among if u.is_usable and _answered_since(u, since)}
    if not usable:
        return bool(servers) and not _has_better(named, among, since)
    # A peer that answers is missed, as long as the file has room.
    best = min(usable.values())
    if len(servers) < min(count, list(usable.values()).count(best)):
        return False
    is_best = any(u.rank == best for u in named if u.address == servers[0])
    heard = {u.address for u in named if u.address in usable or u.is_open}
    # A boot before the lease writes all it remembers; whom the lease no more names goes with it.
    older = (u for u in named if u.rank > best and u.candidate.source is not Source.RESOLV_CONF)
    return is_best and heard.issuperset(servers) and not any(older)


def _silent_since(named: Sequence[Upstream]) -> float | None:
    """Return since when none of them has answered; None while one of them may."""
    if not named or not all(upstream.record.is_silent for upstream in named):
        return None
    return max(upstream.record.failing_since or 0.0 for upstream in named)


def _answered_since(upstream: Upstream, since: float | None) -> bool:
    at = upstream.record.answered_at
    return since is None or (at is not None and at > since)


def _has_better(named: Sequence[Upstream], among: Pool, since: float | None) -> bool:
    """Tell whether silent servers have to give way, though no usable one is known.

    Who answers goes before who is silent, and who was proven before who never was.
    """
    if since is None:
        return False
    is_proven = any(upstream.is_proven for upstream in named)
    return any(
        (upstream.record.answers and _answered_since(upstream, since))
        or (upstream.is_proven and not is_proven)
        for upstream in eligible(among)
        if upstream not in named
    )
