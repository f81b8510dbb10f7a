"""What resolv.conf is to say, and whether now is the time to write it."""

from dataclasses import dataclass, replace

from dnsguard.core import links, upstreams
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import NodeLocal
from dnsguard.core.observation import FileObservation, Observation, Trouble
from dnsguard.core.plan import Plan, PreparedRepair, ReplaceFile, ReplacePodFile, RestoreLink
from dnsguard.core.policy import Policy
from dnsguard.core.upstreams import Pool
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.address import IPAddress

MOST_BACKUPS = resolvconf.MAXNS - 1
"""Upstreams behind NodeLocalDNS."""
GRACE = 0.1
"""Seconds that an empty or missing file may stay so: its writer is likely on the way."""
PATIENCE = 0.25
"""Seconds that a writer which keeps the file open is waited for."""
UNREAD = 1.0
"""Seconds that the kernel is given to read the file again: out of descriptors or memory, or with
a disk that failed once, it says nothing against a good file."""
PEEK = 0.001
"""Seconds between two looks at a file that is being written."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SortedNameservers:
    """The file's nameservers, sorted by what they mean to the guard."""

    usual: tuple[IPAddress, ...]
    """What glibc uses: the first three it takes."""
    real: tuple[IPAddress, ...]
    """Those of them that can be upstreams."""
    refused: tuple[IPAddress, ...]
    """The others."""
    poison: tuple[IPAddress, ...]
    """Cluster addresses, wherever any reader would find them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """The decision about resolv.conf."""

    wanted: tuple[IPAddress, ...]
    action: ReplaceFile | RestoreLink | None
    because: Pairs
    is_settled: bool = True
    """False while a write is put off, or while too little is known to decide."""
    look_at: float = float("inf")
    """When a write that is put off is due."""


def sort_nameservers(content: bytes, border: Exclusions) -> SortedNameservers:
    """Sort the nameservers of a file."""
    found = resolvconf.nameservers(content)
    usual = tuple(server.address for server in found if server.glibc)[: resolvconf.MAXNS]
    real = tuple(address for address in usual if border.allows(address))
    return SortedNameservers(
        usual=usual,
        real=real,
        refused=tuple(address for address in usual if address not in real),
        poison=tuple(server.address for server in found if server.address in border.cluster),
    )


def rewrite(  # noqa: PLR0913 -- the two at the end are facts of the look
    memory: Memory,
    seen: Observation,
    pool: Pool,
    border: Exclusions,
    *,
    announced: bytes | None,
    reaches_pods: bool,
) -> tuple[Memory, Rewrite]:
    """Decide about resolv.conf; ``memory.serves`` is already the new one.

    :param announced: the file that dhclient would have written since the last look.
    :param reaches_pods: what resolv.conf says may become what pods are given.
    """
    file = seen.file
    if memory.serves is Serves.UPSTREAM and (left := _leave_to_manager(memory, seen, border)):
        return left
    judged = file if announced is None else FileObservation(content=announced)
    reading = sort_nameservers(judged.content if judged.trouble is None else b"", border)
    wanted, why = _choose_nameservers(memory, judged, reading, pool)
    if wanted is None and not why and not reaches_pods:
        wanted, why = _give_back(memory, reading, pool)
    because = (("file", _describe(judged, reading)), *why)
    link = links.managers_link(file)
    if wanted is None and announced is not None:
        # A copy of it would do away with the link, and name whom Go alone reads.
        wanted = reading.real or None
    if wanted is not None:
        content = guarded_resolvconf.guard(
            memory.foreign or b"", wanted, link, in_order=_is_shared(wanted, border)
        )
    else:
        # What is only left as it is because nothing better is known is never written.
        content = judged.content if reading.real else file.content
    shown = reading.usual if wanted is None else wanted
    is_right = content == file.content and (wanted is None or file.trouble is None)
    due, reason = _find_write_time(memory, seen)
    is_unread = file.trouble is Trouble.NOT_READ and seen.now < due
    if is_right and file.is_readable and not is_unread:
        memory = replace(memory, written=content, unfinished_since=None)
        is_open = bool(reading.poison) and memory.health.state is NodeLocal.UNKNOWN
        is_settled = wanted is not None or memory.serves is Serves.NODELOCAL or not is_open
        return memory, Rewrite(wanted=shown, action=None, because=because, is_settled=is_settled)
    if seen.repaired is not None:
        fight = memory.fight.record_repair(seen.now)
        memory = replace(memory, written=seen.repaired, unfinished_since=None, fight=fight)
        is_settled = seen.repaired == content
        return memory, Rewrite(wanted=shown, action=None, because=because, is_settled=is_settled)
    if seen.now < due:
        since = seen.now if memory.unfinished_since is None else memory.unfinished_since
        peek = seen.now + PEEK if file.being_written else due
        if is_unread:
            peek = seen.now + 10 * PEEK
        put_off = Rewrite(
            wanted=shown,
            action=None,
            because=(*because, reason),
            is_settled=False,
            look_at=min(due, peek),
        )
        return replace(memory, unfinished_since=since), put_off
    memory = replace(
        memory,
        written=content,
        unfinished_since=None,
        fight=memory.fight.record_repair(seen.now),
        link_flaps=memory.link_flaps.record_break(seen.now, links.PAUSE)
        if file.leads_away
        else memory.link_flaps,
    )
    action = ReplaceFile(content=content, seen=file, wanted=shown)
    return memory, Rewrite(wanted=shown, action=action, because=because)


def prepare_repair(memory: Memory, seen: Observation, border: Exclusions) -> PreparedRepair | None:
    """Return what to do at once when the poison that is held back now comes again.

    None where the next poison has to be thought about: while nothing is held back,
    in a fight, and behind a symbolic link.
    """
    foreign, written = memory.foreign, memory.written
    if memory.serves is not Serves.UPSTREAM or foreign is None or written is None:
        return None
    has_link = links.managers_link(seen.file) or guarded_resolvconf.read_link_marker(written)
    if seen.file.link is not None or has_link or memory.fight.delay or foreign == written:
        return None
    poisoned = sort_nameservers(foreign, border).poison
    left = sort_nameservers(written, border)
    if (
        not poisoned
        or left.poison
        or not left.real
        or guarded_resolvconf.unguard(written) != foreign
    ):
        return None
    return prepare_repair_of(foreign, written, left.usual)


def prepare_repair_of(
    poisoned: bytes, content: bytes, wanted: tuple[IPAddress, ...]
) -> PreparedRepair:
    """Return how to guard a text with these servers, and every text that names the same ones."""
    block = resolvconf.nameserver_block(poisoned)
    guarded = guarded_resolvconf.guard(block, wanted) if block else b""
    return PreparedRepair(poisoned, content, block, guarded)


def _leave_to_manager(
    memory: Memory, seen: Observation, border: Exclusions
) -> tuple[Memory, Rewrite] | None:
    """Leave a link alone, or give it back, where it does not lead to poison; None where it does."""
    file = seen.file
    if links.is_awaited(file):
        return _await_manager(memory, seen, border)
    if file.leads_away and file.trouble is None:
        named = resolvconf.addresses(file.content)
        if links.is_poisoned(named, border):
            return None
        memory = replace(memory, unfinished_since=None, written=file.content)
        return memory, _leave(file, border, f"left to whoever keeps {file.link}")
    taken, behind = links.replaced_link(file), seen.link_target
    if taken is None or behind is None or not links.is_clean(seen, border):
        return None
    if not links.may_return(memory.link_flaps, seen.now):
        return None
    left = _leave(behind, border, f"{taken} is clean: the link is put back")
    action = RestoreLink(link=taken, seen=file, wanted=left.wanted)
    memory = replace(memory, written=behind.content, foreign=behind.content)
    return memory, replace(left, action=action)


def _await_manager(
    memory: Memory, seen: Observation, border: Exclusions
) -> tuple[Memory, Rewrite] | None:
    """Wait for the manager whose link leads nowhere yet; None once it had its time."""
    since = seen.now if memory.unfinished_since is None else memory.unfinished_since
    if seen.now >= since + links.WAIT:
        return None
    why = f"{seen.file.link} says nothing yet: whoever keeps it is waited for"
    memory = replace(memory, unfinished_since=since, written=seen.file.content)
    return memory, _leave(seen.file, border, why, look_at=since + links.WAIT)


def _leave(
    file: FileObservation, border: Exclusions, why: str, look_at: float = float("inf")
) -> Rewrite:
    reading = sort_nameservers(file.content if file.trouble is None else b"", border)
    because = (("file", _describe(file, reading)), ("write", why))
    return Rewrite(wanted=reading.usual, action=None, because=because, look_at=look_at)


def undo_failed_write(
    before: Memory, after: Memory, plan: Plan, file: FileObservation
) -> tuple[Memory, Plan]:
    """Return memory and plan after a write that failed.

    It was no repair and no round of a fight, and the file says what it said before.
    """
    memory = replace(after, fight=before.fight, unfinished_since=before.unfinished_since)
    found = resolvconf.nameservers(file.content)
    left = tuple(server.address for server in found if server.glibc)[: resolvconf.MAXNS]
    return memory, replace(plan, wanted=left, delay=before.fight.delay, is_settled=False)


def _find_write_time(memory: Memory, seen: Observation) -> tuple[float, tuple[str, str]]:
    """Return the earliest time to write, and why it is not now."""
    file = seen.file
    since = seen.now if memory.unfinished_since is None else memory.unfinished_since
    if file.being_written:
        return since + PATIENCE, ("write", "delayed: its writer has the file open")
    if file.trouble is Trouble.NOT_READ:
        return since + UNREAD, ("write", f"delayed: could not be read just now: {file.detail}")
    if file.trouble is Trouble.MISSING or (file.trouble is None and not file.content.strip()):
        return since + GRACE, ("write", "delayed: empty or missing, as while it is replaced")
    fight = memory.fight
    return fight.until, ("write", f"delayed {fight.delay:g} s: rewritten again and again")


def _describe(file: FileObservation, reading: SortedNameservers) -> str:
    if file.trouble is not None:
        return f"{file.trouble}: {file.detail}"
    if not (reading.usual or reading.poison):
        return "names no nameserver"
    names = [
        f"{address} (cluster address)" if address in reading.poison else str(address)
        for address in dict.fromkeys((*reading.usual, *reading.poison))
    ]
    return "names " + ", ".join(names)


def _choose_nameservers(
    memory: Memory, file: FileObservation, reading: SortedNameservers, pool: Pool
) -> tuple[tuple[IPAddress, ...] | None, Pairs]:
    """Return the nameservers that belong into the file, None to leave it as it is."""
    if memory.serves is Serves.NODELOCAL and memory.nodelocal is not None:
        return _nodelocal_first(memory.nodelocal, file, reading, pool), ()
    is_clean = bool(reading.real) and not reading.poison and not reading.refused
    if is_clean and upstreams.is_good_enough(reading.real, pool, resolvconf.MAXNS):
        # What was held back for a NodeLocalDNS that somebody has taken out comes back.
        return (reading.real if guarded_resolvconf.holds_rotate_back(file.content) else None), ()
    wanted = upstreams.choose(pool, reading.real, resolvconf.MAXNS)
    return (wanted, ()) if wanted else _without_upstream(memory, file, reading)


def _is_shared(wanted: tuple[IPAddress, ...], border: Exclusions) -> bool:
    """Tell whether NodeLocalDNS shares the file with others, who know no name of the cluster.

    Then they must be asked behind it and not in turn: with ``options rotate`` glibc found a
    cluster name in 34 of 60 new processes (issue 13).
    """
    return len(wanted) > 1 and not border.cluster.isdisjoint(wanted)


def _nodelocal_first(
    nodelocal: IPAddress, file: FileObservation, reading: SortedNameservers, pool: Pool
) -> tuple[IPAddress, ...] | None:
    """NodeLocalDNS first, real servers behind it as backup, and asked in this order."""
    is_alone = reading.usual[:1] == reading.poison == reading.refused == (nodelocal,)
    is_right = is_alone and not resolvconf.rotates(file.content)
    if is_right and upstreams.is_good_enough(reading.real, pool, MOST_BACKUPS):
        return None
    return (nodelocal, *upstreams.choose(pool, reading.real, MOST_BACKUPS))


def _without_upstream(
    memory: Memory, file: FileObservation, reading: SortedNameservers
) -> tuple[tuple[IPAddress, ...] | None, Pairs]:
    """No source names an upstream.

    No nameserver beats a loop, so cluster addresses are held back; but an answering
    NodeLocalDNS is no dead end, and taking away the one server that works would be
    the very outage the guard is for. So it is left, never written, until it falls silent.
    """
    if file.trouble is not None or not reading.poison:
        return None, ()
    if memory.health.answers or memory.health.state is NodeLocal.UNKNOWN:
        return None, (
            ("write", "left as it is: no upstream is known, and NodeLocalDNS may answer"),
        )
    return reading.real, (
        ("write", "no upstream is known: cluster addresses are held back all the same"),
    )


def _give_back(
    memory: Memory, reading: SortedNameservers, pool: Pool
) -> tuple[tuple[IPAddress, ...] | None, Pairs]:
    """Give the held-back NodeLocalDNS back where it has come up and no upstream is known.

    It was down at boot, its line was held back, and the file stayed empty for ever (issue 13).
    Only into a file that pods don't get: they would inherit the loop.
    """
    health = memory.health
    if health.state is not NodeLocal.HEALTHY or health.address is None:
        return None, ()
    held_back = {one.address for one in resolvconf.nameservers(memory.foreign or b"") if one.glibc}
    is_needed = not reading.poison and not upstreams.eligible(pool)
    if not is_needed or health.address not in held_back:
        return None, ()
    why = ("write", "given back: no upstream is known, and NodeLocalDNS is healthy")
    return (health.address, *reading.real[:MOST_BACKUPS]), (why,)


def write_pod_file(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool, border: Exclusions
) -> tuple[ReplacePodFile, ...]:
    """Keep real upstreams in the file for kubelet; with none known it stays as it is.

    But cluster DNS never stays, known as such before or found out since: every CoreDNS that
    is started would inherit the loop. With nobody else known the file names nobody, and is
    there: without it kubelet could not even start the control plane's static pods.
    """
    reachable = tuple(upstream for upstream in pool if _is_for_pods(upstream.address))
    current = tuple(server.address for server in resolvconf.nameservers(seen.pod_file or b""))
    real = tuple(one for one in current if border.allows(one) and _is_for_pods(one))
    wanted = real
    if real != current or not upstreams.is_good_enough(real, reachable, resolvconf.MAXNS):
        wanted = upstreams.choose(reachable, real, resolvconf.MAXNS) or real
    wanted = upstreams.in_order(wanted, reachable)
    foreign = memory.foreign or b""
    content = resolvconf.pod_file(
        wanted,
        resolvconf.drop_cluster_names(resolvconf.search_list(foreign), policy.cluster_domain),
        resolvconf.pod_options(foreign, wanted),
    )
    if content == seen.pod_file or not (wanted or current):
        return ()
    return (ReplacePodFile(content=content, wanted=wanted),)


def _is_for_pods(address: IPAddress) -> bool:
    """Tell whether it is the same server in a pod's network namespace as in the node's."""
    return not (address.is_loopback or (address.version == 6 and address.is_link_local))
