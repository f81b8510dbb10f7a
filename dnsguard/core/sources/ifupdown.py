"""interfaces(5): the nameservers of ifupdown's stanzas, as resolvconf(8) is given them."""

from collections.abc import Iterator
from dataclasses import dataclass

from dnsguard.core.address import IPAddress, parse_nameserver

MAX_BYTES = 1 << 16
"""Read from the top; what stands behind is not."""
MOST_SERVERS = 64
"""In one line."""

_OTHERS = frozenset({"auto", "mapping", "rename", "template", "no-auto-down", "no-scripts"})
"""Stanzas that end an ``iface``, as ``source`` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Iface:
    """One ``iface`` stanza; an interface may have several."""

    name: str
    line: int
    nameservers: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interfaces:
    """What an interfaces file says."""

    ifaces: tuple[Iface, ...] = ()
    sources: tuple[str, ...] = ()
    """Patterns (wordexp(3)) of ``source``: files to be read as if they stood here."""
    directories: tuple[str, ...] = ()
    """Patterns of ``source-directory``."""


def parse(content: bytes) -> Interfaces:
    """Read an interfaces file; any bytes will do."""
    ifaces: list[tuple[str, int, list[IPAddress]]] = []
    current: list[IPAddress] | None = None
    sources: list[str] = []
    directories: list[str] = []
    for number, words in _lines(content):
        match words:
            case ["iface", name, *_]:
                current = []
                ifaces.append((name, number, current))
            case ["source", *patterns]:
                current = None
                sources += patterns
            case ["source-directory", *patterns]:
                current = None
                directories += patterns
            case [keyword, *_] if keyword in _OTHERS or keyword.startswith("allow-"):
                current = None
            case ["dns-nameservers" | "dns-nameserver", *values] if current is not None:
                found = map(parse_nameserver, values[:MOST_SERVERS])
                current += [address for address in found if address is not None]
    return Interfaces(
        ifaces=tuple(
            Iface(name=name, line=line, nameservers=tuple(servers))
            for name, line, servers in ifaces
        ),
        sources=tuple(sources),
        directories=tuple(directories),
    )


def _lines(content: bytes) -> Iterator[tuple[int, list[str]]]:
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
