"""What a DHCP server offers of DNS, and what dhclient.conf makes of that.

A lease holds what dhclient made of an offer, so the offer is found in it by taking away
what dhclient.conf adds at either end. With ``supersede`` nothing of it is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import TypeVar

from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.formats.dhclient.options import DOMAIN, SEARCH, SEARCH6, SERVERS, SERVERS6
from dnsguard.formats.dhclient.records import DhclientEvent, Reason, add_zones
from dnsguard.formats.dhclient.statements import Statement, apply

OPTIONS = {4: (SERVERS, SEARCH), 6: (SERVERS6, SEARCH6)}
"""Of nameservers and search lists, by the version of IP."""

_Value = TypeVar("_Value")
_OFFERED = IPv6Address((1 << 128) - 1)
"""Stands for what the server offers; no statement can name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a DHCP server says of DNS."""

    nameservers: tuple[IPAddress, ...] | None = ()
    """None: not known."""
    domain: str | None = None
    search: tuple[str, ...] = ()


def needs_offer(statements: Sequence[Statement], interface: str, version: int) -> bool:
    """Tell whether any offered nameserver is left in the end."""
    option, _ = OPTIONS[version]
    return _OFFERED in apply(statements, interface, (_OFFERED,), option=option)


def find_offer_in(lease: Lease, statements: Sequence[Statement], interface: str) -> Offer:
    """Return what was offered, from a lease that has what dhclient.conf adds to it."""
    servers, search = OPTIONS[lease.version]
    nameservers = lease.nameservers
    made = apply(statements, interface, (_OFFERED,), option=servers)
    if _OFFERED in made:
        place = made.index(_OFFERED)
        nameservers = _strip_ends(nameservers, made[:place], made[place + 1 :])
    first, _, last = _split_around_offer(statements, interface, DOMAIN, is_offered=True)
    domain = (lease.domain or "").removeprefix("".join(first)).removesuffix("".join(last))
    first, _, last = _split_around_offer(statements, interface, search, is_offered=True)
    return Offer(
        nameservers=nameservers,
        domain=domain or None,
        search=_strip_ends(
            _add_root_dots(lease.search), _add_root_dots(first), _add_root_dots(last)
        ),
    )


def apply_at_boot(
    offer: Offer, statements: Sequence[Statement], interface: str, version: int
) -> DhclientEvent:
    """Return what dhclient tells its script of an offer; one that isn't known is empty."""
    servers, search = OPTIONS[version]
    nameservers = apply(statements, interface, offer.nameservers or (), option=servers)
    return DhclientEvent(
        reason=Reason.BOUND if version == 4 else Reason.BOUND6,
        interface=interface,
        nameservers=add_zones(nameservers, interface),
        domain=_make_domain(statements, interface, offer.domain) if version == 4 else None,
        search=_make_search(statements, interface, search, offer.search),
    )


def _strip_ends(
    values: tuple[_Value, ...], first: Sequence[_Value], last: Sequence[_Value]
) -> tuple[_Value, ...]:
    """Take what was added away from both ends, where it is there."""
    if first and values[: len(first)] == tuple(first):
        values = values[len(first) :]
    if last and values[-len(last) :] == tuple(last):
        values = values[: -len(last)]
    return values


def _split_around_offer(
    statements: Sequence[Statement], interface: str, option: str, *, is_offered: bool
) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """Return the texts before the offered ones, whether those stay, and the texts behind.

    :func:`effective` knows the order, of addresses: so each statement is given one.
    """
    marked = [
        replace(one, addresses=(IPv6Address(index),), texts=())
        for index, one in enumerate(statements)
    ]
    made = apply(marked, interface, (_OFFERED,) if is_offered else (), option=option)
    place = made.index(_OFFERED) if _OFFERED in made else len(made)

    def texts(marks: Sequence[IPAddress]) -> tuple[str, ...]:
        return tuple(text for mark in marks for text in statements[int(mark)].texts)

    return texts(made[:place]), _OFFERED in made, texts(made[place + 1 :])


def _make_domain(
    statements: Sequence[Statement], interface: str, offered: str | None
) -> str | None:
    """Join the texts: of this option dhclient makes one string."""
    first, stays, last = _split_around_offer(
        statements, interface, DOMAIN, is_offered=offered is not None
    )
    return "".join((*first, (offered or "") * stays, *last)) or None


def _make_search(
    statements: Sequence[Statement], interface: str, option: str, offered: tuple[str, ...]
) -> tuple[str, ...]:
    first, stays, last = _split_around_offer(
        statements, interface, option, is_offered=bool(offered)
    )
    return _add_root_dots((*first, *(offered * stays), *last))


def _add_root_dots(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names as dhclient writes them: from its wire format, with the root's dot."""
    return tuple(name if name.endswith(".") else f"{name}." for name in names)
