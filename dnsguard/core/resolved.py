"""systemd-resolved where its configuration names cluster DNS: cured by a part of ours in that.

Kubespray writes ``DNS=169.254.25.10`` into it, and who asks resolved (nss-resolve, the stub, D-Bus,
pods by ``/run/systemd/resolve/resolv.conf``) was dead 20 of 20 times, whatever resolv.conf said
(issue 15). A file beside it heals none of them; the last word in its configuration does:

    whom its links have       guarding              handed over
    192.0.2.53 (networkd)     DNS=                  DNS=  DNS=169.254.25.10             split
    nobody (ifupdown)         DNS=  DNS=192.0.2.53  DNS=  DNS=169.254.25.10 192.0.2.53  in order
    nobody, no upstream       DNS=, unless NodeLocalDNS may answer: what works stays

Split, because it was measured (252): names outside are asked of the link's server side by side,
and resolve in 60 ms with NodeLocalDNS hung or dead; with the real server in the same list,
resolved stays with that after one failure, and names of the cluster are dead for good. A list
alone is asked in order: a hang costs the first lookup 5 s.

Whose configuration names no cluster DNS, nobody has sent to NodeLocalDNS: nothing is changed.
"""

import math
from dataclasses import dataclass, replace

from dnsguard.core import links, upstreams
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Cure, Memory
from dnsguard.core.model import NodeLocal
from dnsguard.core.observation import Observation, Resolved
from dnsguard.core.policy import Policy
from dnsguard.core.upstreams import Pool
from dnsguard.formats import resolvconf
from dnsguard.formats import resolved as configuration
from dnsguard.formats.address import IPAddress

PATIENCE = 2.0
"""Seconds that it has for doing what our part says: its restart takes 0.1 to 0.2 s."""
LATEST = 300.0
"""Seconds between two reminders; the pauses are doubled from PATIENCE on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What is to be done about it."""

    part: bytes | None = None
    """Our part of its configuration; None for none."""
    servers: tuple[IPAddress, ...] = ()
    """Whom that names."""
    is_due: bool = False
    """Whether that is to be written: it is another one, or was not heard of."""
    left_to: tuple[IPAddress, ...] | None = None
    """Whom it asks, if a link to its files is to stay whatever is behind: that is cured, or gone
    in a moment, when nobody can tell yet; None if it is not."""
    is_cure: bool = False
    """Whether its list is the guard's."""
    look_at: float = math.inf


def is_in_hand(seen: Observation, exclusions: Exclusions) -> bool:
    """Tell whether its list is the guard's: this node asks it, and it was sent to cluster DNS."""
    own = seen.resolved
    is_poisoned = own is not None and links.is_poisoned(own.configured.addresses, exclusions)
    return is_poisoned and _is_used(seen)


def _is_used(seen: Observation) -> bool:
    is_pods = seen.pods is not None and seen.pods.is_resolveds
    is_asked = seen.resolved is not None and seen.resolved.is_asked
    return is_asked or is_pods or links.leads_to_resolved(links.managers_link(seen.file))


def treat(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool, exclusions: Exclusions
) -> tuple[Memory, Treatment]:
    """Decide about our part; ``memory.serves`` is already the new one."""
    own = seen.resolved
    if own is None or not is_in_hand(seen, exclusions):
        memory = replace(memory, cure=replace(memory.cure, serves=None, unheard_since=None))
        return memory, Treatment(is_due=own is not None and own.drop_in is not None)
    # 1. Its links: at boot they are not there yet, and bring what they brought last time.
    memory = replace(memory, cure=_learn_links(memory.cure, own, seen.now, exclusions))
    # 2. Whom our part names.
    servers = _choose(memory, own, pool, exclusions)
    if servers is None:
        return memory, Treatment(part=own.drop_in, is_cure=True)
    part = configuration.write_drop_in(
        servers,
        routed=policy.cluster_domain if memory.serves is Serves.NODELOCAL else "",
        clears_fallback=links.is_poisoned(own.configured.fallback, exclusions),
    )
    # 3. Whether it does so; it is reminded where it does not.
    is_due = is_new = part != own.drop_in
    cure = _await(memory, own, seen.now, exclusions, servers, is_new=is_new)
    left_to: tuple[IPAddress, ...] | None = (own.asks or ())[: resolvconf.MAXNS]
    if cure.unheard_since is not None:
        waited = seen.now - cure.unheard_since
        left_to = () if waited < PATIENCE else None
        if cure.remind_at <= seen.now:
            is_due, cure = True, replace(cure, remind_at=seen.now + min(LATEST, waited))
    return replace(memory, cure=cure), Treatment(
        part=part,
        servers=servers,
        is_due=is_due,
        left_to=left_to,
        is_cure=True,
        look_at=cure.remind_at,
    )


def _learn_links(cure: Cure, own: Resolved, now: float, exclusions: Exclusions) -> Cure:
    """Note whether its links bring real servers, in this boot or, while they are due, the last."""
    # Not by what it asks beside what it was told: it is late to hear that, and is told anew and
    # stopped meanwhile. What was inferred so left a boot without a server beside NetworkManager.
    if any(map(exclusions.allows, own.links)):
        return replace(cure, links_bring=True, links_due=None)
    if not cure.links_bring or own.asks is None:
        return cure
    due = now + links.WAIT if cure.links_due is None else cure.links_due
    return replace(cure, links_due=due, links_bring=now < due)


def echoes(seen: Observation) -> frozenset[IPAddress]:
    """Return whom it names because we do: our own writing teaches nothing."""
    own = seen.resolved
    return frozenset() if own is None else frozenset(own.told).difference(own.links)


def _choose(
    memory: Memory, own: Resolved, pool: Pool, exclusions: Exclusions
) -> tuple[IPAddress, ...] | None:
    """Return whom our part is to name, None to leave it as it is."""
    reachable = tuple(one for one in pool if not one.address.is_loopback)
    current = tuple(one for one in own.told if exclusions.allows(one))
    if memory.serves is Serves.NODELOCAL and memory.nodelocal is not None:
        most = 0 if memory.cure.links_bring else resolvconf.MAXNS - 1
        return (memory.nodelocal, *upstreams.choose(reachable, current, most))
    if memory.cure.links_bring:
        return ()
    if current and upstreams.is_good_enough(current, reachable, resolvconf.MAXNS):
        return current
    real = upstreams.choose(reachable, current, resolvconf.MAXNS) or current
    may_answer = memory.health.answers or memory.health.state is NodeLocal.UNKNOWN
    return None if not real and own.asks is not None and may_answer else real


def _await(  # noqa: PLR0913 -- each a fact of the look
    memory: Memory,
    own: Resolved,
    now: float,
    exclusions: Exclusions,
    servers: tuple[IPAddress, ...],
    *,
    is_new: bool,
) -> Cure:
    """Note since when it does not do what our part says, and when to remind it of that."""
    cure, asks = memory.cure, own.asks
    if asks is None:
        return replace(cure, remind_at=math.inf)  # it starts, or is not there
    is_free = memory.serves is Serves.NODELOCAL or not links.is_poisoned(asks, exclusions)
    if is_free and set(servers) <= set(asks):
        return replace(cure, serves=memory.serves, unheard_since=None, remind_at=math.inf)
    if cure.unheard_since is not None and not is_new and cure.remind_at < math.inf:
        return cure
    serves = cure.serves or Serves.UPSTREAM
    return replace(cure, serves=serves, unheard_since=now, remind_at=now + PATIENCE)
