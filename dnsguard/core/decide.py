"""The policy: from memory and one observation to a plan, and nothing else.

``decide`` does no I/O, knows no clock and logs nothing; time arrives in the
observation, memory is returned, not changed. The steps stand in their order:
hear the answers, learn from others (:mod:`lessons`), rank the upstreams, choose the mode,
then what to write (:mod:`rewrite`) and whom to ask (:mod:`questions`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dnsguard.core import inform, lessons, links, pods, resolvconf, upstreams
from dnsguard.core.address import IPAddress, is_unique_local
from dnsguard.core.answers import Answer, Ask, Outcome
from dnsguard.core.border import Border
from dnsguard.core.evidence import Services, is_private
from dnsguard.core.health import ONE_TIME, Health, advance
from dnsguard.core.hold import Hold, Serves, active
from dnsguard.core.lessons import RESOLV_CONF
from dnsguard.core.memory import Memory
from dnsguard.core.model import (
    PROOF_AWAITED,
    RANK,
    STOPPING,
    Action,
    Candidate,
    EndHold,
    HandoverMode,
    KeepForeign,
    NodeLocal,
    Observation,
    Plan,
    Policy,
    Remember,
    Source,
    Unused,
    UpstreamState,
)
from dnsguard.core.questions import questions
from dnsguard.core.rewrite import Rewrite, pod_file, remedy, rewrite
from dnsguard.core.unused import unused
from dnsguard.core.upstreams import Pool, Verdict, Verdicts

MOST_CONVICTS = 16
_RESOLVED = ("/systemd/resolve/stub-resolv.conf", "/systemd/resolve/resolv.conf")
_RESOLVED_STATIC = "lib/systemd/resolv.conf"
"""The files of systemd-resolved's. Where resolv.conf is no link to one of them, it reads
resolv.conf as configuration (systemd-resolved.service(8), /ETC/RESOLV.CONF)."""


def decide(memory: Memory, seen: Observation, policy: Policy) -> tuple[Memory, Plan]:
    """Return what to remember and what to do, from what was remembered and seen."""
    before = memory
    memory = lessons.read_file(_hear(memory, seen, policy), seen, policy.cluster)
    memory, announced = lessons.read_records(memory, seen)
    memory, behind = lessons.read_behind(memory, seen)
    announced = announced if behind is None else behind
    border = draw_border(memory, seen, policy)
    known = rank(memory, seen, policy, border)
    remembered = _remember(memory, seen, upstreams.pool(known), border)
    if remembered != memory.remembered:
        # What has just proved itself ranks higher from now on, not from the next look on.
        memory = replace(memory, remembered=remembered)
        known = rank(memory, seen, policy, border)
    pool = upstreams.without_deleted(upstreams.pool(known))
    memory = _note_copying(memory, seen, policy)
    obstacle = next(_obstacles(memory, seen, policy, pool), _NONE)
    memory = _turn(memory, seen, policy, obstacle)
    because = (
        ("nodelocal", f"{memory.health.state}: {memory.health.detail}"),
        ("handover", _why(memory.hold, obstacle)),
    )
    reaches_pods = _reaches_pods(memory, seen, policy)
    memory, file = rewrite(
        memory, seen, pool, border, announced=announced, reaches_pods=reaches_pods
    )
    memory, asked = questions(
        memory, seen.now, policy, known, border.services, needs_proof=obstacle.needs_proof
    )
    memory, informs = _ask_dhcp(memory, seen, policy, pool)
    trust, trusted = upstreams.state(pool)
    actions: list[Action] = [] if file.action is None else [file.action]
    actions += pod_file(memory, seen, policy, pool, border)
    if memory.foreign is not None and memory.foreign != before.foreign:
        actions.append(KeepForeign(content=memory.foreign))
    if kept(memory) != kept(before):
        actions.append(kept(memory))
    if seen.hold is not None and memory.hold is None:
        actions.append(EndHold(hold=seen.hold))
    memory, news = _news(memory, known, file, policy)
    # A version that could not be read is none that was seen: it may be read at the next look.
    identity = seen.file.identity if seen.file.trouble is None else None
    quiet_until = min(
        seen.now + policy.slow,
        asked.next_at if obstacle.needs_proof else asked.upstreams_at,
        informs.next_at,
        file.look_at,
        obstacle.look_at,
        seen.now + policy.slow if memory.hold is None else memory.hold.until,
    )
    return replace(memory, identity=identity), Plan(
        mode=memory.mode,
        hold=memory.hold,
        nodelocal=memory.health.state,
        upstream=trust,
        wanted=file.wanted,
        actions=tuple(actions),
        because=(*because, ("upstream", trusted), *file.because),
        questions=asked.now,
        informs=informs.now,
        unused=news,
        tramples=memory.tramples,
        delay=memory.fight.delay,
        remedy=remedy(memory, seen, border),
        is_settled=file.is_settled,
        look_at=min(quiet_until, asked.next_at),
        quiet_until=quiet_until,
    )


def confirm(memory: Memory, answers: tuple[Answer, ...], policy: Policy) -> Memory | None:
    """Return the memory after answers that tell nothing new; None if there is one to decide on.

    NodeLocalDNS is well, and says so once a second.
    """
    health: Health | None = memory.health
    for answer in answers:
        health = None if health is None else health.confirmed(answer, policy)
    if health is None or _learn_services(memory, answers, policy) is not memory:
        return None
    return replace(memory, health=health)


def _news(
    memory: Memory, known: Pool, file: Rewrite, policy: Policy
) -> tuple[Memory, tuple[Unused, ...]]:
    """Return what is to be told of the foreign file's lines, once it is decided."""
    if not file.is_settled:
        return memory, ()
    return unused(memory, known, file.wanted, policy)


