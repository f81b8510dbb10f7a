"""What resolv.conf is to say, and whether now is the time to write it.

The text is always made from what somebody else wrote last (``memory.foreign``), never from
our own, so that nothing of theirs is lost however often it is guarded:

    foreign                      guarding                                  handed over
    search cluster.local         search cluster.local                      search cluster.local
    nameserver 169.254.25.10     # held back by dnsguard: nameserver ...   nameserver 169.254.25.10
                                 # added by dnsguard: 192.0.2.1            # added by dnsguard: 192.0.2.1
                                 nameserver 192.0.2.1                      nameserver 192.0.2.1
"""

from dataclasses import dataclass, replace

from dnsguard.core import links
from dnsguard.core.choice import (
    Pairs,
    SortedNameservers,
    choose_nameservers,
    share_with_nodelocal,
    sort_nameservers,
)
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import NodeLocal
from dnsguard.core.observation import FileObservation, Observation, Trouble
from dnsguard.core.plan import PreparedRepair, ReplaceFile, RestoreLink
from dnsguard.core.upstreams import Pool
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.address import IPAddress

GRACE = 0.1
"""Seconds that an empty or missing file may stay so: its writer is likely on the way."""
PATIENCE = 0.25
"""Seconds that a writer which keeps the file open is waited for."""
UNREAD = 1.0
"""Seconds that the kernel is given to read the file again: out of descriptors or memory, or with
a disk that failed once, it says nothing against a good file."""
PEEK = 0.001
"""Seconds between two looks at a file that is being written."""
_NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """The decision about resolv.conf."""

    wanted: tuple[IPAddress, ...]
    action: ReplaceFile | RestoreLink | None
    because: Pairs
    is_settled: bool = True
    """False while a write is put off, or while too little is known to decide."""
    look_at: float = _NEVER
    """When a write that is put off is due."""


def rewrite(  # noqa: PLR0913 -- the three at the end are facts of the look
    memory: Memory,
    seen: Observation,
    pool: Pool,
    exclusions: Exclusions,
    *,
    left_to: tuple[IPAddress, ...] | None,
    announced: bytes | None,
    is_kept_from_pods: bool,
) -> tuple[Memory, Rewrite]:
    """Decide about resolv.conf; ``memory.serves`` is already the new one.

    :param left_to: whom systemd-resolved asks, where what is behind a link to it is cured there.
    :param announced: the file that dhclient would have written since the last look.
    :param is_kept_from_pods: no pod gets what resolv.conf says.
    """
    # 1. A manager's link is its own, unless it leads to cluster DNS.
    if left_to is not None and links.leads_to_resolved(seen.file.link):
        memory = replace(memory, unfinished_since=None, written=seen.file.content)
        stays = _leave(seen.file, exclusions, "left to systemd-resolved, whose list is ours")
        return memory, replace(stays, wanted=left_to or stays.wanted)
    if memory.serves is Serves.UPSTREAM and (left := _leave_to_manager(memory, seen, exclusions)):
        return left
    # 2. Who is named, by the file or by what dhclient would have made of it, and who should be.
    file = seen.file
    judged = file if announced is None else FileObservation(content=announced)
    named = sort_nameservers(judged.content if judged.trouble is None else b"", exclusions)
    wanted, why = choose_nameservers(
        memory,
        judged,
        named,
        pool,
        is_announced=announced is not None,
        is_kept_from_pods=is_kept_from_pods,
    )
    # 3. The text that says so.
    if wanted is not None:
        link, in_order = links.managers_link(file), share_with_nodelocal(wanted, exclusions)
        content = guarded_resolvconf.guard(memory.foreign or b"", wanted, link, in_order=in_order)
    else:
        # What is only left as it is because nothing better is known is never written.
        content = judged.content if named.real else file.content
        if file.place_of is not None and named.real:
            content = guarded_resolvconf.mark_link(content, file.place_of)
    decision = Rewrite(
        wanted=named.usual if wanted is None else wanted,
        action=None,
        because=(("file", _describe_file(judged, named)), *why),
    )
    # 4. Whether it says so already, was made to say so, or is to be written: now or later.
    due, reason = _find_write_time(memory, seen)
    is_unread = file.trouble is Trouble.NOT_READ and seen.now < due
    is_right = content == file.content and (wanted is None or file.trouble is None)
    if is_right and file.is_readable and not is_unread:
        memory = replace(memory, written=content, unfinished_since=None)
        # Before NodeLocalDNS was looked for, what is only left as it is may yet be a dead end.
        is_open = bool(named.poison) and memory.health.state is NodeLocal.UNKNOWN
        is_settled = wanted is not None or memory.serves is Serves.NODELOCAL or not is_open
        return memory, replace(decision, is_settled=is_settled)
    if seen.repaired is not None:
        memory = _record_write(memory, seen, seen.repaired)
        return memory, replace(decision, is_settled=seen.repaired == content)
    if seen.now < due:
        since = seen.now if memory.unfinished_since is None else memory.unfinished_since
        because = (*decision.because, reason)
        at = min(due, _find_next_peek(seen, due, is_unread=is_unread))
        memory = replace(memory, unfinished_since=since)
        return memory, replace(decision, because=because, is_settled=False, look_at=at)
    memory = _record_write(memory, seen, content)
    return memory, replace(
        decision, action=ReplaceFile(content=content, seen=file, wanted=decision.wanted)
    )


