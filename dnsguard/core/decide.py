"""The policy in two steps, with the write between them.

    hints --> observe --> repair --> write --> follow up --> apply, tell

:func:`~dnsguard.core.repair.repair` says what resolv.conf must say now; :func:`follow_up`
decides the rest. Both take and return values: no I/O, no clock, no log. Time arrives in the
observation; memory is returned, never changed.
"""

from dataclasses import replace

from dnsguard.core import dhcp_query, upstreams
from dnsguard.core.eligibility import update_remembered
from dnsguard.core.handover import explain, needs_only_proof
from dnsguard.core.memory import Memory
from dnsguard.core.observation import Observation
from dnsguard.core.plan import Action, CureResolved, EndHold, KeepForeign, Plan, Remember, Unused
from dnsguard.core.pods_file import write_pod_file
from dnsguard.core.policy import Policy
from dnsguard.core.probes import due_probes
from dnsguard.core.repair import Repair, repair
from dnsguard.core.rewrite import prepare_repair
from dnsguard.core.unused import find_unused
from dnsguard.core.upstreams import Pool
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress

MOMENT = 0.5
"""Seconds that :func:`decide_ahead` looks ahead: the longest that a write is put off for a file
which is just being written."""


def follow_up(
    before: Memory, memory: Memory, seen: Observation, policy: Policy, decision: Repair
) -> tuple[Memory, Plan]:
    """Decide what could wait until resolv.conf was written.

    :param before: the memory after the last follow-up: what is news is news since then.
    :param memory: the memory after the repair.
    """
    file, exclusions = decision.file, decision.exclusions
    memory = update_remembered(memory, seen, decision.pool, exclusions)
    memory, probes = due_probes(
        memory,
        seen.now,
        policy,
        decision.ranked,
        exclusions.services,
        needs_proof=needs_only_proof(decision.blockers),
    )
    memory, queries = _ask_dhcp(memory, seen, policy, decision.pool)
    trust = upstreams.summarize(decision.pool)
    actions: list[Action] = [*write_pod_file(memory, seen, policy, decision.pool, exclusions)]
    treatment = decision.treatment
    if treatment.is_due:
        actions.insert(0, CureResolved(content=treatment.part, wanted=treatment.servers))
    if memory.foreign is not None and memory.foreign != before.foreign:
        actions.append(KeepForeign(content=memory.foreign))
    if to_remember(memory) != to_remember(before):
        actions.append(to_remember(memory))
    if seen.hold is not None and memory.hold is None:
        actions.append(EndHold(hold=seen.hold))
    memory, unused = _report_unused(memory, decision, policy)
    quiet_until = min(
        seen.now + policy.slow,
        probes.next_at if needs_only_proof(decision.blockers) else probes.upstreams_at,
        queries.next_at,
        file.look_at,
        treatment.look_at,
        *(one.look_at for one in decision.blockers),
        seen.now + policy.slow if memory.hold is None else memory.hold.until,
    )
    return memory, Plan(
        mode=memory.mode,
        hold=memory.hold,
        nodelocal=memory.health.state,
        trust=trust,
        wanted=file.wanted,
        write=file.action,
        deferred=tuple(actions),
        blockers=decision.blockers,
        because=(
            ("nodelocal", f"{memory.health.state}: {memory.health.detail}"),
            ("handover", explain(memory, decision.blockers)),
            ("upstream", trust.describe()),
            *file.because,
        ),
        questions=probes.now,
        dhcp_queries=queries.now,
        unused=unused,
        tramples=memory.tramples,
        delay=memory.fight.delay_at(seen.now),
        cures_resolved=treatment.is_cure,
        is_heard=not treatment.is_cure or memory.cure.is_heard_of(memory.serves),
        prepared=prepare_repair(memory, seen, exclusions),
        is_settled=file.is_settled,
        look_at=min(quiet_until, probes.next_at),
        quiet_until=quiet_until,
    )


def decide(memory: Memory, seen: Observation, policy: Policy) -> tuple[Memory, Plan]:
    """Take both steps at once, where nobody writes between them: ``plan``, ``forecast``."""
    after, decision = repair(memory, seen, policy)
    return follow_up(memory, after, seen, policy, decision)


def decide_ahead(memory: Memory, seen: Observation, policy: Policy) -> tuple[Memory, Plan, float]:
    """Decide as the looks of the next moments would, and return after how many seconds.

    A file that is empty, missing or being written may be so for a moment only, so its
    repair is put off: that is not the same as none.
    """
    after, plan = decide(memory, seen, policy)
    began, then = seen.now, seen.now + MOMENT
    while not plan.is_settled and plan.write is None and seen.now < plan.look_at <= then:
        seen = replace(seen, now=plan.look_at, answers=(), dhcp_answers=())
        after, plan = decide(after, seen, policy)
    return after, plan, seen.now - began


def _report_unused(
    memory: Memory, decision: Repair, policy: Policy
) -> tuple[Memory, tuple[Unused, ...]]:
    """Return what is to be told of the foreign file's lines, once it is decided."""
    if not decision.file.is_settled or decision.treatment.left_to is not None:
        return memory, ()  # or systemd-resolved's, whose file names its stub and nobody else
    return find_unused(memory, decision.ranked, decision.file.wanted, policy)


def to_remember(memory: Memory) -> Remember:
    """Return what outlives the daemon."""
    return Remember(
        candidates=memory.remembered,
        cluster_resolvers=memory.cluster_resolvers,
        kubernetes=memory.kubernetes,
        deleted=memory.deleted,
        links_bring=memory.cure.links_bring,
    )


def forget(memory: Memory, address: IPAddress) -> Memory:
    """Return the memory without a server, but for what others name now."""
    named = resolvconf.read_addresses(memory.foreign or b"")
    return replace(
        memory,
        remembered=tuple(one for one in memory.remembered if one.address != address),
        learned=tuple(one for one in memory.learned if one.address != address or address in named),
        probe_records={
            one: record for one, record in memory.probe_records.items() if one != address
        },
    )


def _ask_dhcp(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool
) -> tuple[Memory, dhcp_query.DueQueries]:
    """Ask the DHCP servers where the lease is poisoned, or where nobody else answers."""
    # Whom it named earlier is among these: it is not asked for ever.
    named = [upstream for upstream in pool if not upstream.is_guess]
    is_stranded = all((u.record.failures or u.record.doubts) and not u.is_usable for u in named)
    informs, due = dhcp_query.find_due(
        memory.dhcp_answers,
        (*dhcp_query.find_told(memory.records), *seen.found.leases) if policy.asks_dhcp else (),
        seen.now,
        cluster=policy.cluster,
        bound=memory.bound or frozenset(),
        is_stranded=is_stranded,
    )
    return replace(memory, dhcp_answers=informs), due
