"""What ``dnsguard status`` says, as data: built here, rendered elsewhere."""

import math
from collections.abc import Iterator

from dnsguard.core import links, pods, resolvconf, upstreams
from dnsguard.core.answers import Ask, Leg
from dnsguard.core.decide import draw_border, rank
from dnsguard.core.health import Streak, legs
from dnsguard.core.hold import Hold, Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import HandoverMode, Mode, Observation, Plan, Policy, UpstreamState
from dnsguard.core.outlook import outlook
from dnsguard.core.tramples import Tramples
from dnsguard.core.upstreams import NOT_ASKED, Pool, Upstream
from dnsguard.core.writers import UNKNOWN

Json = dict[str, object]
_CONFIGURE = "set upstream.servers in /etc/dnsguard/dnsguard.toml"


def report(
    memory: Memory, seen: Observation, plan: Plan, policy: Policy, *, trouble: tuple[str, ...]
) -> Json:
    """Return the status. ``trouble`` is what the shell knows to be wrong."""
    wrong = degraded(memory, seen, plan, policy, trouble)
    seconds = seen.now - (seen.now if memory.mode_since is None else memory.mode_since)
    pool = upstreams.pool(_known(memory, seen, policy))
    return {
        "mode": plan.mode,
        "mode_seconds": round(seconds, 1),
        "mode_since": round(seen.wall - seconds, 3),
        "hold": _hold(plan.hold, seen),
        "next": list(outlook(memory, seen, policy, pool)),
        "because": [list(pair) for pair in plan.because],
        "degraded": list(wrong),
        "resolv_conf": _file(memory, seen),
        "pod_file": {"nameservers": _nameservers(seen.pod_file or b"")},
        "nodelocal": {
            "address": str(memory.health.address) if memory.health.address else None,
            "state": plan.nodelocal,
            "detail": memory.health.detail,
            "rtt_ms": _milliseconds(memory.health.rtt),
            "legs": [_leg(leg, memory.health.streak(leg)) for leg in legs(policy)],
        },
        "upstream": {
            "state": plan.upstream,
            "servers": [
                one for one in candidates(memory, seen, plan, policy) if one["refused"] is None
            ],
        },
        "tramples": _tramples(memory.tramples),
    }


def headline(plan: Plan, degraded: tuple[str, ...] = ()) -> str:
    """Return what is wrong, mode and reason in a line, as ``systemctl status`` shows it."""
    servers = " ".join(str(address) for address in plan.wanted) or "none"
    because = dict(plan.because)["handover"]
    reason = "" if plan.mode is Mode.HANDED_OVER else f" ({because})"
    about = f"NodeLocalDNS {plan.nodelocal}, upstream {plan.upstream}"
    wrong = f"DEGRADED: {degraded[0]}; " if degraded else ""
    return f"{wrong}{plan.mode}: {servers}; {about}{reason}"


def _hold(hold: Hold | None, seen: Observation) -> Json | None:
    if hold is None:
        return None
    left = None if hold.until == math.inf else hold.until - seen.now
    return {
        "serves": hold.serves,
        "by": hold.by,
        "since": round(seen.wall - (seen.now - hold.since), 3),
        "seconds_left": None if left is None else round(left, 1),
        "until": None if left is None else round(seen.wall + left, 3),
    }


def _tramples(tramples: Tramples) -> Json:
    last = tramples.last
    return {
        "count": tramples.count,
        "by_writer": dict(tramples.by_writer),
        "last": None
        if last is None
        else {
            "at": round(last.at, 3),
            "writer": last.writer.name,
            "evidence": last.writer.evidence,
        },
    }


def _leg(leg: Leg, streak: Streak) -> Json:
    state = "fails" if streak.failures else "answers" if streak.successes else "not asked"
    return {
        "asked": leg.ask,
        "protocol": "tcp" if leg.tcp or leg.ask is Ask.HTTP else "udp",
        "state": state,
        "in_a_row": streak.failures or streak.successes,
        "rtt_ms": _milliseconds(streak.rtt),
        "detail": streak.detail,
    }


def degraded(
    memory: Memory, seen: Observation, plan: Plan, policy: Policy, trouble: tuple[str, ...]
) -> tuple[str, ...]:
    """Return what is wrong, and what to do about it.

    :param trouble: what the shell knows to be wrong.
    """
    wrong = list(trouble)
    if plan.hold is not None and memory.serves is not plan.hold.serves:
        wrong.append(f"what is held can't be: {dict(plan.because)['handover']}")
    elif plan.hold is not None and memory.serves is Serves.NODELOCAL and not memory.health.answers:
        wrong.append("held to NodeLocalDNS, which does not answer: dnsguard release")
    if plan.upstream is UpstreamState.NONE:
        wrong.append(f"no upstream is known: {_CONFIGURE}")
    elif plan.upstream is UpstreamState.UNVERIFIED and not _are_open(memory, plan, policy):
        wrong.append(_unverified(memory, plan, policy))
    elif memory.serves is Serves.UPSTREAM and _are_dead(memory, plan):
        wrong.append(_dead(memory, plan, policy))
    # Where nobody is to be named at all, that has been said.
    if plan.wanted and not _nameservers(seen.pod_file or b""):
        wrong.append("the file for kubelet names no upstream: see journalctl -u dnsguard")
    if seen.pods is not None and not (policy.handover is HandoverMode.ALWAYS and seen.pods.follows):
        dead = pods.dead_end(seen.pods, draw_border(memory, seen, policy))
        wrong += [f"{dead}: {seen.pods.remedy}"] if dead else []
    if seen.bound is None:
        wrong.append(
            "NodeLocalDNS can't be judged, the node's addresses can't be listed: dnsguard events"
        )
    if plan.delay and not trouble:
        wrong.append("something has rewritten resolv.conf again and again: dnsguard events")
    return tuple(wrong)


