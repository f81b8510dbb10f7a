"""When to ask a DHCP server for the nameservers (RFC 2131, 3.4), and what it said.

A lease that dhclient.conf has poisoned can't tell them, the server still does. It is
asked once when such a lease is first seen, once more at each renewal, which may have brought
others, and again and again, less and less often, while no upstream answers. Otherwise never:
what works needs no question.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dnsguard.core.answers import Outcome
from dnsguard.core.backoff import back_off
from dnsguard.core.model import Candidate, CurrentLease, HookRecord, Source
from dnsguard.core.observation import DhcpAnswer
from dnsguard.formats.address import IPAddress

if TYPE_CHECKING:  # 3 ms that the first look need not wait for
    from dnsguard.formats.dhcp import Reply

FIRST, LONGEST = 1.0, 300.0
"""Seconds between two questions on one interface: doubled from the one up to the other."""
LOST = 10.0
"""Seconds after which a question that brought no outcome at all is asked anew."""
MOST_INTERFACES = 16
"""More are not asked: each is a socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpQueryRecord:
    """What is known of asking on one interface, about one lease."""

    lease: CurrentLease
    asked_at: float | None = None
    tries: int = 0
    """Questions in this row; a new row begins after a long rest."""
    waiting: bool = False
    last: DhcpAnswer | None = None
    """The last outcome."""
    told: "Reply | None" = None
    """The last answer."""
    seen: float = 0.0
    """When it came, in seconds since the epoch."""

    @property
    def was_asked(self) -> bool:
        """Whether a question has gone out, and was answered or not."""
        return self.last is not None and self.last.outcome is not Outcome.UNREACHABLE

    @property
    def due_at(self) -> float:
        """The earliest time of the next question."""
        if self.asked_at is None:
            return float("-inf")
        return self.asked_at + max(
            back_off(FIRST, self.tries - 1, LONGEST), LOST if self.waiting else 0.0
        )


Informs = Mapping[str, DhcpQueryRecord]
"""By interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueQueries:
    """The leases to ask about now, and when to come again."""

    now: tuple[CurrentLease, ...]
    next_at: float


def find_due(  # noqa: PLR0913 -- each a fact of one look
    memory: Informs,
    leases: Sequence[CurrentLease],
    now: float,
    *,
    cluster: frozenset[IPAddress],
    bound: frozenset[IPAddress] | None,
    is_stranded: bool,
) -> tuple[Informs, DueQueries]:
    """Choose the interfaces to ask on, and note them as asked.

    ``is_stranded`` says that no upstream answers. What was known of an interface is
    forgotten with its lease. A lease whose address is not among ``bound``, the node's, is
    one of the last boot's: it waits for its interface, and is then asked about at once.
    """
    informs: dict[str, DhcpQueryRecord] = {}
    asked: list[CurrentLease] = []
    next_at = float("inf")
    for lease in leases[:MOST_INTERFACES]:
        if lease.interface in informs:
            continue
        inform = _of(memory, lease)
        is_poisoned = not cluster.isdisjoint(lease.nameservers)
        is_held = bound is None or lease.address is None or lease.address in bound
        if is_held and (is_stranded or (is_poisoned and not inform.was_asked)):
            if inform.due_at <= now:
                asked.append(lease)
                inform = _asked(inform, now)
            next_at = min(next_at, inform.due_at)
        informs[lease.interface] = inform
    return informs, DueQueries(now=tuple(asked), next_at=next_at)


def find_told(records: Iterable[HookRecord]) -> Iterator[CurrentLease]:
    """Yield the leases of which dhclient was told: it writes them down later, and unnoticed.

    The first boot with a poisoned systemd-resolved found its server 5 s late.
    """
    for told in (record.told for record in records):
        if told.version == 4 and told.server is not None and not told.is_gone:
            yield CurrentLease(
                interface=told.interface,
                address=told.address,
                nameservers=told.nameservers,
                servers=frozenset({told.server}),
                origin=f"dhclient on {told.interface}",
                expires=told.expires,
            )


def apply_answer(memory: Informs, informed: DhcpAnswer, wall: float) -> Informs:
    """Take an outcome in; ``wall`` is the time in seconds since the epoch.

    One that is about another lease than the interface has now counts for nothing.
    """
    inform = memory.get(informed.interface)
    if inform is None or not _is_same(inform.lease, informed.lease):
        return memory
    inform = replace(inform, waiting=False, last=informed)
    if informed.reply is not None:
        inform = replace(inform, told=informed.reply, seen=wall)
    return {**memory, informed.interface: inform}


def candidates(memory: Informs) -> tuple[Candidate, ...]:
    """Return the nameservers that the DHCP servers named."""
    return tuple(
        Candidate(
            address=address,
            source=Source.INFORM,
            origin=f"DHCP server {inform.told.server} asked on {interface}",
            seen=inform.seen,
            interface=interface,
        )
        for interface, inform in memory.items()
        if inform.told is not None
        for address in inform.told.nameservers
    )


def _of(memory: Informs, lease: CurrentLease) -> DhcpQueryRecord:
    known = memory.get(lease.interface)
    if known is None or not _is_same(known.lease, lease):
        return DhcpQueryRecord(lease=lease)
    if known.lease.expires == lease.expires:
        return known
    # Renewed: what the server said counts until it says something else.
    return DhcpQueryRecord(lease=lease, told=known.told, seen=known.seen)


def _is_same(one: CurrentLease, other: CurrentLease) -> bool:
    """Tell whether it is the same lease, renewed or not; a server more is no other one."""
    return (one.address, one.nameservers) == (other.address, other.nameservers)


def _asked(inform: DhcpQueryRecord, now: float) -> DhcpQueryRecord:
    rested = inform.asked_at is not None and now - inform.asked_at > 2 * LONGEST
    return replace(inform, asked_at=now, tries=1 if rested else inform.tries + 1, waiting=True)