def draw_border(memory: Memory, seen: Observation, policy: Policy) -> Border:
    """Return what is no upstream, as far as is known by now."""
    return Border(
        cluster=policy.cluster,
        named=policy.servers,
        own=memory.bound or frozenset(),
        exposed=frozenset(memory.convicts),
        stubs=seen.found.stubs,
        are_stubs_echoes=_echoes(seen),
        services=services(policy, memory.kubernetes, memory.health.address),
    )


def kept(memory: Memory) -> Remember:
    """Return what outlives the daemon."""
    return Remember(
        candidates=memory.remembered,
        convicts=memory.convicts,
        kubernetes=memory.kubernetes,
        deleted=memory.deleted,
    )


def services(
    policy: Policy,
    kubernetes: frozenset[IPAddress] = frozenset(),
    listens: IPAddress | None = None,
) -> Services:
    """Return what is known of the cluster's services; where NodeLocalDNS listens is none.

    :param listens: there it does, as far as is known. A unique local address may be either.
    """
    open_ = (one for one in policy.told if one != listens and is_unique_local(one))
    own = frozenset(policy.nodelocal) - frozenset(open_)
    nodelocal = own if policy.require_binding else frozenset[IPAddress]()
    return Services(
        kubernetes=kubernetes,
        told=policy.told - nodelocal,
        assumed=policy.cluster - nodelocal,
    )


def _echoes(seen: Observation) -> bool:
    """Tell whether systemd-resolved asks whom resolv.conf names, and so tells nothing new."""
    link = seen.file.link or ""
    return not link.endswith((*_RESOLVED, _RESOLVED_STATIC))


def rank(memory: Memory, seen: Observation, policy: Policy, border: Border) -> Pool:
    """Return every nameserver that any source names, best first, refused ones too."""
    candidates = (
        *_configured(policy.servers, Source.CONFIG, "upstream.servers", seen.wall),
        *lessons.candidates(memory),
        *upstreams.recall(memory.remembered),
        *_found(seen),
        *inform.candidates(memory.informs),
        *_configured(policy.fallback, Source.FALLBACK, "upstream.fallback", seen.wall),
    )
    ranked = (_demoted(memory, candidate) for candidate in candidates)
    return upstreams.known(ranked, memory.verdicts, border)