def _record_write(memory: Memory, seen: Observation, content: bytes) -> Memory:
    """Count it as a round of a fight; and where a link gives way to it, as one of those."""
    damping = memory.link_flaps
    if seen.file.leads_away and seen.repaired is None:
        damping = damping.record_break(seen.now, links.PAUSE)
    fight = memory.fight.record_repair(seen.now)
    return replace(memory, written=content, unfinished_since=None, fight=fight, link_flaps=damping)


def _find_next_peek(seen: Observation, due: float, *, is_unread: bool) -> float:
    """Return when to look whether the file can be read, or its writer has let go of it."""
    if is_unread:
        return seen.now + 10 * PEEK
    return seen.now + PEEK if seen.file.being_written else due


def undo_failed_write(
    before: Memory, memory: Memory, decision: Rewrite, file: FileObservation
) -> tuple[Memory, Rewrite]:
    """Return memory and decision after a write that failed.

    It was no repair and no round of a fight, no link gave way, and the file says what it said
    before.
    """
    memory = replace(
        memory,
        fight=before.fight,
        link_flaps=before.link_flaps,
        unfinished_since=before.unfinished_since,
    )
    found = resolvconf.read_nameservers(file.content)
    left = tuple(server.address for server in found if server.glibc)[: resolvconf.MAXNS]
    return memory, replace(decision, wanted=left, is_settled=False)


def prepare_repair(
    memory: Memory, seen: Observation, exclusions: Exclusions
) -> PreparedRepair | None:
    """Return what to do at once when the poison that is held back now comes again.

    None where the next poison has to be thought about: while nothing is held back,
    in a fight, and behind a symbolic link.
    """
    foreign, written = memory.foreign, memory.written
    if memory.serves is not Serves.UPSTREAM or foreign is None or written is None:
        return None
    has_link = links.managers_link(seen.file) or guarded_resolvconf.read_link_marker(written)
    is_fight = memory.fight.delay_at(seen.now) > 0
    if seen.file.link is not None or has_link or is_fight or foreign == written:
        return None
    poisoned = sort_nameservers(foreign, exclusions).poison
    left = sort_nameservers(written, exclusions)
    if not poisoned or left.poison or not left.real:
        return None
    if guarded_resolvconf.unguard(written) != foreign:
        return None
    return prepare_repair_of(foreign, written, left.usual)


def prepare_repair_of(
    poisoned: bytes, content: bytes, wanted: tuple[IPAddress, ...]
) -> PreparedRepair:
    """Return how to guard a text with these servers, and every text that names the same ones."""
    block = resolvconf.find_nameserver_block(poisoned)
    guarded = guarded_resolvconf.guard(block, wanted) if block else b""
    return PreparedRepair(poisoned, content, block, guarded)


def _leave_to_manager(
    memory: Memory, seen: Observation, exclusions: Exclusions
) -> tuple[Memory, Rewrite] | None:
    """Leave a link alone, or give it back, where it does not lead to poison; None where it does."""
    file = seen.file
    if links.is_awaited(file):
        return _await_manager(memory, seen, exclusions)
    if file.leads_away and file.trouble is None:
        if links.leads_to_poison(file, exclusions):
            return None
        memory = replace(memory, unfinished_since=None, written=file.content)
        return memory, _leave(file, exclusions, f"left to whoever keeps {file.link}")
    taken, behind = links.replaced_link(file), seen.link_target
    if taken is None or behind is None or not links.is_clean(seen, exclusions):
        return None
    if not links.may_return(memory.link_flaps, seen.now):
        return None
    left = _leave(behind, exclusions, f"{taken} is clean: the link is put back")
    action = RestoreLink(link=taken, seen=file, wanted=left.wanted)
    memory = replace(memory, written=behind.content, foreign=behind.content)
    return memory, replace(left, action=action)


def _await_manager(
    memory: Memory, seen: Observation, exclusions: Exclusions
) -> tuple[Memory, Rewrite] | None:
    """Wait for the manager whose link leads nowhere yet; None once it had its time."""
    since = seen.now if memory.unfinished_since is None else memory.unfinished_since
    if seen.now >= since + links.WAIT:
        return None
    why = f"{seen.file.link} says nothing yet: whoever keeps it is waited for"
    memory = replace(memory, unfinished_since=since, written=seen.file.content)
    return memory, _leave(seen.file, exclusions, why, look_at=since + links.WAIT)


def _leave(
    file: FileObservation, exclusions: Exclusions, why: str, look_at: float = float("inf")
) -> Rewrite:
    reading = sort_nameservers(file.content if file.trouble is None else b"", exclusions)
    because = (("file", _describe_file(file, reading)), ("write", why))
    return Rewrite(wanted=reading.usual, action=None, because=because, look_at=look_at)


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


def _describe_file(file: FileObservation, reading: SortedNameservers) -> str:
    if file.trouble is not None:
        return f"{file.trouble}: {file.detail}"
    if not (reading.usual or reading.poison):
        return "names no nameserver"
    names = [
        f"{address} (cluster address)" if address in reading.poison else str(address)
        for address in dict.fromkeys((*reading.usual, *reading.poison))
    ]
    return "names " + ", ".join(names)
