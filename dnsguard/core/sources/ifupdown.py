"""interfaces(5): the nameservers of ifupdown's stanzas, as resolvconf(8) is given them."""

from collections.abc import Iterator
from dataclasses import dataclass

from dnsguard.core.address import IPAddress, parse_nameserver

MAX_BYTES = 1 << 16
"""Read from the top; what stands behind is not."""

_OTHERS = frozenset({"auto", "mapping", "rename", "template", "no-auto-down", "no-scripts"})
"""Stanzas that end an ``iface``, as ``source`` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Iface:
    """One ``iface`` stanza; an interface may have several."""

    name: str
    line: int
    family: str | None = None
    """``inet``, ``inet6``, ..."""
    method: str | None = None
    """``static``, ``dhcp``, ``manual``, ..."""
    nameservers: tuple[IPAddress, ...] = ()
    search: tuple[str, ...] = ()
    """``dns-search`` and ``dns-domain``."""

    @property
    def is_dhcp(self) -> bool:
        return self.method == "dhcp"


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
    drafts: list[_Draft] = []
    current: _Draft | None = None
    sources: list[str] = []
    directories: list[str] = []
    for number, words in _lines(content):
        match words:
            case ["iface", name, *rest]:
                current = _Draft(name, number, rest)
                drafts.append(current)
            case ["source", *patterns]:
                current = None
                sources += patterns
            case ["source-directory", *patterns]:
                current = None
                directories += patterns
            case [keyword, *_] if keyword in _OTHERS or keyword.startswith("allow-"):
                current = None
            case [keyword, *values] if current is not None:
                current.take(keyword, values)
    return Interfaces(
        ifaces=tuple(draft.iface() for draft in drafts),
        sources=tuple(sources),
        directories=tuple(directories),
    )


class _Draft:
    """An ``iface`` stanza that is being read."""

    def __init__(self, name: str, line: int, rest: list[str]) -> None:
        self._name = name
        self._line = line
        # ``inherits`` may take the place of family and method, or follow them.
        before = rest[: rest.index("inherits")] if "inherits" in rest else rest
        self._family, self._method = (*before, None, None)[:2]
        self._servers: list[IPAddress] = []
        self._search: list[str] = []

    def take(self, keyword: str, values: list[str]) -> None:
        if keyword in ("dns-nameservers", "dns-nameserver"):
            found = map(parse_nameserver, values)
            self._servers += [address for address in found if address is not None]
        elif keyword in ("dns-search", "dns-domain"):
            self._search += values

    def iface(self) -> Iface:
        return Iface(
            name=self._name,
            line=self._line,
            family=self._family,
            method=self._method,
            nameservers=tuple(self._servers),
            search=tuple(self._search),
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
