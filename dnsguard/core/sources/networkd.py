"""systemd-networkd: leases in ``/run/systemd/netif/leases``, .network files, resolved.conf(5)."""

from dataclasses import dataclass
from ipaddress import ip_address

from dnsguard.core.address import IPAddress
from dnsguard.core.sources.endpoint import Endpoint, parse_endpoints
from dnsguard.core.sources.ini import entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A DHCP lease as networkd writes it down (``sd_dhcp_lease``: dhcp_lease_save())."""

    nameservers: tuple[IPAddress, ...] = ()
    routers: tuple[IPAddress, ...] = ()
    server: IPAddress | None = None
    address: IPAddress | None = None
    search: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What a .network file says of DNS (systemd.network(5))."""

    interfaces: tuple[str, ...] = ()
    """``[Match] Name=``: patterns of names."""
    servers: tuple[Endpoint, ...] = ()
    domains: tuple[str, ...] = ()
    dhcp: str | None = None
    """``[Network] DHCP=``: ``yes``, ``no``, ``ipv4``, ``ipv6``."""
    uses_dhcp_dns: bool = True
    """``UseDNS=`` for IPv4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What resolved.conf(5) or one of its drop-ins says."""

    servers: tuple[Endpoint, ...] = ()
    fallback: tuple[Endpoint, ...] = ()
    domains: tuple[str, ...] = ()


def parse_lease(content: bytes) -> Lease:
    """Read a file of ``/run/systemd/netif/leases``; any bytes will do."""
    values = {key: value.strip("\"'").split() for section, key, value in entries(content)}
    return Lease(
        nameservers=_addresses(values.get("DNS")),
        routers=_addresses(values.get("ROUTER")),
        server=next(iter(_addresses(values.get("SERVER_ADDRESS"))), None),
        address=next(iter(_addresses(values.get("ADDRESS"))), None),
        search=(*values.get("DOMAINNAME", ()), *values.get("DOMAIN_SEARCH_LIST", ())),
    )


def parse_network(content: bytes) -> Network:
    """Read a .network file or a drop-in of one; any bytes will do."""
    lists = _lists(content)
    return Network(
        interfaces=tuple(lists.get(("Match", "Name"), ())),
        servers=parse_endpoints(lists.get(("Network", "DNS"), [])),
        domains=tuple(lists.get(("Network", "Domains"), ())),
        dhcp=next(reversed(lists.get(("Network", "DHCP"), [])), None),
        uses_dhcp_dns=not any(
            _is_no(lists.get((section, "UseDNS"), [])) for section in ("DHCP", "DHCPv4")
        ),
    )


def parse_resolved(content: bytes) -> Resolved:
    """Read a resolved.conf or a drop-in of it; any bytes will do."""
    lists = _lists(content)
    return Resolved(
        servers=parse_endpoints(lists.get(("Resolve", "DNS"), [])),
        fallback=parse_endpoints(lists.get(("Resolve", "FallbackDNS"), [])),
        domains=tuple(lists.get(("Resolve", "Domains"), ())),
    )


def _lists(content: bytes) -> dict[tuple[str, str], list[str]]:
    """Return the words of each key; several assignments add up, an empty one clears."""
    lists: dict[tuple[str, str], list[str]] = {}
    for section, key, value in entries(content):
        if value:
            lists.setdefault((section, key), []).extend(value.split())
        else:
            lists.pop((section, key), None)
    return lists


def _is_no(values: list[str]) -> bool:
    return bool(values) and values[-1].lower() in ("no", "false", "off", "0", "n", "f")


def _addresses(texts: list[str] | None) -> tuple[IPAddress, ...]:
    found = []
    for text in texts or ():
        try:
            found.append(ip_address(text))
        except ValueError:
            continue
    return tuple(found)
