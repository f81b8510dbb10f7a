"""Whether the node is handed to NodeLocalDNS: everything that can stand against it is here.

    mode            guarding             every blocker of :func:`find_blockers` gone
                      |      ^
                      v      |
                    handed over          one of them back: at once, in the same look

What only a handover has to wait for (an upstream that has answered, the hold-down, the proof) does
not end one. A hold (dnsguard hold) takes the place of what is judged, but not of what keeps pods
out of a loop, unless the operator has said that they are (``handover.mode = "always"``).
"""

from collections.abc import Iterator
from dataclasses import replace

from dnsguard.core import links, pods_file, resolved, upstreams
from dnsguard.core.blocker import Blocker, BlockerKind
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.health import ONE_TIME
from dnsguard.core.hold import Hold, Serves, active_hold
from dnsguard.core.learn import RESOLV_CONF
from dnsguard.core.memory import Memory
from dnsguard.core.model import NodeLocal, UpstreamState
from dnsguard.core.observation import Observation, PodsFile
from dnsguard.core.policy import HandoverMode, Policy
from dnsguard.core.upstreams import Pool

PROOF = frozenset({BlockerKind.UNPROVEN, BlockerKind.DISPROVEN})
"""Asked for by the guard itself, once nothing else is missing."""


def find_blockers(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool, exclusions: Exclusions
) -> tuple[Blocker, ...]:
    """Return what stands against a handover, or against staying handed over."""
    return tuple(_find_blockers(memory, seen, policy, pool, exclusions))


def _find_blockers(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool, exclusions: Exclusions
) -> Iterator[Blocker]:
    health, hold = memory.health, active_hold(seen.hold, seen.now)
    yield from _find_commands(seen, hold)
    if hold is None and health.state is not NodeLocal.HEALTHY:
        yield Blocker(BlockerKind.UNHEALTHY, "waits until NodeLocalDNS is healthy")
    if hold is None and policy.handover is HandoverMode.NEVER:
        yield Blocker(BlockerKind.NEVER, "handover.mode is never")
    if policy.handover is HandoverMode.AUTO:
        yield from _find_blockers_of_others(memory, seen, exclusions, is_held=hold is not None)
    if not upstreams.eligible(pool):
        why = "no upstream is known to stand behind NodeLocalDNS"
        yield Blocker(BlockerKind.NO_UPSTREAM, why)
    # What follows is asked before a handover only; what was handed over stays so through it.
    if hold is not None or memory.serves is Serves.NODELOCAL:
        return
    if pool and upstreams.summarize(pool).state is not UpstreamState.VERIFIED:
        yield Blocker(BlockerKind.UNVERIFIED, "waits until an upstream answers")
    hold_down = memory.flaps.hold_down_seconds(policy.hold_down)
    until = memory.flaps.until(policy.hold_down)
    if seen.now < until:
        why = f"waits for {hold_down:g} s: NodeLocalDNS {memory.flaps.describe()}"
        yield Blocker(BlockerKind.HOLD_DOWN, why, look_at=until)
    if not health.is_proven(seen.now):
        proof = health.streak(ONE_TIME)
        why = "waiting for a fresh (uncached) lookup to succeed"
        if proof.failures:
            yield Blocker(BlockerKind.DISPROVEN, f"{why}, {health.address} {proof.detail}")
        else:
            yield Blocker(BlockerKind.UNPROVEN, why)


def _find_commands(seen: Observation, hold: Hold | None) -> Iterator[Blocker]:
    """Yield what an operator has said against it."""
    if seen.is_last:
        why = "dnsguard is stopped, and nobody else watches NodeLocalDNS"
        yield Blocker(BlockerKind.STOPPING, why)
    if hold is not None and hold.serves is Serves.UPSTREAM:
        yield Blocker(BlockerKind.HELD, hold.describe())


def _find_blockers_of_others(
    memory: Memory, seen: Observation, exclusions: Exclusions, *, is_held: bool
) -> Iterator[Blocker]:
    """Yield what is against it in pods' file, and in a link whose place ours would take."""
    is_in_hand = resolved.is_in_hand(seen, exclusions)
    if seen.pods is not None and (
        why := _explain_inheritance(memory, seen.pods, exclusions, is_in_hand=is_in_hand)
    ):
        yield Blocker(BlockerKind.PODS, why, seen.pods.remedy)
    elif seen.pods is not None and (why := _explain_doubt(memory, seen.pods, exclusions)):
        yield Blocker(
            BlockerKind.PODS_UNKNOWN, why, 'handover.mode = "always" if that makes no loop'
        )
    if seen.pods_doubt is not None:
        why = f"nobody can tell which resolv.conf pods get: {seen.pods_doubt}"
        yield Blocker(BlockerKind.PODS_UNKNOWN, why)
    link = links.managers_link(seen.file)
    # One that leads to cluster DNS gives way to a file of ours at once, whoever serves.
    is_link = seen.file.leads_away and not links.leads_to_poison(seen.file, exclusions)
    is_managed = link is not None and (is_link or links.is_clean(seen, exclusions))
    is_curable = seen.file.leads_away and is_in_hand and links.leads_to_resolved(link)
    if is_managed and not is_held and not is_curable:
        now = "is" if seen.file.leads_away else "will soon be"
        why = f"{RESOLV_CONF} {now} a link to {link}, which another program keeps"
        yield Blocker(BlockerKind.LINK, why)


