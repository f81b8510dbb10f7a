"""What a forecast is made from, and a future of resolv.conf: values, and what stands in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.files import DhclientFiles
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.formats.dhclient.offer import Offer
from dnsguard.formats.writers import find_keeper
from dnsguard.host.dhclient_processes import DhclientProcess

Pairs = tuple[tuple[str, str], ...]

_MAKERS = (
    ("/NetworkManager/", "NetworkManager"),
    ("/systemd/resolve/", "systemd-resolved"),
    ("lib/systemd/resolv.conf", "systemd-resolved"),
    ("resolvconf/", "resolvconf"),
)
"""What a link leads to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastInput:
    """All that a forecast is made from."""

    dhclient: DhclientFiles
    running: tuple[DhclientProcess, ...] = ()
    content: bytes = b""
    """resolv.conf as it is."""
    link: str | None = None
    """Where resolv.conf leads to, if it is a symbolic link."""
    offers: Mapping[str, Offer] = field(default_factory=dict)
    """What the DHCP server said when it was asked, by interface."""
    absent: frozenset[str] = frozenset()
    """Programs that no boot starts here: a header of theirs is a left-over."""
    cluster: frozenset[IPAddress] = frozenset()
    configured: tuple[tuple[str, int], ...] = ()
    """The interfaces, and versions of IP, for which ifupdown starts dhclient at boot."""
    resolved: tuple[IPAddress, ...] | None = None
    """Whom systemd-resolved asks by its links and its configuration, ours left out; None where it
    can't be told."""
    unwritable: str | None = None
    """Why nobody can write resolv.conf, not even root; None where root can."""
    wall: float = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Future:
    """What resolv.conf will be after one event, as far as dhclient has a say."""

    interface: str | None
    """None: it is not about any."""
    text: bytes | None
    """None: it can't be told."""
    because: Pairs
    caveats: tuple[str, ...] = ()


def find_maker(node: ForecastInput) -> str | None:
    """Return the program that resolv.conf belongs to, None if it is a plain file."""
    if node.link is None:
        maker = find_keeper(node.content)
        return None if maker in node.absent else maker
    return next((name for mark, name in _MAKERS if mark in node.link), None)


def leave_unchanged(node: ForecastInput, reason: str) -> Future:
    """Return the future in which dhclient writes nothing."""
    maker = find_maker(node)
    if maker == "systemd-resolved" and node.resolved:
        servers = format_servers(node.resolved)
        told = f"belongs to {maker}, whose configuration and links name {servers}"
        text = b"".join(b"nameserver %s\n" % str(one).encode() for one in node.resolved)
        because = (("dhclient", reason), ("resolv.conf", told))
        return Future(interface=None, text=text, because=because)
    if maker is not None:
        because = (("dhclient", reason), ("resolv.conf", f"belongs to {maker}: see there"))
        return Future(interface=None, text=None, because=because)
    because = (("dhclient", reason), ("resolv.conf", "stays as it is"))
    # With what dnsguard has put into it, also if that is removed: nobody takes it out.
    return Future(interface=None, text=node.content, because=because)


def find_newest_lease(
    node: ForecastInput, interface: str | None, version: int
) -> tuple[str, Lease] | None:
    """Return the newest lease of an interface that was not released, behind its file's path."""
    for path, lease in reversed(node.dhclient.leases):
        fits = interface in (None, lease.interface) and lease.version == version
        if fits and not lease.is_released:
            return path, lease
    return None


def format_servers(addresses: Sequence[IPAddress]) -> str:
    """Return the addresses for people."""
    return ", ".join(map(str, addresses)) or "no nameserver"
