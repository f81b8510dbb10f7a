"""What resolv.conf is to say, and whether now is the time to write it."""

from dataclasses import dataclass, replace

from dnsguard.core import resolvconf, upstreams
from dnsguard.core.address import IPAddress
from dnsguard.core.border import Border
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import (
    FileSeen,
    NodeLocal,
    Observation,
    Policy,
    Remedy,
    ReplaceFile,
    ReplacePodFile,
    Trouble,
)
from dnsguard.core.upstreams import Pool

MOST_BACKUPS = resolvconf.MAXNS - 1
"""Upstreams behind NodeLocalDNS."""
GRACE = 0.1
"""Seconds that an empty or missing file may stay so: its writer is likely on the way."""
PATIENCE = 0.25
"""Seconds that a writer which keeps the file open is waited for."""
PEEK = 0.001
"""Seconds between two looks at a file that is being written."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reading:
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
    action: ReplaceFile | None
    because: Pairs
    is_settled: bool = True
    """False while a write is put off, or while too little is known to decide."""
    look_at: float = float("inf")
    """When a write that is put off is due."""


def read(content: bytes, border: Border) -> Reading:
    """Sort the nameservers of a file."""
    found = resolvconf.nameservers(content)
    usual = tuple(server.address for server in found if server.glibc)[: resolvconf.MAXNS]
    real = tuple(address for address in usual if border.admits(address))
    return Reading(
        usual=usual,
        real=real,
        refused=tuple(address for address in usual if address not in real),
        poison=tuple(server.address for server in found if server.address in border.cluster),
    )


def rewrite(
    memory: Memory, seen: Observation, pool: Pool, border: Border, *, announced: bytes | None
) -> tuple[Memory, Rewrite]:
    """Decide about resolv.conf; ``memory.serves`` is already the new one.

    :param announced: the file that dhclient would have written since the last look.
    """
    file = seen.file
    judged = file if announced is None else FileSeen(content=announced)
    reading = read(judged.content if judged.trouble is None else b"", border)
    wanted, why = _wanted(memory, judged, reading, pool)
    because = (("file", _describe(judged, reading)), *why)
    if wanted is not None:
        content = resolvconf.guard(memory.foreign or b"", wanted)
    else:
        # What is only left as it is because nothing better is known is never written.
        content = judged.content if reading.real else file.content
    shown = reading.usual if wanted is None else wanted
    if content == file.content and (wanted is None or file.trouble is None):
        memory = replace(memory, written=content, unfinished_since=None)
        is_open = bool(reading.poison) and memory.health.state is NodeLocal.UNKNOWN
        is_settled = wanted is not None or memory.serves is Serves.NODELOCAL or not is_open
        return memory, Rewrite(wanted=shown, action=None, because=because, is_settled=is_settled)
    if seen.repaired is not None:
        fight = memory.fight.repaired(seen.now)
        memory = replace(memory, written=seen.repaired, unfinished_since=None, fight=fight)
        is_settled = seen.repaired == content
        return memory, Rewrite(wanted=shown, action=None, because=because, is_settled=is_settled)
    due, reason = _due(memory, seen)
    if seen.now < due:
        since = seen.now if memory.unfinished_since is None else memory.unfinished_since
        peek = seen.now + PEEK if file.being_written else due
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
        fight=memory.fight.repaired(seen.now),
    )
    action = ReplaceFile(content=content, seen=file, wanted=shown)
    return memory, Rewrite(wanted=shown, action=action, because=because)


def remedy(memory: Memory, seen: Observation, border: Border) -> Remedy | None:
    """Return what to do at once when the poison that is held back now comes again.

    None where the next poison has to be thought about: while nothing is held back,
    in a fight, and behind a symbolic link.
    """
    foreign, written = memory.foreign, memory.written
    if memory.serves is not Serves.UPSTREAM or foreign is None or written is None:
        return None
    if seen.file.link is not None or memory.fight.delay or foreign == written:
        return None
    poisoned = read(foreign, border).poison
    left = read(written, border)
    if not poisoned or left.poison or not left.real or resolvconf.unguard(written) != foreign:
        return None
    return Remedy(foreign, written)


def _due(memory: Memory, seen: Observation) -> tuple[float, tuple[str, str]]:
    """Return the earliest time to write, and why it is not now."""
    file = seen.file
    since = seen.now if memory.unfinished_since is None else memory.unfinished_since
    if file.being_written:
        return since + PATIENCE, ("write", "delayed: its writer has the file open")
    if file.trouble is Trouble.MISSING or (file.trouble is None and not file.content.strip()):
        return since + GRACE, ("write", "delayed: empty or missing, as while it is replaced")
    fight = memory.fight
    return fight.until, ("write", f"delayed {fight.delay:g} s: rewritten again and again")


def _describe(file: FileSeen, reading: Reading) -> str:
    if file.trouble is not None:
        return f"{file.trouble}: {file.detail}"
    if not (reading.usual or reading.poison):
        return "names no nameserver"
    names = [
        f"{address} (cluster address)" if address in reading.poison else str(address)
        for address in dict.fromkeys((*reading.usual, *reading.poison))
    ]
    return "names " + ", ".join(names)


def _wanted(
    memory: Memory, file: FileSeen, reading: Reading, pool: Pool
) -> tuple[tuple[IPAddress, ...] | None, Pairs]:
    """Return the nameservers that belong into the file, None to leave it as it is."""
    if memory.serves is Serves.NODELOCAL and memory.nodelocal is not None:
        return _behind(memory.nodelocal, reading, pool), ()
    is_clean = bool(reading.real) and not reading.poison and not reading.refused
    if is_clean and upstreams.can_stay(reading.real, pool, resolvconf.MAXNS):
        return None, ()
    wanted = upstreams.select(pool, reading.real, resolvconf.MAXNS)
    return (wanted, ()) if wanted else _of_nothing(memory, file, reading)


def _behind(nodelocal: IPAddress, reading: Reading, pool: Pool) -> tuple[IPAddress, ...] | None:
    """NodeLocalDNS first, real servers behind it as backup."""
    is_alone = reading.usual[:1] == reading.poison == reading.refused == (nodelocal,)
    if is_alone and upstreams.can_stay(reading.real, pool, MOST_BACKUPS):
        return None
    return (nodelocal, *upstreams.select(pool, reading.real, MOST_BACKUPS))


def _of_nothing(
    memory: Memory, file: FileSeen, reading: Reading
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


def pod_file(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool, border: Border
) -> tuple[ReplacePodFile, ...]:
    """Keep real upstreams in the file for kubelet; with none known it stays as it is.

    A loopback address or a zone of the node is nobody in a pod's network namespace.
    """
    reachable = tuple(
        upstream
        for upstream in pool
        if not upstream.address.is_loopback
        and not (upstream.address.version == 6 and upstream.address.is_link_local)
    )
    current = tuple(server.address for server in resolvconf.nameservers(seen.pod_file or b""))
    are_real = all(border.admits(address) for address in current)
    wanted = current
    if not (are_real and upstreams.can_stay(current, reachable, resolvconf.MAXNS)):
        wanted = upstreams.select(reachable, current, resolvconf.MAXNS)
    search = resolvconf.search_list(memory.foreign or b"")
    content = resolvconf.pod_file(wanted, resolvconf.outside(search, policy.cluster_domain))
    if not wanted or content == seen.pod_file:
        return ()
    return (ReplacePodFile(content=content, wanted=wanted),)