def _demoted(memory: Memory, candidate: Candidate) -> Candidate:
    """Rank whom a person took out of the file behind all, unless the configuration names them."""
    is_told = candidate.source in (Source.CONFIG, Source.FALLBACK)
    if is_told or candidate.address not in memory.deleted:
        return candidate
    origin = f"deleted by hand; {candidate.source}: {candidate.origin}"
    return replace(candidate, source=Source.DELETED, origin=origin, tier=0)


def forget(memory: Memory, address: IPAddress) -> Memory:
    """Return the memory without a server, but for what others name now."""
    named = resolvconf.addresses(memory.foreign or b"")
    return replace(
        memory,
        remembered=tuple(one for one in memory.remembered if one.address != address),
        learned=tuple(one for one in memory.learned if one.address != address or address in named),
        verdicts={one: verdict for one, verdict in memory.verdicts.items() if one != address},
    )


def _found(seen: Observation) -> Iterator[Candidate]:
    """Yield what the node's files name, but for an echo of resolv.conf itself.

    That is resolved's list of whom it asks; behind it, in the next tier, is its configuration.
    """
    is_echo = bool(seen.found.stubs) and _echoes(seen)
    for one in seen.found.candidates:
        if not (is_echo and one.source is Source.RESOLVED and one.tier == 0):
            yield one


def _configured(
    servers: tuple[IPAddress, ...], source: Source, key: str, now: float
) -> Iterator[Candidate]:
    return (Candidate(address=one, source=source, origin=key, seen=now) for one in servers)


def _hear(memory: Memory, seen: Observation, policy: Policy) -> Memory:
    """Take in the answers and the addresses."""
    memory = _learn_services(memory, seen.answers, policy)
    verdicts = _with_convicts(memory)
    answers = [answer for answer in seen.answers if answer.address not in policy.cluster]
    if answers:
        known = services(policy, memory.kubernetes, memory.health.address)
        verdicts = upstreams.heard(verdicts, answers, known)
    if seen.bound is not None and seen.bound != memory.bound:
        # The network has changed: who was silent may answer now, so ask at once.
        verdicts = {
            address: verdict if verdict.is_usable else upstreams.unasked(verdict)
            for address, verdict in verdicts.items()
        }
    bound = memory.bound if seen.bound is None else seen.bound
    health = advance(memory.health, seen, policy, verdicts)
    nodelocal = health.address or next(iter(policy.nodelocal), None)
    informs = memory.informs
    for informed in seen.informed:
        informs = inform.heard(informs, informed, seen.wall)
    return replace(
        memory,
        health=health,
        nodelocal=nodelocal,
        verdicts=verdicts,
        convicts=_convicts(memory, verdicts, seen.wall),
        bound=bound,
        informs=informs,
    )


def _learn_services(memory: Memory, answers: tuple[Answer, ...], policy: Policy) -> Memory:
    """Take in what NodeLocalDNS says the cluster's own name is.

    By that an outer cluster's DNS is told from this one's at the next boot, too. Only
    addresses that services have: its own upstream may rewrite NXDOMAIN.
    """
    if policy.nodelocal_question:
        return memory
    for answer in answers:
        is_told = answer.address in policy.cluster and answer.ask is Ask.CLUSTER
        is_new = bool(answer.records) and answer.records != memory.kubernetes
        if is_told and is_new and all(is_private(one) for one in answer.records):
            memory = replace(memory, kubernetes=answer.records)
    return memory


def _with_convicts(memory: Memory) -> Verdicts:
    """Return the verdicts, with what was found out in an earlier boot."""
    missing = memory.convicts.keys() - memory.verdicts.keys()
    if not missing:
        return memory.verdicts
    return {**memory.verdicts, **{one: Verdict(is_exposed=True) for one in missing}}


def _convicts(memory: Memory, verdicts: Verdicts, wall: float) -> Mapping[IPAddress, float]:
    """Return who is cluster DNS; the newest, where there are many."""
    known = memory.convicts
    exposed = [address for address, verdict in verdicts.items() if verdict.is_exposed]
    if known.keys() == set(exposed):
        return known
    convicts = {address: min(known.get(address, wall), wall) for address in exposed}
    newest = sorted(convicts, key=lambda address: convicts[address], reverse=True)
    return {address: convicts[address] for address in newest[:MOST_CONVICTS]}


