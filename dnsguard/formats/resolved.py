"""systemd-resolved's configuration as a whole (resolved.conf(5)), and our own part of it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dnsguard.formats.address import IPAddress
from dnsguard.formats.endpoint import parse_endpoints
from dnsguard.formats.ini import read_lists

_ACTION = re.compile(r"\[[^][]*\]")
"""Of nsswitch.conf(5): ``[!UNAVAIL=return]``."""
_HEADER = """\
# Kept by dnsguard(8) while another file of this configuration names cluster DNS; a reboot
# forgets it, and so does "dnsguard secure --give-link-back".
[Resolve]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Whom resolved is told to ask, over all its files."""

    servers: tuple[IPAddress, ...] = ()
    """``DNS=``: asked beside those that its links have."""
    fallback: tuple[IPAddress, ...] = ()
    """``FallbackDNS=``: asked where there are no others."""

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        return (*self.servers, *self.fallback)


def read_configuration(files: Iterable[bytes]) -> Configuration:
    """Read all its files, in their order: assignments add up, an empty one clears."""
    lists = read_lists(files)

    def addresses(key: str) -> tuple[IPAddress, ...]:
        return tuple(one.address for one in parse_endpoints(lists.get(("Resolve", key), ())))

    return Configuration(servers=addresses("DNS"), fallback=addresses("FallbackDNS"))


def write_drop_in(
    servers: Sequence[IPAddress], *, routed: str = "", clears_fallback: bool = False
) -> bytes:
    """Return our part: these servers alone, whatever the files before it name.

    :param routed: the domain whose names are asked of these servers only (a routing domain).
    :param clears_fallback: whether the fallback names cluster DNS, too.
    """
    lines = ["DNS="]
    if servers:
        lines.append("DNS=" + " ".join(map(str, servers)))
    if clears_fallback:
        lines.append("FallbackDNS=")
    if routed:
        lines.append(f"Domains=~{routed}")
    return (_HEADER + "\n".join(lines) + "\n").encode()


def asks_first(content: bytes) -> bool:
    """Tell whether nsswitch.conf(5) sends names of hosts to resolved (nss-resolve(8))."""
    services: list[str] = []
    for line in content.decode("utf-8", "replace").splitlines():
        # What to do with an outcome may stand right behind a name; glibc does without the colon,
        # and takes the last line (nss/nss_database.c, nss/nss_action_parse.c).
        words = _ACTION.sub(" ", line.partition("#")[0].replace(":", " ", 1)).split()
        if words[:1] == ["hosts"]:
            services = words[1:]
    return "resolve" in services
