"""The policy: from memory and one observation to a plan, and nothing else.

``decide`` does no I/O, knows no clock and logs nothing; time arrives in the
observation, memory is returned, not changed. The steps stand in their order:
hear the answers, learn from others (:mod:`lessons`), rank the upstreams, choose the mode,
then what to write (:mod:`rewrite`) and whom to ask (:mod:`questions`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dnsguard.core import inform, lessons, upstreams
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Outcome
from dnsguard.core.border import Border
from dnsguard.core.health import ONE_TIME, advance
from dnsguard.core.hold import Hold, Serves, active
from dnsguard.core.lessons import RESOLV_CONF
from dnsguard.core.memory import Memory
from dnsguard.core.model import (
    PROOF_AWAITED,
    RANK,
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
    UpstreamState,
)
from dnsguard.core.questions import questions
from dnsguard.core.rewrite import pod_file, remedy, rewrite
from dnsguard.core.upstreams import Pool


def decide(memory: Memory, seen: Observation, policy: Policy) -> tuple[Memory, Plan]:
    """Return what to remember and what to do, from what was remembered and seen."""
    before = memory
    memory = lessons.read_file(_hear(memory, seen, policy), seen)
    memory, announced = lessons.read_records(memory, seen)
    border = draw_border(memory, seen, policy)
    known = rank(memory, seen, policy, border)
    remembered = _remember(memory, seen, upstreams.pool(known), border)
    if remembered != memory.remembered:
        # What has just proved itself ranks higher from now on, not from the next look on.
        memory = replace(memory, remembered=remembered)
        known = rank(memory, seen, policy, border)
    pool = upstreams.pool(known)
    obstacle = next(_obstacles(memory, seen, policy, pool), _NONE)
    memory = _turn(memory, seen, policy, obstacle)
    because = (
        ("nodelocal", f"{memory.health.state}: {memory.health.detail}"),
        ("handover", _why(memory.hold, obstacle)),
    )
    memory, file = rewrite(memory, seen, pool, border, announced=announced)
    memory, asked = questions(memory, seen.now, policy, known, needs_proof=obstacle.needs_proof)
    memory, informs = _ask_dhcp(memory, seen, policy, pool)
    trust, trusted = upstreams.state(pool)
    actions: list[Action] = [] if file.action is None else [file.action]
    actions += pod_file(memory, seen, policy, pool, border)
    if memory.foreign is not None and memory.foreign != before.foreign:
        actions.append(KeepForeign(content=memory.foreign))
    if memory.remembered != before.remembered:
        actions.append(Remember(candidates=memory.remembered))
    if seen.hold is not None and memory.hold is None:
        actions.append(EndHold(hold=seen.hold))
    return replace(memory, identity=seen.file.identity), Plan(
        mode=memory.mode,
        hold=memory.hold,
        nodelocal=memory.health.state,
        upstream=trust,
        wanted=file.wanted,
        actions=tuple(actions),
        because=(*because, ("upstream", trusted), *file.because),
        questions=asked.now,
        informs=informs.now,
        tramples=memory.tramples,
        delay=memory.fight.delay,
        remedy=remedy(memory, seen, border),
        is_settled=file.is_settled,
        look_at=min(
            seen.now + policy.slow,
            asked.next_at,
            informs.next_at,
            file.look_at,
            obstacle.look_at,
            seen.now + policy.slow if memory.hold is None else memory.hold.until,
        ),
    )


def draw_border(memory: Memory, seen: Observation, policy: Policy) -> Border:
    """Return what is no upstream, as far as is known by now."""
    return Border(
        cluster=policy.cluster,
        named=policy.servers,
        own=memory.bound or frozenset(),
        exposed=frozenset(a for a, verdict in memory.verdicts.items() if verdict.is_exposed),
        stubs=seen.found.stubs,
    )


def rank(memory: Memory, seen: Observation, policy: Policy, border: Border) -> Pool:
    """Return every nameserver that any source names, best first, refused ones too."""
    candidates = (
        *_configured(policy.servers, Source.CONFIG, "upstream.servers", seen.wall),
        *lessons.candidates(memory),
        *upstreams.recall(memory.remembered),
        *seen.found.candidates,
        *inform.candidates(memory.informs),
        *_configured(policy.fallback, Source.FALLBACK, "upstream.fallback", seen.wall),
    )
    return upstreams.known(candidates, memory.verdicts, border)


def _configured(
    servers: tuple[IPAddress, ...], source: Source, key: str, now: float
) -> Iterator[Candidate]:
    return (Candidate(address=one, source=source, origin=key, seen=now) for one in servers)


def _hear(memory: Memory, seen: Observation, policy: Policy) -> Memory:
    """Take in the answers and the addresses."""
    verdicts = memory.verdicts
    answers = [answer for answer in seen.answers if answer.address not in policy.cluster]
    if answers:
        verdicts = upstreams.heard(verdicts, answers)
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
        bound=bound,
        informs=informs,
    )


def _remember(
    memory: Memory, seen: Observation, pool: Pool, border: Border
) -> tuple[Candidate, ...]:
    """Keep the upstreams that have answered just now, forget what others have outlived."""
    answered = {a.address for a in seen.answers if a.outcome is Outcome.ANSWERED}
    proven = frozenset(u.address for u in pool if u.is_usable and u.address in answered)
    named = (*memory.learned, *(u.candidate for u in pool if u.address in proven))
    kept = upstreams.remember(memory.remembered, named, proven, border, seen.wall)
    outlived = upstreams.outlived(pool) - {learned.address for learned in memory.learned}
    return tuple(candidate for candidate in kept if candidate.address not in outlived)


def _ask_dhcp(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool
) -> tuple[Memory, inform.Due]:
    """Ask the DHCP servers where the lease is poisoned, or where nobody else answers."""
    better = [u for u in pool if RANK[u.candidate.source] < RANK[Source.INFORM]]
    is_stranded = all(u.verdict.failures and not u.is_usable for u in better)
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
    if hold is not None and hold.serves is Serves.UPSTREAM:
        yield _Obstacle(hold.describe())
    if hold is None and health.state is not NodeLocal.HEALTHY:
        yield _Obstacle("waits until NodeLocalDNS is healthy")
    if hold is None and policy.handover is HandoverMode.NEVER:
        yield _Obstacle("handover.mode is never")
    if policy.handover is HandoverMode.AUTO and seen.pods_read == RESOLV_CONF:
        yield _Obstacle(
            f"kubelet gives {RESOLV_CONF} to pods, which would inherit the loop"
            "; remedy: dnsguard kubelet adopt --restart"
        )
    if not pool:
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
