"""The policy: from memory and one observation to a plan, and nothing else.

``decide`` does no I/O, knows no clock and logs nothing; time arrives in the
observation, memory is returned, not changed. The steps stand in their order:
hear the answers, learn from a foreign file, rank the upstreams, choose the mode,
then what to write (:mod:`rewrite`) and whom to ask (:mod:`questions`).
"""

from dataclasses import replace

from dnsguard.core import resolvconf, upstreams
from dnsguard.core.answers import Outcome
from dnsguard.core.health import advance
from dnsguard.core.memory import Memory
from dnsguard.core.model import (
    Action,
    HandoverMode,
    KeepForeign,
    Mode,
    NodeLocal,
    Observation,
    Plan,
    Policy,
    Remember,
    Source,
    UpstreamState,
)
from dnsguard.core.questions import questions
from dnsguard.core.rewrite import Pairs, pod_file, remedy, rewrite
from dnsguard.core.upstreams import Pool

RESOLV_CONF = "/etc/resolv.conf"


def decide(memory: Memory, seen: Observation, policy: Policy) -> tuple[Memory, Plan]:
    """Return what to remember and what to do, from what was remembered and seen."""
    before = memory
    memory = _learn(_hear(memory, seen, policy), seen, policy)
    pool = rank(memory, seen, policy)
    memory = _remember(memory, seen, policy, pool)
    mode, because = _mode(memory, seen, policy, pool)
    if mode is not memory.mode or memory.mode_since is None:
        memory = replace(memory, mode=mode, mode_since=seen.now)
    memory, file = rewrite(memory, seen, policy, pool)
    memory, asked = questions(memory, seen.now, policy, pool)
    trust, trusted = upstreams.state(pool)
    actions: list[Action] = [] if file.action is None else [file.action]
    actions += pod_file(memory, seen, policy, pool)
    if memory.foreign is not None and memory.foreign != before.foreign:
        actions.append(KeepForeign(content=memory.foreign))
    if memory.remembered != before.remembered:
        actions.append(Remember(candidates=memory.remembered))
    return replace(memory, identity=seen.file.identity), Plan(
        mode=mode,
        nodelocal=memory.health.state,
        upstream=trust,
        wanted=file.wanted,
        actions=tuple(actions),
        because=(*because, ("upstream", trusted), *file.because),
        questions=asked.now,
        tramples=memory.tramples,
        delay=memory.fight.delay,
        remedy=remedy(memory, seen, policy),
        is_settled=file.is_settled,
        look_at=min(seen.now + policy.slow, asked.next_at, file.look_at),
    )


def rank(memory: Memory, seen: Observation, policy: Policy) -> Pool:
    """Return every known upstream, best first."""
    candidates = (*seen.found, *memory.learned, *memory.remembered)
    return upstreams.pool(candidates, memory.verdicts, policy)


def _hear(memory: Memory, seen: Observation, policy: Policy) -> Memory:
    """Take in the answers and the addresses."""
    verdicts = memory.verdicts
    if seen.answers:
        verdicts = upstreams.heard(verdicts, seen.answers)
    if seen.bound is not None and seen.bound != memory.bound:
        # The network has changed: who was silent may answer now, so ask at once.
        verdicts = {
            address: verdict if verdict.is_usable else upstreams.unasked(verdict)
            for address, verdict in verdicts.items()
        }
    bound = memory.bound if seen.bound is None else seen.bound
    health = advance(memory.health, seen, policy)
    return replace(memory, health=health, verdicts=verdicts, bound=bound)


def _learn(memory: Memory, seen: Observation, policy: Policy) -> Memory:
    """Take in what someone else wrote. Our own writing teaches nothing."""
    file = seen.file
    if file.trouble is not None or file.content == memory.written:
        return memory
    if file.identity == memory.identity:
        return memory  # Ours could not be written: the file is the one seen before.
    if not file.content and memory.foreign is not None:
        return memory  # Truncated: nothing is said yet, and nothing taken back.
    is_first = memory.written is None
    written_at = file.identity.mtime_ns / 1e9 if is_first and file.identity else seen.wall
    foreign = resolvconf.unguard(file.content)
    learned = upstreams.from_text(
        foreign, policy, source=Source.RESOLV_CONF, origin=RESOLV_CONF, seen=written_at
    )
    # The servers of the version before stay known, as memory.
    known = upstreams.remember(memory.remembered, (*memory.learned, *learned), policy)
    memory = replace(memory, foreign=foreign, learned=learned, remembered=known)
    if is_first:
        return memory
    return replace(memory, tramples=memory.tramples + 1, last_trample=seen.wall)


def _remember(memory: Memory, seen: Observation, policy: Policy, pool: Pool) -> Memory:
    """Keep the upstreams that have answered just now."""
    answered = {a.address for a in seen.answers if a.outcome is Outcome.ANSWERED}
    if not answered:
        return memory
    worth = [replace(u.candidate, seen=seen.wall) for u in pool if u.address in answered]
    return replace(memory, remembered=upstreams.remember(memory.remembered, worth, policy))


def _mode(memory: Memory, seen: Observation, policy: Policy, pool: Pool) -> tuple[Mode, Pairs]:
    """Choose who serves the node. Every condition of a handover stands here."""
    health = memory.health
    because: Pairs = (("nodelocal", f"{health.state}: {health.detail}"),)

    def guarding(reason: str) -> tuple[Mode, Pairs]:
        return Mode.GUARDING, (*because, ("handover", reason))

    if health.state is not NodeLocal.HEALTHY:
        return guarding("waits until NodeLocalDNS is healthy")
    if policy.handover is HandoverMode.NEVER:
        return guarding("handover.mode is never")
    if policy.handover is HandoverMode.AUTO and seen.pods_read == RESOLV_CONF:
        return guarding(f"kubelet hands {RESOLV_CONF} to pods, which would inherit the loop")
    if not pool:
        return guarding("no upstream is known to stand behind NodeLocalDNS")
    if memory.mode is Mode.GUARDING and upstreams.state(pool)[0] is not UpstreamState.VERIFIED:
        return guarding("waits until an upstream answers")
    return Mode.HANDED_OVER, (*because, ("handover", "done"))
