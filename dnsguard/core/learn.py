"""What others say of nameservers: the foreign file, and what dhclient was told.

Our own enter hook keeps dhclient from the file and writes down what it was told. What
dhclient would have made of the file is then made here, so that a renewal still brings a
new nameserver or search list; it is guarded like anything that someone else wrote.
"""

from collections.abc import Container, Iterator
from dataclasses import replace

from dnsguard.core import links, upstreams
from dnsguard.core.attribution import BY_HAND, Trample, Writer, attribute
from dnsguard.core.memory import Memory
from dnsguard.core.model import Candidate, HookRecord, Source
from dnsguard.core.observation import FileObservation, Observation
from dnsguard.core.plan import UnusedKind
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient import script
from dnsguard.formats.dhclient.records import DhclientEvent, Reason
from dnsguard.formats.writers import DHCLIENT

RESOLV_CONF = "/etc/resolv.conf"
EXPIRED = 100
"""The tier of leases that no longer hold, behind all that do."""
_AFRESH = frozenset({Reason.BOUND, Reason.REBOOT, Reason.TIMEOUT, Reason.BOUND6})
"""dhclient has just started: what it says counts even if it said the same before."""


MOST_DELETED = 16


def learn_file(memory: Memory, seen: Observation, cluster: Container[IPAddress]) -> Memory:
    """Take in what someone else wrote. Our own writing teaches nothing."""
    file = seen.file
    if not _is_news_from_others(memory, file):
        return memory
    foreign = guarded_resolvconf.unguard(file.content)
    before = memory.foreign or b""
    writer = attribute(file.content, before, seen.touches, seen.now)
    memory = replace(memory, writer=writer)
    if memory.written is None:
        written_at = file.identity.mtime_ns / 1e9 if file.identity else seen.wall
        memory = _take_foreign(memory, foreign, written_at)
        if _is_chosen(file.content, foreign, cluster):
            return _learn_left_servers(memory, file.content, written_at)
        # What an earlier run added to the file was known then, from wherever.
        added = upstreams.from_text(
            file.content, source=Source.BACKUP, origin="added by dnsguard", seen=written_at
        )
        named = {learned.address for learned in memory.learned}
        ours = (one for one in added if one.address not in named)
        return replace(memory, learned=(*memory.learned, *ours))
    deleted = {} if file.leads_away else _find_deleted(memory, file.content, cluster, seen.wall)
    memory = _take_foreign(memory, foreign, seen.wall)
    if file.leads_away:
        return memory  # a manager's own file: nothing of ours was there
    memory = _learn_left_servers(memory, file.content, seen.wall)
    memory = replace(memory, deleted={**memory.deleted, **deleted})
    return replace(memory, tramples=memory.tramples.add(Trample(seen.wall, writer)))


def _is_news_from_others(memory: Memory, file: FileObservation) -> bool:
    if file.trouble is not None or file.content == memory.written:
        return False
    if file.identity == memory.identity:
        return False  # Ours could not be written: the file is the one seen before.
    # Truncated: nothing is said yet, and nothing taken back.
    return bool(file.content) or memory.foreign is None


def _learn_left_servers(memory: Memory, content: bytes, written_at: float) -> Memory:
    """Take in whom an editor has left in our text: in the place that they have there.

    Else a server that somebody adds would be alone of the file's rank, and remove the one
    that worked (issue 13). Who leaves all of them as they were has chosen nobody: Kubespray's
    exit hook edits the options, and a retired server would have stayed for good (issue 15).
    """
    if resolvconf.read_addresses(content) == resolvconf.read_addresses(memory.written or b""):
        return memory
    learned = upstreams.from_text(
        guarded_resolvconf.count_ours_as_theirs(content),
        source=Source.RESOLV_CONF,
        origin=RESOLV_CONF,
        seen=written_at,
    )
    named = {one.address for one in learned}
    deleted = {one: at for one, at in memory.deleted.items() if one not in named}
    return replace(memory, learned=learned, deleted=deleted)


def _is_chosen(content: bytes, foreign: bytes, cluster: Container[IPAddress]) -> bool:
    """Tell whether a person chose to have ours beside a real server of their own.

    By itself dnsguard adds to none that it leaves in the file.
    """
    named, added = set(resolvconf.read_addresses(content)), guarded_resolvconf.read_added(content)
    kept = named.intersection(resolvconf.read_addresses(foreign)) - added
    return bool(added & named) and any(one not in cluster for one in kept)


def _find_deleted(
    memory: Memory, content: bytes, cluster: Container[IPAddress], wall: float
) -> dict[IPAddress, float]:
    """Return whom a person has taken out of the file as it was."""
    if memory.writer is None or memory.writer.name not in BY_HAND:
        return {}
    written = memory.written or b""
    left = resolvconf.read_addresses(guarded_resolvconf.count_ours_as_theirs(content))
    was = [one for one in resolvconf.read_addresses(written) if one not in cluster]
    if not guarded_resolvconf.is_guarded(content) and not _is_edit(written, content, cluster):
        return {}
    return {one: wall for one in was if one not in left}


