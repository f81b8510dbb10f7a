"""What every single decision must keep, whatever led to it."""

from collections.abc import Iterator

from dnsguard.core import links
from dnsguard.core.answers import Outcome, ProbeKind
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import Mode, NodeLocal
from dnsguard.core.observation import Observation, PodsFile
from dnsguard.core.plan import (
    CureResolved,
    Plan,
    Remember,
    ReplaceFile,
    ReplacePodFile,
    RestoreLink,
)
from dnsguard.core.policy import HandoverMode, Policy
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.formats.resolved import read_configuration

RESOLV_CONF = "/etc/resolv.conf"


def addresses(content: bytes) -> tuple[IPAddress, ...]:
    """Return what any reader of the file would find."""
    return tuple(server.address for server in resolvconf.read_nameservers(content))


def used(content: bytes) -> tuple[IPAddress, ...]:
    """Return what glibc would use."""
    found = resolvconf.read_nameservers(content)
    return tuple(server.address for server in found if server.glibc)[: resolvconf.MAXNS]


def others(content: bytes) -> list[bytes]:
    """Return the lines that name no nameserver, ours left out."""
    named = {server.line for server in resolvconf.read_nameservers(content)}
    ours = (guarded_resolvconf.ADDED, guarded_resolvconf.HELD, guarded_resolvconf.LINK)
    lines = enumerate(content.split(b"\n"))
    return [line for at, line in lines if at not in named and not line.startswith(ours)]


def in_order(lines: list[bytes]) -> list[bytes]:
    """Return the lines without ``rotate``, and without those that say nothing else."""
    left = ((line, resolvconf.drop_rotate(line)) for line in lines)
    kept = (line if not resolvconf.has_rotate(line) else without for line, without in left)
    return [line for line in kept if line is not None]


def border(policy: Policy) -> Exclusions:
    """Return what can be told of no upstream from the configuration alone."""
    return Exclusions(cluster=policy.cluster, named=policy.servers)


def is_dead_end(content: bytes, policy: Policy) -> bool:
    """Tell whether cluster addresses are all that glibc has to ask."""
    found = used(content)
    return bool(found) and all(address in policy.cluster for address in found)


def is_left_on_purpose(memory: Memory) -> bool:
    """Tell whether NodeLocalDNS may be all there is and may answer (rewrite._of_nothing)."""
    return memory.health.answers or memory.health.state is NodeLocal.UNKNOWN


def check(before: Memory, seen: Observation, policy: Policy, after: Memory, plan: Plan) -> None:
    """See that one decision keeps every promise."""
    assert seen.now < plan.look_at <= seen.now + policy.slow
    assert all(action.describe() for action in plan.actions)
    _check_mode(seen, policy, after, plan)
    _check_evidence(before, after)
    for action in plan.actions:
        match action:
            case ReplaceFile():
                _check_written(before, seen, policy, after, action)
                _check_harm(before, seen, policy, after)
            case ReplacePodFile():
                _check_pod_file(before, seen, policy, after, action)
            case CureResolved():
                _check_cure(seen, policy, after, action)
            case Remember():
                assert all(border(policy).allows(c.address) for c in action.candidates)
                assert not {c.address for c in action.candidates} & convicts(policy, after)
    _check_left_for_pods(seen, policy, after, plan)
    if plan.is_settled:
        _check_left(seen, policy, after, plan)


def _check_cure(seen: Observation, policy: Policy, after: Memory, action: CureResolved) -> None:
    """See that systemd-resolved names nobody to pods, by whatever file, who leads to cluster DNS."""
    assert seen.resolved is not None
    told = read_configuration([action.content or b""]).servers
    assert told == action.wanted
    inside = [one for one in told if one in policy.cluster]
    assert inside in ([], [after.nodelocal])
    if inside:
        assert after.serves is Serves.NODELOCAL
        if policy.handover is not HandoverMode.ALWAYS:
            assert seen.pods_doubt is None
            assert seen.pods is None or not (
                seen.pods.is_resolveds or seen.pods.path == RESOLV_CONF or seen.pods.follows
            )
    if action.content is not None:
        named = seen.resolved.configured.addresses
        assert any(one in policy.cluster for one in named), "a healthy node is left alone"


