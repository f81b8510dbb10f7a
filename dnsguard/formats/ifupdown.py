"""interfaces(5): the nameservers of ifupdown's stanzas, as resolvconf(8) is given them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from dnsguard.formats.address import IPAddress, parse_nameserver

MAX_BYTES = 1 << 16
"""Read from the top; what stands behind is not."""
MOST_SERVERS = 64
"""In one line."""

_LONGEST = 1024
_WRITES = re.compile(r"\b(?:echo|printf)\b.*\bresolv\.conf\b")
_WRITTEN = re.compile(r"(?:\b|\\n)nameserver +([0-9A-Fa-f.:]+)")
_OTHERS = frozenset({"auto", "mapping", "rename", "template", "no-auto-down", "no-scripts"})
"""Stanzas that end an ``iface``, as ``source`` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Iface:
    """One ``iface`` stanza; an interface may have several."""

    name: str
    line: int
    nameservers: tuple[IPAddress, ...] = ()
    dhcp: int | None = None
    """The version of IP for which dhclient is started; ``inet6 auto`` with ``dhcp 1``, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interfaces:
    """What an interfaces file says."""

    ifaces: tuple[Iface, ...] = ()
    sources: tuple[str, ...] = ()
    """Patterns (wordexp(3)) of ``source``: files to be read as if they stood here."""
    directories: tuple[str, ...] = ()
    """Patterns of ``source-directory``."""


@dataclass(slots=True)
class _Open:
    """A stanza while its lines are read."""

    name: str
    line: int
    method: list[str]
    """``inet dhcp``, and what follows."""
    servers: list[IPAddress] = field(default_factory=list)
    is_told_more: bool = False
    """``dhcp 1``: RFC 4862's address and stateless DHCPv6 for all else."""

    def close(self) -> Iface:
        return Iface(
            name=self.name, line=self.line, nameservers=tuple(self.servers), dhcp=self._dhcp()
        )

    def _dhcp(self) -> int | None:
        match self.method[:2]:
            case ["inet", "dhcp"]:
                return 4
            case ["inet6", "dhcp"]:
                return 6
            case ["inet6", "auto"] if self.is_told_more:
                return 6
        return None


def parse(content: bytes) -> Interfaces:
    """Read an interfaces file; any bytes will do."""
    ifaces: list[_Open] = []
    current: _Open | None = None
    sources: list[str] = []
    directories: list[str] = []
    for number, words in _join_lines(content):
        match words:
            case ["iface", name, *rest]:
                current = _Open(name, number, rest)
                ifaces.append(current)
            case ["source", *patterns]:
                current = None
                sources += patterns
            case ["source-directory", *patterns]:
                current = None
                directories += patterns
            case [keyword, *_] if keyword in _OTHERS or keyword.startswith("allow-"):
                current = None
            case ["dns-nameservers" | "dns-nameserver", *values] if current is not None:
                given = ",".join(values[:MOST_SERVERS]).split(",")
                found = map(parse_nameserver, given[:MOST_SERVERS])
                current.servers += [address for address in found if address is not None]
            case ["pre-up" | "up" | "post-up", *command] if current is not None:
                current.servers += _read_written(" ".join(command))
            case ["dhcp", "1"] if current is not None:
                current.is_told_more = True
    return Interfaces(
        ifaces=tuple(one.close() for one in ifaces),
        sources=tuple(sources),
        directories=tuple(directories),
    )


def _read_written(command: str) -> list[IPAddress]:
    """Return whom a command has resolv.conf name: where resolvconf(8) is not installed."""
    found = map(parse_nameserver, _WRITTEN.findall(command[:_LONGEST]))
    is_written = _WRITES.search(command[:_LONGEST]) is not None
    return [one for one in found if is_written and one is not None]


def _join_lines(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Return the words of each line and the number of the line it begins in.

    A backslash at the end joins lines; ``#`` makes a comment of a whole line only.
    """
    joined = ""
    begin = 1
    lines = content[:MAX_BYTES].decode("utf-8", "surrogateescape").split("\n")
    for number, line in enumerate(lines, start=1):
        if not joined:
            begin = number
            if line.lstrip().startswith("#"):
                continue
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        words = (joined + line).split()
        joined = ""
        if words:
            yield begin, words
    if joined:
        yield begin, joined.split()