def _are_open(memory: Memory, plan: Plan, policy: Policy) -> bool:
    """Tell whether somebody in the file is being asked for the first time, and may answer."""
    if not dict(plan.because)["upstream"].endswith(NOT_ASKED):
        return False
    named = [address for address in plan.wanted if address not in policy.cluster]
    found = [memory.verdicts.get(address) for address in named]
    return any(one is None or not (one.failures or one.doubts) for one in found)


def _unverified(memory: Memory, plan: Plan, policy: Policy) -> str:
    """Return what is so where no upstream is usable, whose fault it is, and what helps."""
    why = dict(plan.because)["upstream"].removeprefix(f"{plan.upstream}: ")
    if why == upstreams.SILENT:
        why = ", ".join(_silent(memory, plan, policy)) or why
    used = "the best known one is used" if plan.wanted else "nobody is named"
    used = dict(plan.because).get("write", used)
    way = "dnsguard upstreams" if plan.wanted else _CONFIGURE
    return f"no upstream is verified ({why}), {used}: {way}"


def _are_dead(memory: Memory, plan: Plan) -> bool:
    """Tell whether nobody in the file answers though others do: it is not ours to write."""
    found = [memory.verdicts.get(address) for address in plan.wanted]
    return bool(found) and all(one is not None and one.is_silent for one in found)


def _dead(memory: Memory, plan: Plan, policy: Policy) -> str:
    why = dict(plan.because).get("write")
    told = f"nobody in resolv.conf answers ({', '.join(_silent(memory, plan, policy))})"
    return f"{told}{f', {why}' if why else ''}: dnsguard upstreams"


def _silent(memory: Memory, plan: Plan, policy: Policy) -> Iterator[str]:
    """Yield the upstreams in the file, each with what came of asking it."""
    for address in plan.wanted:
        verdict = memory.verdicts.get(address)
        if verdict is not None and address not in policy.cluster:
            yield f"{address} {verdict.detail}"


def _file(memory: Memory, seen: Observation) -> Json:
    content = seen.file.content
    released = resolvconf.nameservers(resolvconf.unguard(content))
    active = _nameservers(content)
    behind = dict.fromkeys(str(server.address) for server in released)
    for address in active:
        behind.pop(address, None)
    trouble = None if seen.file.trouble is None else f"{seen.file.trouble}: {seen.file.detail}"
    others = UNKNOWN if memory.writer is None else memory.writer.name
    added = {str(address) for address in resolvconf.added(content)}
    return {
        "nameservers": active,
        "written_by": {one: "dnsguard" if one in added else others for one in active},
        "held_back": list(behind),
        "held_back_options": list(_held_back_options(content)),
        "in_place_of": links.taken(seen.file),
        "trouble": trouble,
    }


def _held_back_options(content: bytes) -> Iterator[str]:
    active = resolvconf.options(content)
    for option in resolvconf.options(resolvconf.unguard(content)):
        if option not in active:
            yield option


def _nameservers(content: bytes) -> list[str]:
    return [str(server.address) for server in resolvconf.nameservers(content) if server.glibc]


def candidates(memory: Memory, seen: Observation, plan: Plan, policy: Policy) -> list[Json]:
    """Return everyone whom any source names, best first, and why one is not used."""
    return [_candidate(upstream, plan, seen.now) for upstream in _known(memory, seen, policy)]


def _known(memory: Memory, seen: Observation, policy: Policy) -> Pool:
    return rank(memory, seen, policy, draw_border(memory, seen, policy))


def _candidate(upstream: Upstream, plan: Plan, now: float) -> Json:
    candidate, verdict = upstream.candidate, upstream.verdict
    heard = verdict.answered_at
    return {
        "address": str(upstream.address),
        "source": candidate.source,
        "origin": candidate.origin,
        "interface": candidate.interface,
        "rank": [*upstream.rank],
        "seen": round(candidate.seen, 3),
        "answered": candidate.answered,
        "answered_ago": None if heard is None else round(now - heard, 3),
        "usable": upstream.is_usable and upstream.refusal is None,
        "rtt_ms": _milliseconds(verdict.rtt),
        "detail": _detail(upstream),
        "refused": upstream.refusal,
        "in_use": upstream.address in plan.wanted and upstream.refusal is None,
        "why_not": _why_not(upstream, plan),
    }


def _why_not(upstream: Upstream, plan: Plan) -> str | None:
    if upstream.refusal is not None:
        return f"never used: {upstream.refusal}"
    if upstream.address in plan.wanted:
        return None
    if upstream.is_usable:
        return "others rank higher or answer faster"
    if upstream.is_guess and upstream.verdict.detail == NOT_ASKED:
        return "asked only when nothing better answers"
    return _detail(upstream)


def _detail(upstream: Upstream) -> str:
    if upstream.verdict.answers and not upstream.is_usable:
        return "answers, but may be cluster DNS; if it is real: upstream.servers"
    return upstream.verdict.detail


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
