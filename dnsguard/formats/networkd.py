"""systemd-networkd: leases in ``/run/systemd/netif/leases``, .network files, resolved.conf(5)."""

from dataclasses import dataclass

from dnsguard.formats.address import IPAddress
from dnsguard.formats.endpoint import Endpoint, parse_endpoints
from dnsguard.formats.ini import read_entries, read_lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A DHCP lease as networkd writes it down (``sd_dhcp_lease``: dhcp_lease_save())."""

    servers: tuple[Endpoint, ...] = ()
    """Its nameservers: a link's may be at any port, and behind TLS."""
    routers: tuple[IPAddress, ...] = ()
    server: IPAddress | None = None
    address: IPAddress | None = None

    @property
    def nameservers(self) -> tuple[IPAddress, ...]:
        """Return those that can stand in resolv.conf."""
        return tuple(one.address for one in self.servers if one.is_plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What a .network file says of DNS (systemd.network(5))."""

    interfaces: tuple[str, ...] = ()
    """``[Match] Name=``: patterns of names."""
    servers: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What resolved.conf(5) or one of its drop-ins says."""

    servers: tuple[Endpoint, ...] = ()
    fallback: tuple[Endpoint, ...] = ()


def parse_lease(content: bytes) -> Lease:
    """Read a file of ``/run/systemd/netif/leases``; any bytes will do."""
    values = {key: value.strip("\"'").split() for _, key, value in read_entries(content)}

    def addresses(key: str) -> tuple[IPAddress, ...]:
        return tuple(one.address for one in parse_endpoints(values.get(key, ())))

    return Lease(
        servers=parse_endpoints(values.get("DNS", ())),
        routers=addresses("ROUTER"),
        server=next(iter(addresses("SERVER_ADDRESS")), None),
        address=next(iter(addresses("ADDRESS")), None),
    )


def parse_network(content: bytes) -> Network:
    """Read a .network file or a drop-in of one; any bytes will do."""
    lists = read_lists([content])
    return Network(
        interfaces=tuple(lists.get(("Match", "Name"), ())),
        servers=parse_endpoints(lists.get(("Network", "DNS"), ())),
    )


def parse_resolved(content: bytes) -> Resolved:
    """Read a resolved.conf or a drop-in of it; any bytes will do."""
    lists = read_lists([content])
    return Resolved(
        servers=parse_endpoints(lists.get(("Resolve", "DNS"), ())),
        fallback=parse_endpoints(lists.get(("Resolve", "FallbackDNS"), ())),
    )