def _check_mode(seen: Observation, policy: Policy, after: Memory, plan: Plan) -> None:
    is_held = seen.hold is not None and seen.now < seen.hold.until
    assert (plan.mode is Mode.HELD) is is_held
    assert plan.hold == after.hold == (seen.hold if is_held else None)
    if plan.cures_resolved and not plan.is_heard:
        return  # for so long it is as it was
    if after.serves is Serves.UPSTREAM:
        assert plan.mode is not Mode.HANDED_OVER
        return
    if is_held:
        assert seen.hold is not None
        assert seen.hold.serves is Serves.NODELOCAL
    else:
        assert plan.nodelocal is NodeLocal.HEALTHY
        assert policy.handover is not HandoverMode.NEVER
        assert plan.wanted[0] == after.health.address
    assert policy.handover is not HandoverMode.AUTO or are_pods_safe(seen.pods, policy)
    assert policy.handover is not HandoverMode.AUTO or seen.pods_doubt is None
    named = set(seen.pods.nameservers or ()) if seen.pods is not None else set()
    assert policy.handover is not HandoverMode.AUTO or not named & (after.bound or set())
    assert any(border(policy).allows(address) for address in plan.wanted)
    assert {plan.wanted[0]} == _handed(after, policy)
    assert len(plan.wanted) <= resolvconf.MAXNS
    assert not set(plan.wanted[1:]) & policy.cluster


def are_pods_safe(pods: PodsFile | None, policy: Policy) -> bool:
    """Tell whether what pods get leads to no cluster address, and is not made from ours."""
    if pods is None:
        return True
    if pods.path == RESOLV_CONF or pods.follows or not pods.nameservers:
        return False
    return not any(one in policy.cluster or one.is_loopback for one in pods.nameservers)


def convicts(policy: Policy, after: Memory) -> set[IPAddress]:
    """Return who was shown to be cluster DNS; the operator's word beats that."""
    return set(after.cluster_resolvers) - set(policy.servers)


def _check_evidence(before: Memory, after: Memory) -> None:
    """See that who is cleared now was shown to be real in one and the same round."""
    for address, verdict in after.probe_records.items():
        assert not (verdict.answers_cluster_names and verdict.is_usable)
        assert not verdict.answers_cluster_names or address in after.cluster_resolvers
        known = before.probe_records.get(address)
        if verdict.cleared_at is None or (known and known.cleared_at == verdict.cleared_at):
            continue
        if not verdict.round:
            continue  # the next one has begun in the same look
        assert verdict.round[ProbeKind.UPSTREAM].outcome is Outcome.ANSWERED
        is_denied = verdict.round[ProbeKind.CLUSTER].outcome is Outcome.ANSWERED
        assert is_denied or ProbeKind.CONTROL in verdict.round


def _check_left_for_pods(seen: Observation, policy: Policy, after: Memory, plan: Plan) -> None:
    """See that the file for pods leads to no cluster DNS, whoever made it and whoever is known."""
    written = [one.content for one in plan.actions if isinstance(one, ReplacePodFile)]
    left = addresses(written[0] if written else seen.pod_file or b"")
    assert not set(left) & (policy.cluster | convicts(policy, after))
    assert not any(address.is_loopback for address in left)


def _check_written(
    before: Memory, seen: Observation, policy: Policy, after: Memory, action: ReplaceFile
) -> None:
    content, file = action.content, seen.file
    written = addresses(content)
    handed = _handed(after, policy) | _given_back(seen, policy, after)
    assert not is_dead_end(content, policy) or set(written) <= _given_back(seen, policy, after)
    assert used(content) == action.wanted
    # A DHCP server that names one twice is taken at its word, as dhclient takes it.
    assert seen.records or len(set(action.wanted)) == len(action.wanted)
    assert set(written) == set(action.wanted)
    assert set(written) <= set(_known(before, seen, policy)) | handed
    assert set(written) & policy.cluster <= handed
    assert not set(written) & convicts(policy, after)
    assert len(action.wanted) <= resolvconf.MAXNS
    assert sum(server.glibc for server in resolvconf.read_nameservers(content)) == len(
        action.wanted
    )
    is_shared = len(action.wanted) > 1 and bool(set(written) & policy.cluster)
    assert not (is_shared and resolvconf.rotates(content))

    def expected(text: bytes) -> list[bytes]:
        return in_order(others(text)) if is_shared else others(text)

    if seen.link_target is not None or seen.records:
        # What dhclient would have written may be what is guarded, and late.
        assert others(content) == expected(after.foreign or b"")
    elif file.trouble is None and file.content:
        foreign = guarded_resolvconf.unguard(file.content)
        assert others(content) == expected(foreign)
        assert guarded_resolvconf.unguard(content) == foreign
    else:
        assert others(content) == expected(before.foreign or b"")


