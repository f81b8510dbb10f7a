"""NetworkManager's DNS: of a connection (nm-settings-keyfile(5)), and the global one.

The latter (NetworkManager.conf(5)) replaces what connections and their leases say.
"""

import re
from dataclasses import dataclass

from dnsguard.formats.endpoint import Endpoint, parse_endpoints
from dnsguard.formats.ini import read_entries

_EVERY_NAME = "global-dns-domain-*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """The nameservers that one file names."""

    interface: str | None = None
    """A connection's ``interface-name``, where it has one."""
    servers: tuple[Endpoint, ...] = ()


def parse(content: bytes) -> Dns:
    """Read a NetworkManager.conf or a file of its ``conf.d``; any bytes will do.

    A later ``servers`` replaces an earlier one, ``servers+`` adds to it. The servers of a
    single domain are not for other names.
    """
    words: list[str] = []
    for section, key, value in read_entries(content):
        if section == _EVERY_NAME and key in ("servers", "servers+"):
            words = words if key == "servers+" else []
            words += _split_words(value)
    return Dns(servers=parse_endpoints(words))


def parse_connection(content: bytes) -> Dns:
    """Read a ``.nmconnection`` file, for IPv4 and IPv6 together; any bytes will do."""
    # Of two values of a key the later counts.
    values = {(section, key): value for section, key, value in read_entries(content)}
    words = [
        word
        for family in ("ipv4", "ipv6")
        for word in _split_words(values.get((family, "dns"), ""))
    ]
    return Dns(
        interface=values.get(("connection", "interface-name")) or None,
        servers=parse_endpoints(words),
    )


def _split_words(value: str) -> list[str]:
    return [word for word in re.split(r"[,;\s]+", value) if word]
