"""What dhclient's script told us: the records that our enter hook writes.

The hook is ``packaging/dhclient-enter-hooks.d/dnsguard``; a record is lines of a key and
a value. The values are the DHCP server's, so they are read as if it were hostile.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from dnsguard.formats.address import IPAddress

if TYPE_CHECKING:  # 5 ms that the first look need not wait for
    from dnsguard.formats.dhclient.leases import Lease

MAX_BYTES = 1 << 14
"""Of a record; a longer one is none."""

_HEADER = b"dnsguard-dhclient 1"
_INTERFACE = re.compile(r"[^\x00-\x20/\x7f-\xa0]{1,64}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")


class Reason(StrEnum):
    """Why dhclient ran its script (dhclient-script(8))."""

    BOUND = "BOUND"
    RENEW = "RENEW"
    REBIND = "REBIND"
    REBOOT = "REBOOT"
    TIMEOUT = "TIMEOUT"  # no server answered; an old lease is used
    EXPIRE = "EXPIRE"
    FAIL = "FAIL"  # no server answered and no old lease is good
    RELEASE = "RELEASE"
    STOP = "STOP"
    BOUND6 = "BOUND6"
    RENEW6 = "RENEW6"
    REBIND6 = "REBIND6"
    DEPREF6 = "DEPREF6"  # the address is still there, but no longer preferred
    EXPIRE6 = "EXPIRE6"
    RELEASE6 = "RELEASE6"
    STOP6 = "STOP6"


_GONE = ("EXPIRE", "FAIL", "RELEASE", "STOP")


@dataclass(frozen=True, slots=True, kw_only=True)
class DhclientEvent:
    """One run of dhclient-script."""

    reason: Reason
    interface: str
    address: IPAddress | None = None
    nameservers: tuple[IPAddress, ...] = ()
    """Link-local ones with their zone."""
    domain: str | None = None
    search: tuple[str, ...] = ()
    routers: tuple[IPAddress, ...] = ()
    server: IPAddress | None = None
    expires: float | None = None
    """Seconds since the epoch; None where it isn't told, as for IPv6."""
    is_of_dhcp4: bool = False
    """It is about DHCPv6, and what it says are DHCPv4's options, of dhclient.conf: dhclient -6
    hands those over as well, and dhclient-script takes them first."""

    @property
    def version(self) -> int:
        """Of IP."""
        return 6 if self.reason.endswith("6") else 4

    @property
    def options_version(self) -> int:
        """Of DHCP: whose options these are."""
        return 4 if self.is_of_dhcp4 else self.version

    @property
    def is_gone(self) -> bool:
        """Whether there is no lease any more; the rest is what it was."""
        return self.reason.startswith(_GONE)


def parse(content: bytes) -> DhclientEvent | None:
    """Return what a record says, None if it is none of ours; any bytes will do."""
    header, *lines = content[: MAX_BYTES + 1].split(b"\n")
    if header != _HEADER or len(content) > MAX_BYTES:
        return None
    pairs = (line.decode("utf-8", "replace").partition(" ") for line in reversed(lines))
    values = {key: value for key, _, value in pairs}
    interface = values.get("interface", "")
    if values.get("reason") not in Reason.__members__ or not _INTERFACE.fullmatch(interface):
        return None
    expiry = values.get("expiry", "")
    return DhclientEvent(
        reason=Reason(values["reason"]),
        interface=interface,
        address=_parse_first(values.get("address")),
        nameservers=add_zones(parse_addresses(values.get("nameservers")), interface),
        domain=_check_domain(values.get("domain")),
        search=_check_domains(values.get("search")),
        routers=parse_addresses(values.get("routers")),
        server=_parse_first(values.get("server")),
        # What is longer is no date.
        expires=float(expiry) if re.fullmatch("[0-9]{1,11}", expiry) else None,
    )


def from_lease(lease: "Lease", *, reason: Reason | None = None) -> DhclientEvent:
    """Return what dhclient would tell of this lease.

    :param reason: None is the first sight of it: BOUND, or BOUND6.
    """
    interface = lease.interface or ""
    return DhclientEvent(
        reason=reason or (Reason.BOUND if lease.version == 4 else Reason.BOUND6),
        interface=interface,
        address=lease.address,
        nameservers=add_zones(lease.nameservers, interface),
        domain=_check_domain(lease.domain),
        search=_check_domains(" ".join(lease.search)),
        routers=lease.routers,
        server=lease.server,
        expires=lease.expires,
    )


def add_zones(addresses: tuple[IPAddress, ...], interface: str) -> tuple[IPAddress, ...]:
    """Return the addresses, link-local ones of IPv6 with the zone they are in (RFC 4007)."""
    return tuple(_add_zone(address, interface) for address in addresses)


def _add_zone(address: IPAddress, interface: str) -> IPAddress:
    if not isinstance(address, IPv6Address) or not address.is_link_local or address.scope_id:
        return address
    with suppress(ValueError):  # a name with a % in it
        return IPv6Address(f"{address}%{interface}")
    return address


def parse_addresses(text: str | None) -> tuple[IPAddress, ...]:
    """Return the addresses in a list with blanks between them."""
    found = []
    for word in (text or "").split():
        with suppress(ValueError):
            found.append(ip_address(word))
    return tuple(found)


def _parse_first(text: str | None) -> IPAddress | None:
    return next(iter(parse_addresses(text)), None)


def _check_domain(text: str | None) -> str | None:
    return text if _check_domains(text) else None


def _check_domains(text: str | None) -> tuple[str, ...]:
    """Return the names of a list, none if one of them is bad.

    dhclient says nothing of such a list (``check_domain_name_list``,
    client/dhclient.c:5529), but a lease may.
    """
    names = tuple(name for name in (text or "").split(" ") if name)
    return names if all(map(_is_domain, names)) else ()


def _is_domain(name: str) -> bool:
    """Take what dhclient takes: a dot may be the last, and what stands behind none may be long.

    ``check_domain_name``, client/dhclient.c:5497.
    """
    *labels, last = name.split(".")
    return (
        len(name) <= 256
        and all(len(label) < 64 and _LABEL.fullmatch(label) is not None for label in labels)
        and (_LABEL.fullmatch(last) is not None if last else bool(labels))
    )
