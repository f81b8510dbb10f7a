"""What ``dnsguard status`` says, as data: built here, rendered elsewhere."""

from dnsguard.core import resolvconf
from dnsguard.core.decide import rank
from dnsguard.core.memory import Memory
from dnsguard.core.model import Observation, Plan, Policy, UpstreamState
from dnsguard.core.upstreams import Upstream

Json = dict[str, object]


def report(
    memory: Memory, seen: Observation, plan: Plan, policy: Policy, *, trouble: tuple[str, ...]
) -> Json:
    """Return the status. ``trouble`` is what the shell knows to be wrong."""
    pool = rank(memory, seen, policy)
    wrong = (*trouble, *_wrong(seen, plan, trouble))
    return {
        "mode": plan.mode,
        "mode_seconds": round(seen.now - (memory.mode_since or seen.now), 1),
        "because": [list(pair) for pair in plan.because],
        "degraded": list(wrong),
        "resolv_conf": _file(seen),
        "pod_file": {"nameservers": _nameservers(seen.pod_file or b"")},
        "nodelocal": {
            "address": str(memory.health.address) if memory.health.address else None,
            "state": plan.nodelocal,
            "detail": memory.health.detail,
            "rtt_ms": _milliseconds(memory.health.rtt),
        },
        "upstream": {
            "state": plan.upstream,
            "servers": [_upstream(upstream, plan) for upstream in pool],
        },
        "tramples": {"count": memory.tramples, "last": memory.last_trample},
    }


def _wrong(seen: Observation, plan: Plan, trouble: tuple[str, ...]) -> list[str]:
    wrong = []
    if plan.upstream is UpstreamState.NONE:
        wrong.append("no upstream is known: set upstream.servers in /etc/dnsguard/dnsguard.toml")
    elif plan.upstream is UpstreamState.UNVERIFIED:
        wrong.append("no upstream answers: the best known one is used")
    if plan.upstream is not UpstreamState.NONE and not _nameservers(seen.pod_file or b""):
        wrong.append("the file for kubelet names no upstream: see journalctl -u dnsguard")
    if seen.bound is None:
        wrong.append("the node's addresses can't be listed, so NodeLocalDNS can't be judged")
    if plan.delay and not trouble:
        wrong.append("something rewrites resolv.conf again and again; repairs are delayed")
    return wrong


def _file(seen: Observation) -> Json:
    content = seen.file.content
    released = resolvconf.nameservers(resolvconf.unguard(content))
    active = _nameservers(content)
    held = [str(server.address) for server in released if str(server.address) not in active]
    trouble = None if seen.file.trouble is None else f"{seen.file.trouble}: {seen.file.detail}"
    return {"nameservers": active, "held_back": held, "trouble": trouble}


def _nameservers(content: bytes) -> list[str]:
    return [str(server.address) for server in resolvconf.nameservers(content) if server.glibc]


def _upstream(upstream: Upstream, plan: Plan) -> Json:
    return {
        "address": str(upstream.address),
        "source": upstream.candidate.source,
        "origin": upstream.candidate.origin,
        "seen": upstream.candidate.seen,
        "usable": upstream.is_usable,
        "rtt_ms": _milliseconds(upstream.verdict.rtt),
        "detail": upstream.verdict.detail,
        "in_use": upstream.address in plan.wanted,
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