def _is_edit(written: bytes, content: bytes, cluster: Container[IPAddress]) -> bool:
    """Tell whether a text without a mark of ours is the old one with other nameservers.

    One that names cluster DNS alone is a poisoned one, made anew.
    """
    named = {server.line for server in resolvconf.read_nameservers(content)}
    others = {line for at, line in enumerate(content.split(b"\n")) if at not in named}
    names_somebody = any(one not in cluster for one in resolvconf.read_addresses(content))
    return names_somebody and others <= set(written.split(b"\n"))


def learn_link_target(memory: Memory, seen: Observation) -> tuple[Memory, bytes | None]:
    """Take in what the manager says now whose link we have taken the place of.

    The file that it would be without us, if that is new.
    """
    said = links.content_of(seen.link_target)
    if said is None or links.replaced_link(seen.file) is None or said == memory.foreign:
        return memory, None
    return _take_foreign(memory, said, seen.wall), said


def learn_records(memory: Memory, seen: Observation) -> tuple[Memory, bytes | None]:
    """Take in what dhclient was told.

    The file that it would have written since the last look, None if none: where resolv.conf is
    a manager's link, that manager is told as well, and writes it.
    """
    if links.managers_link(seen.file) is not None:
        return replace(memory, records=seen.records), None
    is_first = memory.written is None
    file_at = seen.file.identity.mtime_ns / 1e9 if is_first and seen.file.identity else 0.0
    before = {(r.told.interface, r.told.version): r for r in memory.records}
    announced: bytes | None = None
    for record in sorted(seen.records, key=lambda record: record.written):
        earlier = before.get((record.told.interface, record.told.version))
        if record.written < file_at or not _is_news(earlier, record):
            continue
        text = script.make_resolv_conf(record.told, memory.foreign or b"")
        if text is not None:
            text += _find_added_options(text, memory, seen, record)
            announced = text
            writer = Writer(DHCLIENT, f"what it was told on {record.told.interface}")
            memory = replace(_take_foreign(memory, text, record.written), writer=writer)
    return replace(memory, records=seen.records), announced


def _find_added_options(
    text: bytes, memory: Memory, seen: Observation, record: HookRecord
) -> bytes:
    """Return the options that an exit hook has put into the file since dhclient was told.

    Kubespray's zdnsupdate does so a moment after our enter hook, and one look may see both.
    """
    file, has_options = seen.file, b"\noptions " in text
    if file.identity is None or file.content == memory.written or has_options:
        return b""
    if file.identity.mtime_ns / 1e9 < record.written:
        return b""
    lines = guarded_resolvconf.unguard(file.content).split(b"\n")
    return b"".join(line + b"\n" for line in lines if line.startswith(b"options "))


def _is_news(before: HookRecord | None, now: HookRecord) -> bool:
    if now.told.is_gone or (before is not None and before.written == now.written):
        return False
    if before is None or now.told.reason in _AFRESH:
        return True
    return _answer_of(before.told) != _answer_of(now.told)


def _answer_of(told: DhclientEvent) -> tuple[object, ...]:
    return told.nameservers, told.domain, told.search


def _take_foreign(memory: Memory, foreign: bytes, written_at: float) -> Memory:
    learned = upstreams.from_text(
        foreign, source=Source.RESOLV_CONF, origin=RESOLV_CONF, seen=written_at
    )
    named = {one.address for one in learned}
    deleted = {one: at for one, at in memory.deleted.items() if one not in named}
    newest = sorted(deleted, key=lambda one: deleted[one], reverse=True)[:MOST_DELETED]
    told = (
        memory.told_unused
        if foreign == memory.foreign
        else frozenset[tuple[IPAddress, UnusedKind]]()
    )
    return replace(
        memory,
        foreign=foreign,
        learned=learned,
        deleted={one: deleted[one] for one in newest},
        told_unused=told,
    )


def candidates(memory: Memory) -> Iterator[Candidate]:
    """Yield whom the foreign file names, and whom dhclient was told of.

    The servers of a lease that no longer holds lose their rank, in the file as well.
    """
    told = [one for record in memory.records for one in _candidates_of_record(record, memory.bound)]
    holding = {one.address for one in told if one.source is Source.DHCP}
    gone = {one.address for one in told if one.source is Source.LEASE} - holding
    for learned in memory.learned:
        is_gone = learned.address in gone
        yield replace(learned, source=Source.LEASE, tier=EXPIRED) if is_gone else learned
    yield from told


def _candidates_of_record(
    record: HookRecord, bound: frozenset[IPAddress] | None
) -> Iterator[Candidate]:
    told = record.told
    origin = f"dhclient on {told.interface}: {told.reason}"
    is_unbound = None not in (told.address, bound) and told.address not in (bound or ())
    is_gone = told.is_gone or is_unbound
    for address in told.nameservers:
        yield Candidate(
            address=address,
            source=Source.LEASE if is_gone else Source.DHCP,
            origin=origin,
            seen=record.written,
            tier=EXPIRED if is_gone else 0,
            interface=told.interface,
        )
    for address in (*told.routers, *((told.server,) if told.server else ())):
        yield Candidate(
            address=address,
            source=Source.GUESS,
            origin=origin,
            seen=record.written,
            interface=told.interface,
        )
