"""What is wrong with the node's DNS, the worst first, each with what to do about it."""

from collections.abc import Iterator

from dnsguard.core import pods_file, resolved
from dnsguard.core.blocker import Blocker
from dnsguard.core.eligibility import find_exclusions
from dnsguard.core.hold import Hold, Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import Doubt, UpstreamState
from dnsguard.core.observation import Observation
from dnsguard.core.plan import Plan
from dnsguard.core.policy import HandoverMode, Policy
from dnsguard.formats import resolvconf
from dnsguard.reporting.problem import Problem

_EVENTS = "dnsguard events"
_UPSTREAMS = "dnsguard upstreams"
_CONFIGURE = "set upstream.servers in /etc/dnsguard/dnsguard.toml"
_NO_UPSTREAM = Problem("no upstream is known", _CONFIGURE)
_NO_POD_FILE = Problem("the file for kubelet names no upstream", "see journalctl -u dnsguard")
_NO_ADDRESSES = Problem(
    "NodeLocalDNS can't be judged, the node's addresses can't be listed", _EVENTS
)
_FIGHT = Problem("something has rewritten resolv.conf again and again", _EVENTS)
_UNHEARD = Problem(
    "systemd-resolved does not ask whom dnsguard tells it to ask",
    "systemctl restart systemd-resolved",
)
_NOBODY_TO_ASK = Problem("systemd-resolved has nobody to ask", _UPSTREAMS)
_HELD_TO_SILENCE = Problem("held to NodeLocalDNS, which does not answer", "dnsguard release")


def find_degraded(
    memory: Memory, seen: Observation, plan: Plan, policy: Policy, trouble: tuple[Problem, ...]
) -> tuple[Problem, ...]:
    """Return what is wrong.

    :param trouble: what the shell knows to be wrong.
    """
    return (*trouble, *_find(memory, seen, plan, policy, is_troubled=bool(trouble)))


def _find(
    memory: Memory, seen: Observation, plan: Plan, policy: Policy, *, is_troubled: bool
) -> Iterator[Problem]:
    yield from _find_in_hold(memory, plan)
    yield from _find_in_upstreams(memory, plan, policy)
    # Where nobody is to be named at all, that has been said.
    if plan.wanted and not _names_anybody(seen.pod_file or b""):
        yield _NO_POD_FILE
    if seen.pods is not None and not (policy.handover is HandoverMode.ALWAYS and seen.pods.follows):
        dead = pods_file.find_dead_end(seen.pods, find_exclusions(memory, seen, policy))
        if dead:
            yield Problem(dead, seen.pods.remedy)
    yield from _find_in_resolved(memory, seen, plan)
    if seen.bound is None:
        yield _NO_ADDRESSES
    if plan.delay and not is_troubled:
        yield _FIGHT


def _find_in_resolved(memory: Memory, seen: Observation, plan: Plan) -> Iterator[Problem]:
    """Yield what those meet who ask systemd-resolved, whatever resolv.conf says."""
    since = memory.cure.unheard_since
    if plan.cures_resolved and since is not None and seen.now >= since + resolved.PATIENCE:
        yield _UNHEARD
    if plan.cures_resolved and seen.resolved is not None and seen.resolved.asks == ():
        yield _NOBODY_TO_ASK


def _find_in_hold(memory: Memory, plan: Plan) -> Iterator[Problem]:
    if plan.hold is None:
        return
    if memory.serves is not plan.hold.serves:
        yield _describe_refused_hold(plan.hold, plan.blockers[0])
    elif memory.serves is Serves.NODELOCAL and not memory.health.answers:
        yield _HELD_TO_SILENCE


def _describe_refused_hold(hold: Hold, blocker: Blocker) -> Problem:
    what = f"what is held can't be: {hold.describe()}, but {blocker.reason}"
    return Problem(what, blocker.remedy, joint="; remedy: ")


def _find_in_upstreams(memory: Memory, plan: Plan, policy: Policy) -> Iterator[Problem]:
    if plan.upstream is UpstreamState.NONE:
        yield _NO_UPSTREAM
    elif plan.upstream is UpstreamState.UNVERIFIED and not _are_open(memory, plan, policy):
        yield _describe_unverified(memory, plan, policy)
    elif memory.serves is Serves.UPSTREAM and _are_dead(memory, plan):
        yield _describe_dead(memory, plan, policy)


def _are_open(memory: Memory, plan: Plan, policy: Policy) -> bool:
    """Tell whether somebody in the file is being asked for the first time, and may answer."""
    if plan.trust.doubt is not Doubt.NOT_ASKED:
        return False
    named = [address for address in plan.wanted if address not in policy.cluster]
    found = [memory.probe_records.get(address) for address in named]
    return any(one is None or not (one.failures or one.doubts) for one in found)


def _describe_unverified(memory: Memory, plan: Plan, policy: Policy) -> Problem:
    """Return what is so where no upstream is usable, whose fault it is, and what helps."""
    why = plan.trust.reason
    if plan.trust.doubt is Doubt.SILENT:
        why = ", ".join(_silent(memory, plan, policy)) or why
    used = "the best known one is used" if plan.wanted else "nobody is named"
    used = plan.explain("write") or used
    remedy = _UPSTREAMS if plan.wanted else _CONFIGURE
    return Problem(f"no upstream is verified ({why}), {used}", remedy)


def _are_dead(memory: Memory, plan: Plan) -> bool:
    """Tell whether nobody in the file answers though others do: it is not ours to write."""
    found = [memory.probe_records.get(address) for address in plan.wanted]
    return bool(found) and all(one is not None and one.is_silent for one in found)


def _describe_dead(memory: Memory, plan: Plan, policy: Policy) -> Problem:
    why = plan.explain("write")
    told = f"nobody in resolv.conf answers ({', '.join(_silent(memory, plan, policy))})"
    return Problem(f"{told}, {why}" if why else told, _UPSTREAMS)


def _silent(memory: Memory, plan: Plan, policy: Policy) -> Iterator[str]:
    """Yield the upstreams in the file, each with what came of asking it."""
    for address in plan.wanted:
        record = memory.probe_records.get(address)
        if record is not None and address not in policy.cluster:
            yield f"{address} {record.detail}"


def _names_anybody(content: bytes) -> bool:
    return any(server.glibc for server in resolvconf.read_nameservers(content))
