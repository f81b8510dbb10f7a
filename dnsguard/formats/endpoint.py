"""Where a nameserver listens, in the notations of systemd, CoreDNS and NetworkManager."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from dnsguard.formats.address import IPAddress

PORT = 53
MOST_ENDPOINTS = 64
"""Of one list: what stands behind is not read."""
_PLAIN = frozenset({None, "dns", "udp", "dns+udp"})
_LONGEST = 512
_FORM = re.compile(
    r"""
    (?: (?P<scheme> [a-z+]{1,16} ) :// )?
    (?: (?P<v4> [0-9.]+ )
      | \[ (?P<boxed> [0-9A-Fa-f:.]+ ) (?: % (?P<zone> [^\]\s%\#]+ ) )? \]
      | (?P<v6> [0-9A-Fa-f]* : [0-9A-Fa-f:.]* )
    )
    (?: : (?P<port> [0-9]{1,5} ) )?
    (?: % (?P<interface> [^\s%\#:]+ ) )?
    (?: : (?P<late_port> [0-9]{1,5} ) )?
    (?: \# (?P<name> \S+ ) )?
    """,
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One nameserver as a configuration names it."""

    address: IPAddress
    """With its zone, where it is link-local and an interface is named (RFC 4007, 11)."""
    port: int | None = None
    interface: str | None = None
    name: str | None = None
    """The server's name, for TLS (systemd.network(5), ``DNS=``)."""
    scheme: str | None = None
    """``dns``, ``tls``, ...; None where there is none."""

    @property
    def is_plain(self) -> bool:
        """Whether it can stand in resolv.conf: DNS without TLS, at port 53."""
        return self.scheme in _PLAIN and self.port in (None, PORT)


def parse_endpoint(text: str) -> Endpoint | None:
    """Read ``[scheme://]ADDRESS[:PORT][%INTERFACE][#NAME]``, None for anything else.

    An IPv6 address with a port stands in brackets.
    """
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    port = int(match["port"] or match["late_port"] or 0) or None
    interface = match["zone"] or match["interface"]
    try:
        address: IPAddress = ip_address(match["v4"] or match["boxed"] or match["v6"])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.is_link_local and interface is not None:
        address = IPv6Address(f"{address}%{interface}")
    if port is not None and port > 0xFFFF:
        return None
    return Endpoint(
        address=address,
        port=port,
        interface=interface,
        name=match["name"],
        scheme=match["scheme"],
    )


def parse_endpoints(texts: Sequence[str]) -> tuple[Endpoint, ...]:
    """Return those that are endpoints."""
    found = (parse_endpoint(text) for text in texts[:MOST_ENDPOINTS])
    return tuple(one for one in found if one is not None)