def _remember(
    memory: Memory, seen: Observation, pool: Pool, border: Border
) -> tuple[Candidate, ...]:
    """Keep the upstreams that have answered just now, forget what others have outlived."""
    answered = {a.address for a in seen.answers if a.outcome is Outcome.ANSWERED}
    # By what it has shown; that the operator names it is no proof once the name is taken away.
    proven = frozenset(u.address for u in pool if u.verdict.is_usable and u.address in answered)
    named = (*memory.learned, *(u.candidate for u in pool if u.address in proven))
    kept = upstreams.remember(memory.remembered, named, proven, border, seen.wall)
    if kept != memory.remembered:
        said = (*lessons.candidates(memory), *_found(seen), *inform.candidates(memory.informs))
        kept = upstreams.as_named(kept, said)
    outlived = upstreams.outlived(pool) - {learned.address for learned in memory.learned}
    return tuple(candidate for candidate in kept if candidate.address not in outlived)


def _ask_dhcp(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool
) -> tuple[Memory, inform.Due]:
    """Ask the DHCP servers where the lease is poisoned, or where nobody else answers."""
    # What it said earlier is among these (upstreams.recall): it is not asked for ever.
    better = [u for u in pool if u.rank < (RANK[Source.INFORM], 0)]
    is_stranded = all((u.verdict.failures or u.verdict.doubts) and not u.is_usable for u in better)
    informs, due = inform.due(
        memory.informs,
        seen.found.leases if policy.asks_dhcp else (),
        seen.now,
        cluster=policy.cluster,
        bound=memory.bound or frozenset(),
        is_stranded=is_stranded,
    )
    return replace(memory, informs=informs), due


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """What stands against a handover."""

    reason: str
    needs_proof: bool = False
    """An answer to a one-time name would remove it, and nothing else is missing."""
    look_at: float = float("inf")
    """When it may be gone."""


_NONE = _Obstacle("done")


def obstacles(memory: Memory, seen: Observation, policy: Policy, pool: Pool) -> tuple[str, ...]:
    """Return all that stands against a handover now, for people.

    Not the proof while others do: it is asked for by itself once they are gone.
    """
    found = [*_obstacles(memory, seen, policy, pool)]
    return tuple(one.reason for one in found if not one.needs_proof or len(found) == 1)


def _obstacles(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool
) -> Iterator[_Obstacle]:
    """Yield what stands against a handover; every condition of one is here.

    A hold takes the place of what is judged, but not of what keeps the node out of a loop.
    """
    health, hold = memory.health, active(seen.hold, seen.now)
    yield from _commanded(seen, hold)
    if hold is None and health.state is not NodeLocal.HEALTHY:
        yield _Obstacle("waits until NodeLocalDNS is healthy")
    if hold is None and policy.handover is HandoverMode.NEVER:
        yield _Obstacle("handover.mode is never")
    if policy.handover is HandoverMode.AUTO:
        yield from _made_by_others(memory, seen, policy, is_held=hold is not None)
    if not upstreams.eligible(pool):
        yield _Obstacle("no upstream is known to stand behind NodeLocalDNS")
    if hold is not None or memory.serves is Serves.NODELOCAL:
        return
    if pool and upstreams.state(pool)[0] is not UpstreamState.VERIFIED:
        yield _Obstacle("waits until an upstream answers")
    held, until = memory.flaps.hold_down(policy.hold_down), memory.flaps.until(policy.hold_down)
    if seen.now < until:
        why = f"waits for {held:g} s: NodeLocalDNS {memory.flaps.describe()}"
        yield _Obstacle(why, look_at=until)
    if not health.is_proven(seen.now):
        proof = health.streak(ONE_TIME)
        why = f", {health.address} {proof.detail}" if proof.failures else ""
        yield _Obstacle(f"{PROOF_AWAITED}{why}", needs_proof=True)


