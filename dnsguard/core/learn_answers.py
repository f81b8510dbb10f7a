"""What the answers say, of NodeLocalDNS, of the upstreams and of the cluster itself."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dnsguard.core import dhcp_query, probe_record
from dnsguard.core.answers import Answer, ProbeKind
from dnsguard.core.eligibility import services
from dnsguard.core.evidence import is_private
from dnsguard.core.health import advance
from dnsguard.core.memory import Memory
from dnsguard.core.observation import Observation
from dnsguard.core.policy import Policy
from dnsguard.core.probe_record import ProbeRecord, ProbeRecords
from dnsguard.formats.address import IPAddress

MOST_CONVICTS = 16


def learn_answers(memory: Memory, seen: Observation, policy: Policy) -> Memory:
    """Take in the answers and the addresses."""
    memory = learn_services(memory, seen.answers, policy)
    records = _add_cluster_resolvers(memory)
    answers = [answer for answer in seen.answers if answer.address not in policy.cluster]
    if answers:
        known = services(policy, memory.kubernetes, memory.health.address)
        records = probe_record.apply_answers(records, answers, known)
    if seen.bound is not None and seen.bound != memory.bound:
        # The network has changed: who was silent may answer now, so ask at once.
        records = {
            address: record if record.is_usable else probe_record.reset_for_probe(record)
            for address, record in records.items()
        }
    bound = memory.bound if seen.bound is None else seen.bound
    health = advance(memory.health, seen, policy, records)
    nodelocal = health.address or next(iter(policy.nodelocal), None)
    informs = memory.dhcp_answers
    for informed in seen.dhcp_answers:
        informs = dhcp_query.apply_answer(informs, informed, seen.wall)
    return replace(
        memory,
        health=health,
        nodelocal=nodelocal,
        probe_records=records,
        cluster_resolvers=_update_cluster_resolvers(memory, records, seen.wall),
        bound=bound,
        dhcp_answers=informs,
    )


def confirm(
    memory: Memory, answers: Iterable[Answer], policy: Policy, bound: frozenset[IPAddress] | None
) -> Memory | None:
    """Return the memory after answers that tell nothing new; None if there is one to decide on.

    NodeLocalDNS is well, and says so once a second; so is an upstream, and says so seldom.

    :param bound: the node's addresses; while nobody can list them, it is not judged at all.
    """
    if bound is None or learn_services(memory, answers, policy) is not memory:
        return None
    health, outside = memory.health, list[Answer]()
    for answer in answers:
        if answer.address not in policy.cluster:
            outside.append(answer)
        elif (confirmed := health.confirm(answer, policy)) is not None:
            health = confirmed
        else:
            return None
    if not outside:
        return replace(memory, health=health)
    known = services(policy, memory.kubernetes, health.address)
    records = probe_record.confirm(memory.probe_records, outside, known)
    if records is None or not health.is_well:  # else it tells whose fault that is
        return None
    return replace(memory, health=health, probe_records=records)


def learn_services(memory: Memory, answers: Iterable[Answer], policy: Policy) -> Memory:
    """Take in what NodeLocalDNS says the cluster's own name is.

    By that an outer cluster's DNS is told from this one's at the next boot, too. Only
    addresses that services have: its own upstream may rewrite NXDOMAIN.
    """
    if policy.nodelocal_question:
        return memory
    for answer in answers:
        is_told = answer.address in policy.cluster and answer.kind is ProbeKind.CLUSTER
        is_new = bool(answer.records) and answer.records != memory.kubernetes
        if is_told and is_new and all(is_private(one) for one in answer.records):
            memory = replace(memory, kubernetes=answer.records)
    return memory


def _add_cluster_resolvers(memory: Memory) -> ProbeRecords:
    """Return the records, with what was found out in an earlier boot."""
    missing = memory.cluster_resolvers.keys() - memory.probe_records.keys()
    if not missing:
        return memory.probe_records
    return {
        **memory.probe_records,
        **{one: ProbeRecord(answers_cluster_names=True) for one in missing},
    }


def _update_cluster_resolvers(
    memory: Memory, records: ProbeRecords, wall: float
) -> Mapping[IPAddress, float]:
    """Return who is cluster DNS; the newest, where there are many."""
    known = memory.cluster_resolvers
    exposed = [address for address, record in records.items() if record.answers_cluster_names]
    if known.keys() == set(exposed):
        return known
    convicts = {address: min(known.get(address, wall), wall) for address in exposed}
    newest = sorted(convicts, key=lambda address: convicts[address], reverse=True)
    return {address: convicts[address] for address in newest[:MOST_CONVICTS]}
