"""What dhclient and dhclient-script(8) read and have written: as it was found, not yet judged."""

from dataclasses import dataclass

from dnsguard.formats.dhclient import conf
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.formats.dhclient.statements import Conf

CONF = "/etc/dhcp/dhclient.conf"
ENTER, EXIT = "/etc/dhcp/dhclient-enter-hooks", "/etc/dhcp/dhclient-exit-hooks"
OURS = f"{ENTER}.d/dnsguard"
MARKER = b"dhclient.lock"
"""What our hook mentions: a file of its name without this is somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A script that dhclient-script(8) sources."""

    path: str
    content: bytes

    @property
    def is_ours(self) -> bool:
        return self.path == OURS and MARKER in self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class DhclientFiles:
    """What dhclient and its script read, and what dhclient has written down.

    Paths are the node's own, without the root they were read below.
    """

    conf: bytes = b""
    changed: float | None = None
    """When dhclient.conf was written last, seconds since the epoch."""
    includes: tuple[tuple[str, bytes], ...] = ()
    enter: tuple[Hook, ...] = ()
    """As they are sourced, one after the other; ``exit`` too."""
    exit: tuple[Hook, ...] = ()
    leases: tuple[tuple[str, Lease], ...] = ()
    """The blocks of all lease files, each with the path of its file, the newest last."""
    named: tuple[tuple[str, bytes | None], ...] = ()
    """The files that the hooks name, by their paths; None: not there."""
    enabled: frozenset[str] = frozenset()
    """Units of systemd's that are enabled, of those that the hooks ask about."""

    def parse_conf(self) -> Conf:
        return conf.parse(self.conf, dict(self.includes))