def _commanded(seen: Observation, hold: Hold | None) -> Iterator[_Obstacle]:
    """Yield what an operator has said against it."""
    if seen.is_last:
        yield _Obstacle(STOPPING)
    if hold is not None and hold.serves is Serves.UPSTREAM:
        yield _Obstacle(hold.describe())


def _made_by_others(
    memory: Memory, seen: Observation, policy: Policy, *, is_held: bool
) -> Iterator[_Obstacle]:
    """Yield what is against it in pods' file, and in a link whose place ours would take."""
    if seen.pods is not None and (why := _inherits(memory, seen, policy)):
        yield _Obstacle(f"{why}; remedy: {seen.pods.remedy}")
    if seen.pods_doubt is not None:
        yield _Obstacle(f"nobody can tell which resolv.conf pods get: {seen.pods_doubt}")
    link, border = links.owned(seen.file), draw_border(memory, seen, policy)
    is_managed = link is not None and (seen.file.leads_away or links.is_clean(seen, border))
    if is_managed and not is_held:
        now = "is" if seen.file.leads_away else "will soon be"
        yield _Obstacle(f"{RESOLV_CONF} {now} a link to {link}, which another program keeps")


def _inherits(memory: Memory, seen: Observation, policy: Policy) -> str | None:
    """Return why pods would inherit the loop, None where they would not."""
    if seen.pods is None:
        return None
    if seen.pods.path == RESOLV_CONF:
        return f"kubelet gives {RESOLV_CONF} to pods, which would inherit the loop"
    if seen.pods.follows or memory.copying == seen.pods.path:
        return f"kubelet gives pods {seen.pods.path}, which is made of {RESOLV_CONF}"
    return pods.dead_end(seen.pods, draw_border(memory, seen, policy))


def _reaches_pods(memory: Memory, seen: Observation, policy: Policy) -> bool:
    """Tell whether what resolv.conf says may become what pods get.

    What stands in another file of theirs, nobody for want of an upstream, is no matter here.
    """
    if policy.handover is HandoverMode.ALWAYS:
        return False  # the operator says so
    if seen.pods is None:
        return seen.pods_doubt is not None
    is_same = seen.pods.path == RESOLV_CONF or seen.pods.follows
    return is_same or memory.copying == seen.pods.path


def _note_copying(memory: Memory, seen: Observation, policy: Policy) -> Memory:
    """Note that pods' file has taken cluster DNS from resolv.conf: it would do so again."""
    if seen.pods is None or memory.copying is not None:
        known = None if seen.pods is None else seen.pods.path
        return memory if memory.copying == known else replace(memory, copying=None)
    named = seen.pods.nameservers or ()
    is_copy = memory.serves is Serves.NODELOCAL and memory.nodelocal in named
    was_safe = policy.handover is HandoverMode.AUTO and seen.pods.path != RESOLV_CONF
    return replace(memory, copying=seen.pods.path) if is_copy and was_safe else memory


def _why(hold: Hold | None, obstacle: _Obstacle) -> str:
    """Return why the node is or is not handed over, for people."""
    if hold is None or obstacle.reason == hold.describe():
        return obstacle.reason
    return hold.describe() + ("" if obstacle is _NONE else f", but {obstacle.reason}")


def _turn(memory: Memory, seen: Observation, policy: Policy, obstacle: _Obstacle) -> Memory:
    """Choose who serves the node; note a change, and whether it was NodeLocalDNS that broke."""
    hold = active(seen.hold, seen.now)
    serves = Serves.NODELOCAL if obstacle is _NONE else Serves.UPSTREAM
    if (serves, hold) == (memory.serves, memory.hold) and memory.mode_since is not None:
        return memory
    was_served = memory.hold is None and memory.serves is Serves.NODELOCAL
    has_broken = was_served and hold is None and memory.health.state is not NodeLocal.HEALTHY
    flaps = memory.flaps.broke(seen.now, policy.hold_down) if has_broken else memory.flaps
    return replace(memory, serves=serves, hold=hold, mode_since=seen.now, flaps=flaps)
