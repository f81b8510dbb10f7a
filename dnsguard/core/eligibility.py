"""Whom any source names, in the order of its rank, and who can't be an upstream."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dnsguard.core import dhcp_query, learn, links, remembered, resolved, upstreams
from dnsguard.core.answers import Outcome
from dnsguard.core.evidence import Services
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.memory import Memory
from dnsguard.core.model import Candidate, Source
from dnsguard.core.observation import Observation
from dnsguard.core.policy import Policy
from dnsguard.core.upstreams import Pool
from dnsguard.formats.address import IPAddress, is_unique_local

_RESOLVED = ("/systemd/resolve/stub-resolv.conf", "/systemd/resolve/resolv.conf")


_RESOLVED_STATIC = "lib/systemd/resolv.conf"
"""The files of systemd-resolved's. Where resolv.conf is no link to one of them, it reads
resolv.conf as configuration (systemd-resolved.service(8), /ETC/RESOLV.CONF)."""


def find_exclusions(memory: Memory, seen: Observation, policy: Policy) -> Exclusions:
    """Return what is no upstream, as far as is known by now."""
    return Exclusions(
        cluster=policy.cluster,
        named=policy.servers,
        own=memory.bound or frozenset(),
        cluster_resolvers=frozenset(memory.cluster_resolvers),
        stubs=seen.found.stubs,
        are_stubs_echoes=_resolved_reads_resolv_conf(seen),
        services=services(policy, memory.kubernetes, memory.health.address),
    )


def services(
    policy: Policy, kubernetes: frozenset[IPAddress] = frozenset(), listens: IPAddress | None = None
) -> Services:
    """Return what is known of the cluster's services; where NodeLocalDNS listens is none.

    :param listens: there it does, as far as is known. A unique local address may be either.
    """
    open_ = (one for one in policy.told if one != listens and is_unique_local(one))
    own = frozenset(policy.nodelocal) - frozenset(open_)
    nodelocal = own if policy.require_binding else frozenset[IPAddress]()
    return Services(
        kubernetes=kubernetes, told=policy.told - nodelocal, assumed=policy.cluster - nodelocal
    )


def _resolved_reads_resolv_conf(seen: Observation) -> bool:
    """Tell whether systemd-resolved asks whom resolv.conf names, and so tells nothing new."""
    link = seen.file.link or ""
    return not link.endswith((*_RESOLVED, _RESOLVED_STATIC))


def rank(memory: Memory, seen: Observation, policy: Policy, exclusions: Exclusions) -> Pool:
    """Return every nameserver that any source names, best first, refused ones too."""
    candidates = (
        *_from_configuration(policy.servers, Source.CONFIG, "upstream.servers", seen.wall),
        *_without_echoes(learn.candidates(memory), seen),
        *dhcp_query.candidates(memory.dhcp_answers),
        *remembered.load_remembered(memory.remembered),
        *find_in_force(filter_found(seen), memory.bound),
        *_from_configuration(policy.fallback, Source.FALLBACK, "upstream.fallback", seen.wall),
    )
    ranked = (_demote(memory, candidate) for candidate in candidates)
    return upstreams.rank_all(ranked, memory.probe_records, exclusions)


def _demote(memory: Memory, candidate: Candidate) -> Candidate:
    """Rank whom a person took out of the file behind all, unless the configuration names them."""
    is_told = candidate.source in (Source.CONFIG, Source.FALLBACK)
    if is_told or candidate.address not in memory.deleted:
        return candidate
    origin = f"deleted by hand; {candidate.source}: {candidate.origin}"
    return replace(candidate, source=Source.DELETED, origin=origin, tier=0, is_in_force=False)


def filter_found(seen: Observation) -> Iterator[Candidate]:
    """Yield what the node's files name, but for an echo of resolv.conf itself.

    That is resolved's list of whom it asks; behind it, in the next tier, is its configuration.
    """
    is_echo = bool(seen.found.stubs) and _resolved_reads_resolv_conf(seen)
    for one in _without_echoes(seen.found.candidates, seen):
        if not (is_echo and one.source is Source.RESOLVED and one.tier == 0):
            yield one


def _without_echoes(candidates: Iterable[Candidate], seen: Observation) -> Iterator[Candidate]:
    """Leave out whom systemd-resolved names because our part of its configuration does.

    By its own list, or by a resolv.conf that is a link to that.
    """
    ours = resolved.echoes(seen)
    is_link = links.leads_to_resolved(links.managers_link(seen.file))
    for one in candidates:
        is_its_list = one.source is Source.RESOLVED and one.tier == 0
        if not (
            one.address in ours and (is_its_list or (is_link and one.source is Source.RESOLV_CONF))
        ):
            yield one


def find_in_force(
    found: Iterable[Candidate], bound: frozenset[IPAddress] | None
) -> Iterator[Candidate]:
    """Yield the candidates, those of leases whose address the node has as in force."""
    for one in found:
        is_held = one.leased is not None and one.leased in (bound or ())
        yield replace(one, is_in_force=True) if is_held else one


def _from_configuration(
    servers: tuple[IPAddress, ...], source: Source, key: str, now: float
) -> Iterator[Candidate]:
    return (Candidate(address=one, source=source, origin=key, seen=now) for one in servers)


def update_remembered(
    memory: Memory, seen: Observation, pool: Pool, exclusions: Exclusions
) -> Memory:
    """Keep the upstreams that have answered just now, forget what others have outlived."""
    answered = {a.address for a in seen.answers if a.outcome is Outcome.ANSWERED}
    # By what it has shown; that the operator names it is no proof once the name is taken away.
    proven = frozenset(u.address for u in pool if u.record.is_usable and u.address in answered)
    named = (*memory.learned, *(u.candidate for u in pool if u.address in proven))
    kept = remembered.remember(memory.remembered, named, proven, exclusions, seen.wall)
    kept = remembered.mark_replaced(kept, pool)
    if kept != memory.remembered:
        said = (
            *learn.candidates(memory),
            *filter_found(seen),
            *dhcp_query.candidates(memory.dhcp_answers),
        )
        kept = remembered.as_named(kept, said)
    stale = remembered.find_stale(pool) - {learned.address for learned in memory.learned}
    left = tuple(candidate for candidate in kept if candidate.address not in stale)
    return memory if left == memory.remembered else replace(memory, remembered=left)
