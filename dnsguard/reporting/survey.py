"""From what the guard knows to the status, and to a line of it for systemctl."""

import math
from dataclasses import dataclass, field

from dnsguard import __version__
from dnsguard.core import links, upstreams
from dnsguard.core.answers import ProbeKind, ProbeTarget
from dnsguard.core.attribution import Tramples
from dnsguard.core.eligibility import find_exclusions, rank
from dnsguard.core.health import Health, ProbeStreak, list_targets
from dnsguard.core.hold import Hold
from dnsguard.core.memory import Memory
from dnsguard.core.model import Mode
from dnsguard.core.observation import Observation, Resolved
from dnsguard.core.plan import Plan
from dnsguard.core.policy import Policy
from dnsguard.core.upstreams import Pool, Upstream
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.writers import UNKNOWN
from dnsguard.reporting.degraded import find_degraded
from dnsguard.reporting.next_steps import next_steps
from dnsguard.reporting.problem import Problem
from dnsguard.reporting.status import (
    Addresses,
    DhclientStatus,
    HoldStatus,
    HookState,
    KubeletStatus,
    LegState,
    LegStatus,
    NodeLocalStatus,
    PodFile,
    ProblemStatus,
    ResolvConf,
    ResolvedStatus,
    Server,
    Status,
    TramplesStatus,
    TrampleStatus,
    UpstreamStatus,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """What the daemon tells of itself, and of the node beside resolv.conf."""

    pid: int = 0
    looked_at: float = 0.0
    """When it looked last; seconds since the epoch."""
    uptime: float = 0.0
    """Seconds."""
    kubelet: KubeletStatus | None = None
    dhclient: DhclientStatus = field(
        default_factory=lambda: DhclientStatus(hook=HookState.NOT_INSTALLED, hazards=())
    )
    trouble: tuple[Problem, ...] = ()
    """What it knows to be wrong."""


def make_status(
    memory: Memory, seen: Observation, plan: Plan, policy: Policy, facts: DaemonFacts
) -> Status:
    seconds = seen.now - (seen.now if memory.mode_since is None else memory.mode_since)
    pool = upstreams.usable_in_principle(_rank(memory, seen, policy))
    degraded = find_degraded(memory, seen, plan, policy, facts.trouble)
    return Status(
        dnsguard=__version__,
        pid=facts.pid,
        looked_at=round(facts.looked_at, 3),
        uptime_seconds=round(facts.uptime, 1),
        mode=plan.mode,
        mode_seconds=round(seconds, 1),
        # No finer: two clocks are read one after the other, and it is to be the same each time.
        mode_since=round(seen.wall - seconds, 1),
        hold=None if plan.hold is None else _describe_hold(plan.hold, seen),
        next=next_steps(memory, seen, policy, plan.blockers),
        because=plan.because,
        degraded=degraded,
        problems=tuple(ProblemStatus(what=one.what, remedy=one.remedy) for one in degraded),
        resolv_conf=_describe_file(memory, seen),
        pod_file=PodFile(nameservers=_nameservers(seen.pod_file or b"")),
        nodelocal=_describe_nodelocal(memory.health, plan, policy),
        upstream=UpstreamStatus(
            state=plan.upstream,
            servers=tuple(_describe_server(one, plan, seen.now) for one in pool),
        ),
        tramples=_describe_tramples(memory.tramples),
        kubelet=facts.kubelet,
        dhclient=facts.dhclient,
        resolved=None if seen.resolved is None else _describe_resolved(seen.resolved, plan),
    )


def headline(plan: Plan, degraded: tuple[Problem, ...] = ()) -> str:
    """Return what is wrong, mode and reason in a line, as ``systemctl status`` shows it."""
    servers = " ".join(str(address) for address in plan.wanted) or "none"
    reason = "" if plan.mode is Mode.HANDED_OVER else f" ({plan.explain('handover')})"
    about = f"NodeLocalDNS {plan.nodelocal}, upstream {plan.upstream}"
    wrong = f"DEGRADED: {degraded[0]}; " if degraded else ""
    return f"{wrong}{plan.mode}: {servers}; {about}{reason}"


def list_servers(
    memory: Memory, seen: Observation, plan: Plan, policy: Policy
) -> tuple[Server, ...]:
    """Return everyone whom any source names, best first, and why one is not used."""
    return tuple(_describe_server(one, plan, seen.now) for one in _rank(memory, seen, policy))


def _rank(memory: Memory, seen: Observation, policy: Policy) -> Pool:
    return rank(memory, seen, policy, find_exclusions(memory, seen, policy))


def _describe_hold(hold: Hold, seen: Observation) -> HoldStatus:
    left = None if hold.until == math.inf else hold.until - seen.now
    return HoldStatus(
        serves=hold.serves,
        by=hold.by,
        since=round(seen.wall - (seen.now - hold.since), 3),
        seconds_left=None if left is None else round(left, 1),
        until=None if left is None else round(seen.wall + left, 3),
    )


def _describe_tramples(tramples: Tramples) -> TramplesStatus:
    last = tramples.last
    return TramplesStatus(
        count=tramples.count,
        by_writer=dict(tramples.by_writer),
        last=None
        if last is None
        else TrampleStatus(
            at=round(last.at, 3), writer=last.writer.name, evidence=last.writer.evidence
        ),
    )


def _describe_nodelocal(health: Health, plan: Plan, policy: Policy) -> NodeLocalStatus:
    return NodeLocalStatus(
        address=health.address,
        state=plan.nodelocal,
        detail=health.detail,
        rtt_ms=_milliseconds(health.rtt),
        legs=tuple(_describe_leg(leg, health.streak(leg)) for leg in list_targets(policy)),
    )


def _describe_leg(leg: ProbeTarget, streak: ProbeStreak) -> LegStatus:
    state = LegState.ANSWERS if streak.successes else LegState.NOT_ASKED
    return LegStatus(
        asked=leg.kind,
        protocol="tcp" if leg.tcp or leg.kind is ProbeKind.HTTP else "udp",
        state=LegState.FAILS if streak.failures else state,
        in_a_row=streak.failures or streak.successes,
        rtt_ms=_milliseconds(streak.rtt),
        detail=streak.detail,
    )


def _describe_file(memory: Memory, seen: Observation) -> ResolvConf:
    content = seen.file.content
    active = _nameservers(content)
    released = (
        server.address
        for server in resolvconf.read_nameservers(guarded_resolvconf.unguard(content))
    )
    others = UNKNOWN if memory.writer is None else memory.writer.name
    added = guarded_resolvconf.read_added(content)
    return ResolvConf(
        nameservers=active,
        written_by={one: "dnsguard" if one in added else others for one in active},
        held_back=tuple(one for one in dict.fromkeys(released) if one not in active),
        held_back_options=_list_held_back_options(content),
        in_place_of=links.replaced_link(seen.file),
        trouble=None if seen.file.trouble is None else f"{seen.file.trouble}: {seen.file.detail}",
    )


def _describe_resolved(own: Resolved, plan: Plan) -> ResolvedStatus:
    is_told = plan.cures_resolved and own.drop_in is not None
    return ResolvedStatus(told=own.told if is_told else None, hears=plan.is_heard, asks=own.asks)


def _list_held_back_options(content: bytes) -> tuple[str, ...]:
    active = resolvconf.read_options(content)
    released = resolvconf.read_options(guarded_resolvconf.unguard(content))
    return tuple(option for option in released if option not in active)


def _nameservers(content: bytes) -> Addresses:
    return tuple(server.address for server in resolvconf.read_nameservers(content) if server.glibc)


def _describe_server(upstream: Upstream, plan: Plan, now: float) -> Server:
    candidate, record = upstream.candidate, upstream.record
    answered_at = record.answered_at
    return Server(
        address=upstream.address,
        source=candidate.source,
        origin=candidate.origin,
        interface=candidate.interface,
        rank=upstream.rank,
        seen=round(candidate.seen, 3),
        answered=candidate.answered,
        answered_ago=None if answered_at is None else round(now - answered_at, 3),
        usable=upstream.is_usable and upstream.refusal is None,
        rtt_ms=_milliseconds(record.rtt),
        detail=_explain_record(upstream),
        refused=upstream.refusal,
        in_use=upstream.address in plan.wanted and upstream.refusal is None,
        why_not=_explain_unused(upstream, plan),
    )


def _explain_unused(upstream: Upstream, plan: Plan) -> str | None:
    if upstream.refusal is not None:
        return f"never used: {upstream.refusal}"
    if upstream.address in plan.wanted:
        return None
    if upstream.is_usable:
        return "others rank higher or answer faster"
    if upstream.is_guess and not upstream.record.has_outcome:
        return "asked only when nothing better answers"
    return _explain_record(upstream)


def _explain_record(upstream: Upstream) -> str:
    if upstream.record.answers and not upstream.is_usable:
        return "answers, but may be cluster DNS; if it is real: upstream.servers"
    return upstream.record.detail


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
