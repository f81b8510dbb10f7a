"""From what files say to ranked candidates, held leases and guesses. Nothing is judged here.

What an address may be is said by :mod:`.exclusions`; a poisoned lease makes a candidate, too, so
that an operator can see it refused.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from itertools import groupby, islice

from dnsguard.core.model import Candidate, CurrentLease, Source
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.formats.nameservers import NamedServers

OVER = 100
"""Added to the tier of a lease that is expired or released, or whose interface is gone."""
GATEWAY = 50
"""Default gateways: behind what leases in force name."""
MOST_OF_A_SOURCE = 64

_OLDEST = 49
_INTERFACE = re.compile(r"[^\s/%#;]{1,15}")
"""Names that the kernel takes (dev_valid_name()) and that can stand in resolv.conf."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedFile:
    """A file, and what it says."""

    path: str
    source: Source
    tier: int
    seen: float
    """When that was written; seconds since the epoch."""
    interface: str | None = None
    """As the file's name tells."""
    is_current: bool = False
    """Its manager keeps it for as long as it holds to what it says there."""
    notes: tuple[NamedServers, ...]

    def interface_of(self, note: NamedServers) -> str | None:
        return note.interface or self.interface

    def origin(self, note: NamedServers) -> str:
        return self.path if note.line is None else f"{self.path}:{note.line}"


@dataclass(frozen=True, slots=True)
class LeasedServers:
    """A lease where it stands."""

    file: NotedFile
    note: NamedServers
    lease: Lease
    is_over: bool

    @property
    def interface(self) -> str | None:
        return self.file.interface_of(self.note)

    @property
    def seen(self) -> float:
        """When at the latest: a file's older leases are older than the file."""
        expires = self.lease.expires
        return self.file.seen if expires is None else min(self.file.seen, expires)


def find_leased(
    files: Iterable[NotedFile], now: float, interfaces: frozenset[str] | None
) -> tuple[LeasedServers, ...]:
    """Return the leases among what the files say, newest first.

    :param interfaces: those of the node; None where they can't be listed.
    """
    found = []
    for file in files:
        for note in file.notes:
            if (lease := note.lease) is not None:
                interface = file.interface_of(note)
                is_gone = interfaces is not None and interface not in (None, *interfaces)
                is_expired = lease.expires is not None and lease.expires <= now
                is_over = is_gone or is_expired or lease.is_released
                found.append(LeasedServers(file, note, lease, is_over))
    # The last lease of a file is its newest.
    return tuple(sorted(found, key=lambda one: (-one.file.seen, -one.lease.line)))


def candidates(files: Iterable[NotedFile], leases: Iterable[LeasedServers]) -> Iterator[Candidate]:
    """Yield what the files name, and what their leases let guess."""
    leases = tuple(leases)
    tiers, newest = tuple(_tiers(leases)), _find_newest(leases)
    for tier, one, is_repeated in tiers:
        if one.file.source is not Source.LEASE or not is_repeated:
            leased = one.lease.address if one in newest and not one.is_over else None
            named = _make_candidates(one.file, one.note, tier=tier, seen=one.seen)
            yield from (replace(candidate, leased=leased) for candidate in named)
    for file in files:
        for note in file.notes:
            if note.lease is None:
                yield from _make_candidates(file, note, tier=file.tier + note.tier, seen=file.seen)
    yield from _guess(tiers)


def in_order(found: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates by rank, each once, and not too many of a source."""
    kept: list[Candidate] = []
    ranked = sorted(found, key=lambda candidate: candidate.rank)
    for _, group in groupby(ranked, key=lambda candidate: candidate.source):
        each: dict[tuple[IPAddress, int, str], Candidate] = {}
        for one in group:
            each.setdefault((one.address, one.tier, one.origin), one)
        kept += islice(each.values(), MOST_OF_A_SOURCE)
    return tuple(kept)


def find_current(leases: Iterable[LeasedServers]) -> Iterator[CurrentLease]:
    """Yield the newest DHCPv4 lease of each interface, unless it was given back."""
    own: dict[str | None, list[LeasedServers]] = {}
    for one in leases:
        if one.lease.version == 4:
            own.setdefault(one.interface, []).append(one)
    for interface, (newest, *older) in own.items():
        if interface and not newest.lease.is_released:
            servers = (one.lease.server for one in (newest, *older))
            yield CurrentLease(
                interface=interface,
                address=newest.lease.address,
                nameservers=newest.lease.nameservers,
                servers=frozenset(server for server in servers if server),
                origin=newest.file.origin(newest.note),
                expires=newest.lease.expires,
            )


def _find_newest(leases: Iterable[LeasedServers]) -> tuple[LeasedServers, ...]:
    """Return the newest lease of each interface, IP version and client."""
    newest: dict[tuple[Source, str | None, int], LeasedServers] = {}
    for one in leases:
        newest.setdefault((one.file.source, one.interface, one.lease.version), one)
    return tuple(newest.values())


def _tiers(leases: Iterable[LeasedServers]) -> Iterator[tuple[int, LeasedServers, bool]]:
    """Yield the leases with their tier, those in force first, and the newest of those.

    And whether a newer one says the same of nameservers: dhclient notes every renewal.
    """
    said: dict[tuple[Source, str | None, int], list[tuple[IPAddress, ...]]] = {}
    for one in sorted(leases, key=lambda one: one.is_over):
        words = said.setdefault((one.file.source, one.interface, one.lease.version), [])
        is_repeated = one.lease.nameservers in words
        if not is_repeated:
            words.append(one.lease.nameservers)
        age = min(words.index(one.lease.nameservers), _OLDEST)
        yield one.file.tier + age + OVER * one.is_over, one, is_repeated


def _make_candidates(
    file: NotedFile, note: NamedServers, *, tier: int, seen: float
) -> Iterator[Candidate]:
    interface = file.interface_of(note)
    for address in note.nameservers:
        yield Candidate(
            address=_add_zone(address, interface),
            source=file.source,
            origin=file.origin(note),
            seen=seen,
            tier=tier,
            interface=interface,
            is_in_force=file.is_current and note.lease is None,
        )


def _add_zone(address: IPAddress, interface: str | None) -> IPAddress:
    """Return a link-local address with its zone, as dhclient-script(8) writes it."""
    is_bare = isinstance(address, IPv6Address) and address.is_link_local and not address.scope_id
    is_zone = interface is not None and _INTERFACE.fullmatch(interface)
    return IPv6Address(f"{address}%{interface}") if is_bare and is_zone else address


def _guess(tiers: Iterable[tuple[int, LeasedServers, bool]]) -> Iterator[Candidate]:
    """Yield each DHCP server and router once, from the best lease that names it."""
    guessed = set()
    for tier, one, _ in tiers:
        servers = () if one.lease.server is None else (one.lease.server,)
        for address in (*servers, *one.lease.routers):
            if (address, one.interface) not in guessed:
                guessed.add((address, one.interface))
                yield Candidate(
                    address=address,
                    source=Source.GUESS,
                    origin=one.file.origin(one.note),
                    seen=one.seen,
                    tier=tier,
                    interface=one.interface,
                )