def _check_harm(before: Memory, seen: Observation, policy: Policy, after: Memory) -> None:
    """See that a manager's link gives way to nothing but poison, or a handover."""
    file = seen.file
    if not file.leads_away or file.trouble is not None or after.serves is Serves.NODELOCAL:
        return
    named = addresses(file.content)
    loopback = any(address.is_loopback for address in named)  # a stub may ask anybody
    assert loopback or not named or set(named) & (policy.cluster | convicts(policy, after))
    since = before.unfinished_since
    assert named or (since is not None and seen.now - since >= links.WAIT)


def _handed(after: Memory, policy: Policy) -> set[IPAddress]:
    is_handed_over = after.serves is Serves.NODELOCAL
    return {after.health.address or policy.nodelocal[0]} if is_handed_over else set()


def _given_back(seen: Observation, policy: Policy, after: Memory) -> set[IPAddress]:
    """Return the cluster address that may be given back: the only server that works.

    Never into a file that pods may get, and never one that the foreign file did not name.
    """
    is_upstream = after.serves is Serves.UPSTREAM
    if not is_upstream or after.health.state is not NodeLocal.HEALTHY:
        return set()
    if policy.handover is not HandoverMode.ALWAYS:
        is_told = seen.pods is None or seen.pods.path == RESOLV_CONF or seen.pods.follows
        if seen.pods_doubt is not None or (seen.pods is not None and is_told):
            return set()
    return {one for one in addresses(after.foreign or b"") if one == after.health.address}


def _known(before: Memory, seen: Observation, policy: Policy) -> Iterator[IPAddress]:
    """Yield every address that anything named so far."""
    yield from addresses(seen.file.content)
    yield from resolvconf.find_meant(guarded_resolvconf.unguard(seen.file.content))
    yield from addresses(b"" if seen.link_target is None else seen.link_target.content)
    yield from (*policy.servers, *policy.fallback)
    for record in (*seen.records, *before.records):
        yield from (*record.told.nameservers, *record.told.routers)
    for candidate in (*seen.found.candidates, *before.learned, *before.remembered):
        yield candidate.address


def _check_pod_file(
    before: Memory, seen: Observation, policy: Policy, after: Memory, action: ReplacePodFile
) -> None:
    written = addresses(action.content)
    assert not set(written) & convicts(policy, after)
    assert len(written) <= resolvconf.MAXNS
    assert written or addresses(seen.pod_file or b""), "a file with nobody in it is made"
    assert written == used(action.content) == action.wanted
    assert set(written) <= {*_known(before, seen, policy), *addresses(seen.pod_file or b"")}
    for address in written:
        assert border(policy).allows(address)
        assert not address.is_loopback


def _check_left(seen: Observation, policy: Policy, after: Memory, plan: Plan) -> None:
    """See what the file says once the plan is done."""
    if any(isinstance(action, RestoreLink) for action in plan.actions):
        assert seen.link_target is not None
        assert seen.link_target.content == after.written == after.foreign
        assert not set(addresses(seen.link_target.content)) & policy.cluster
        return
    written = [action for action in plan.actions if isinstance(action, ReplaceFile)]
    if seen.file.trouble is not None and not written:
        return
    content = seen.file.content if seen.repaired is None else seen.repaired
    if written:
        content = written[0].content
    assert content == after.written
    if plan.cures_resolved and seen.file.leads_away and not written:
        return  # what is behind the link is not ours, and is cured where it is made
    if after.serves is Serves.NODELOCAL:
        assert set(used(content)[:1]) == _handed(after, policy)
        assert not is_dead_end(content, policy)
    elif not is_left_on_purpose(after) or plan.upstream != "none":
        assert not set(addresses(content)) & policy.cluster