def _explain_inheritance(
    memory: Memory, pods: PodsFile, exclusions: Exclusions, *, is_in_hand: bool
) -> str | None:
    """Return why pods would inherit the loop, None where they would not."""
    if pods.path == RESOLV_CONF:
        return f"kubelet gives {RESOLV_CONF} to pods, which would inherit the loop"
    if _is_made_of_resolv_conf(memory, pods):
        return f"kubelet gives pods {pods.path}, which is made of {RESOLV_CONF}"
    if is_in_hand and pods.is_resolveds:
        return f"kubelet gives pods {pods.path}, which systemd-resolved makes of its own list"
    return pods_file.find_dead_end(pods, exclusions)


def _explain_doubt(memory: Memory, pods: PodsFile, exclusions: Exclusions) -> str | None:
    """Return whom pods are told to ask who may lead back here; None where nobody may.

    dnsmasq on the node asks whom resolv.conf names (dnsmasq(8), --resolv-file), so NodeLocalDNS,
    whose pod asks dnsmasq: the handover itself would make that loop.
    """
    for address in pods.nameservers or ():
        record = memory.probe_records.get(address)
        where = f"{address} in {pods.path}, which kubelet gives to pods,"
        if exclusions.is_own(address):
            return f"{where} is this node and may ask whom resolv.conf names"
        if exclusions.is_suspect(address) and not (record is not None and record.was_cleared):
            return f"{where} may be cluster DNS"
    return None


def needs_only_proof(blockers: tuple[Blocker, ...]) -> bool:
    """Tell whether an answer to a one-time name would hand the node over."""
    return bool(blockers) and all(one.kind in PROOF for one in blockers)


def is_kept_from_pods(memory: Memory, seen: Observation, policy: Policy) -> bool:
    """Tell whether resolv.conf may name cluster DNS alone: no pod gets what it says.

    Or the operator says that this does no harm. What stands in another file of theirs, nobody for want of an upstream, is no matter here.
    """
    if policy.handover is HandoverMode.ALWAYS:
        return True
    if seen.pods is None:
        return seen.pods_doubt is None
    return not _is_made_of_resolv_conf(memory, seen.pods)


def _is_made_of_resolv_conf(memory: Memory, pods: PodsFile) -> bool:
    return pods.path == RESOLV_CONF or pods.follows or memory.copying == pods.path


def record_copying(memory: Memory, seen: Observation, policy: Policy) -> Memory:
    """Note that pods' file has taken cluster DNS from resolv.conf: it would do so again."""
    if seen.pods is None or memory.copying is not None:
        known = None if seen.pods is None else seen.pods.path
        return memory if memory.copying == known else replace(memory, copying=None)
    named = seen.pods.nameservers or ()
    is_copy = memory.serves is Serves.NODELOCAL and memory.nodelocal in named
    was_safe = policy.handover is HandoverMode.AUTO and seen.pods.path != RESOLV_CONF
    return replace(memory, copying=seen.pods.path) if is_copy and was_safe else memory


def switch_mode(
    memory: Memory, seen: Observation, policy: Policy, blockers: tuple[Blocker, ...]
) -> Memory:
    """Choose who serves the node; note a change, and whether it was NodeLocalDNS that broke."""
    hold = active_hold(seen.hold, seen.now)
    serves = Serves.UPSTREAM if blockers else Serves.NODELOCAL
    if (serves, hold) == (memory.serves, memory.hold) and memory.mode_since is not None:
        return memory
    was_served = memory.hold is None and memory.serves is Serves.NODELOCAL
    has_broken = was_served and hold is None and memory.health.state is not NodeLocal.HEALTHY
    flaps = memory.flaps.record_break(seen.now, policy.hold_down) if has_broken else memory.flaps
    return replace(memory, serves=serves, hold=hold, mode_since=seen.now, flaps=flaps)


def explain(memory: Memory, blockers: tuple[Blocker, ...]) -> str:
    """Return why the node is or is not handed over, for people."""
    hold = memory.hold
    if not blockers:
        return "done" if hold is None else hold.describe()
    if hold is None or blockers[0].kind is BlockerKind.HELD:
        return blockers[0].describe()
    return f"{hold.describe()}, but {blockers[0].describe()}"
