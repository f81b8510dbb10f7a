"""CoreDNS's Corefile: where ``forward`` and ``proxy`` send what the cluster can't answer.

The format is that of coredns.io/manual/toc/#configuration. Environment variables and
imported files are followed where :func:`read_blocks` is given them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import islice

from dnsguard.formats.endpoint import Endpoint, parse_endpoints

MAX_BYTES = 1 << 16
"""Read from the top; what stands behind is not."""

MOST_IMPORTS = 32
"""Of files and snippets, nested ones included."""
MOST_LINES = 1 << 14
"""Snippets included."""

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]\S*)')
_VARIABLE = re.compile(r"\{\$([^}\s]+)\}|\{%([^%\s]+)%\}")
_PORTS = {"tls": 853, "quic": 853, "https": 443, "grpc": 443}
_LOCAL = {"kubernetes": 0, "k8s_external": 0, "hosts": 1, "file": 1, "auto": 0, "secondary": 0, "etcd": 0}  # fmt: skip
"""Plugins that answer by themselves, ahead of ``forward`` (plugin.cfg): where their zones begin."""

Words = list[str]
Imports = Callable[[str], Iterable[bytes]]
"""Returns the files that a pattern of ``import`` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """One ``forward`` or ``proxy``."""

    zones: tuple[str, ...]
    """Of the server block: ``.`` or domains without their last dot."""
    base: str
    """The names within the zones that are forwarded; ``.`` for all."""
    servers: tuple[Endpoint, ...] = ()
    files: tuple[str, ...] = ()
    """Files like ``/etc/resolv.conf`` whose nameservers are meant."""
    excepts: tuple[str, ...] = ()
    """Names below the base that are not forwarded."""

    @property
    def is_default(self) -> bool:
        """Whether every name goes there that no other zone takes."""
        return self.base == "." and "." in self.zones


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """A plugin that answers by itself what is in its zones."""

    plugin: str
    zones: tuple[str, ...]
    falls: tuple[str, ...] = ()
    """``fallthrough``: the zones in which it passes on what it doesn't know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A server block."""

    keys: tuple[tuple[str, int | None], ...]
    """Zones, each with its port where one is named."""
    binds: tuple[str, ...] = ()
    """Addresses and interfaces; none: all that there are."""
    local: tuple[Local, ...] = ()
    forwards: tuple[Forward, ...] = ()


def read_blocks(
    content: bytes, environ: Mapping[str, str], imports: Imports = lambda _: ()
) -> tuple[Block, ...]:
    """Return the server blocks of a Corefile; any bytes will do."""

    def value(match: re.Match[str]) -> str:
        return environ.get(match[1] or match[2], "")

    def read(piece: bytes) -> str:
        return _VARIABLE.sub(value, piece[:MAX_BYTES].decode("utf-8", "replace"))

    source = _Source(lambda pattern: [read(one) for one in imports(pattern)])
    return tuple(_split_blocks(islice(source.lines(read(content)), MOST_LINES)))


def parse(content: bytes) -> tuple[Forward, ...]:
    """Return what a Corefile forwards; any bytes will do."""
    return tuple(_find_forwards(content[:MAX_BYTES].decode("utf-8", "replace")))


def parse_configmap(tree: object) -> tuple[Forward, ...]:
    """Return what the Corefiles of a ConfigMap forward, or of several; any tree will do.

    Kubespray's ``nodelocaldns-config.yml`` has a ``Corefile-second`` beside its ``Corefile``.
    """
    return tuple(
        forward
        for document in (tree if isinstance(tree, list) else [tree])
        for key, value in _find_data(document)
        if key.startswith("Corefile") and isinstance(value, str)
        for forward in _find_forwards(value)
    )


def find_upstreams(forwards: Iterable[Forward]) -> tuple[Endpoint, ...]:
    """Return the nameservers that names outside the cluster are sent to, each once."""
    servers = (server for one in forwards if one.is_default for server in one.servers)
    return tuple(dict.fromkeys(servers))


def _find_data(document: object) -> Iterable[tuple[str, object]]:
    data = document.get("data") if isinstance(document, dict) else None
    return data.items() if isinstance(data, dict) else ()


def _find_forwards(text: str) -> Iterator[Forward]:
    return (one for block in _split_blocks(_Source().lines(text)) for one in block.forwards)


class _Source:
    """The lines of a file, with those of what it imports in their place."""

    def __init__(self, imports: Callable[[str], Iterable[str]] = lambda _: ()) -> None:
        self._imports = imports
        self._left = MOST_IMPORTS
        self._snippets: dict[str, list[Words]] = {}

    def lines(self, text: str) -> Iterator[Words]:
        snippet: list[Words] | None = None
        depth = 0
        for line in text.split("\n"):
            words = _split_words(line)
            if not words:
                continue
            depth = max(0, depth - 1) if words[0] == "}" else depth
            if depth == 0 and words[0].startswith("(") and words[-1] == "{":
                snippet = self._snippets[words[0].strip("()")] = []
            elif depth == 0 and words[0] == "}" and snippet is not None:
                snippet = None
            elif snippet is not None:
                snippet.append(words)
            else:
                yield from self._expand(words)
            depth += words[-1] == "{"

    def _expand(self, words: Words) -> Iterator[Words]:
        if words[0] != "import" or len(words) == 1:
            yield words
        elif self._left > 0:
            self._left -= 1
            if words[1] in self._snippets:
                for line in self._snippets[words[1]]:
                    yield from self._expand(line)
            else:
                for text in self._imports(words[1]):
                    yield from self.lines(text)


def _split_blocks(lines: Iterable[Words]) -> Iterator[Block]:
    labels: Words = []
    body: list[tuple[int, Words]] = []
    depth = 0
    for words in lines:
        opens = words[-1] == "{"
        plain = words[:-1] if opens else words
        if words[0] == "}":
            depth = max(0, depth - 1)
            if depth == 0 and labels:
                yield _read_block(labels, body)
                labels, body = [], []
        elif depth == 0:
            labels += plain
        elif plain:
            body.append((depth, plain))
        depth += opens
    if depth:
        yield _read_block(labels, body)


def _read_block(labels: Words, body: list[tuple[int, Words]]) -> Block:
    keys = tuple(dict.fromkeys(_read_keys(labels)))
    zones = tuple(dict.fromkeys(zone for zone, _ in keys))
    binds: list[str] = []
    local: list[Local] = []
    forwards: list[Forward] = []
    for words, details in _split_directives(body):
        if words[0] in ("forward", "proxy") and len(words) > 1:
            forwards.append(_read_forward(zones, words, details))
        elif words[0] == "bind":
            binds += words[1:]
        elif words[0] in _LOCAL:
            local.append(_answers(zones, words, details))
    return Block(keys=keys, binds=tuple(binds), local=tuple(local), forwards=tuple(forwards))


def _split_directives(body: list[tuple[int, Words]]) -> list[tuple[Words, list[Words]]]:
    """Return each plugin's line with the lines in its braces."""
    found: list[tuple[Words, list[Words]]] = []
    for depth, words in body:
        if depth == 1:
            found.append((words, []))
        elif found:
            found[-1][1].append(words)
    return found


def _answers(zones: tuple[str, ...], words: Words, details: list[Words]) -> Local:
    own = _read_zones(words[1 + _LOCAL[words[0]] :])
    falls = (_read_zones(line[1:]) or (".",) for line in details if line[0] == "fallthrough")
    return Local(plugin=words[0], zones=own or zones, falls=next(falls, ()))


def _split_words(line: str) -> list[str]:
    """Return the words of a line up to a comment."""
    words = []
    for match in _WORD.finditer(line):
        quoted, plain = match.groups()
        if plain is not None and plain.startswith("#"):
            break
        words.append(plain if plain is not None else quoted)
    return words


def _read_forward(zones: tuple[str, ...], words: Words, details: list[Words]) -> Forward:
    return Forward(
        zones=zones,
        base=next(iter(_read_zones(words[1:2])), "."),
        servers=parse_endpoints(words[2:]),
        files=tuple(word for word in words[2:] if word.startswith("/")),
        excepts=_read_zones([word for line in details if line[0] == "except" for word in line[1:]]),
    )


def _read_zones(labels: Words) -> tuple[str, ...]:
    return tuple(dict.fromkeys(zone for zone, _ in _read_keys(labels)))


def _read_keys(labels: Words) -> Iterator[tuple[str, int | None]]:
    for label in labels:
        for key in label.split(","):
            if key:
                yield from _read_key(key)


def _read_key(label: str) -> Iterator[tuple[str, int | None]]:
    """Yield the zones of ``[scheme://]zone[:port]`` (CoreDNS: plugin.Host.NormalizeExact)."""
    scheme, _, rest = label.rpartition("://")
    address, slash, length = rest.partition("/")
    zone, _, port = (length if slash else rest).partition(":")
    zones = _reverse_zone(f"{address}/{zone}") if slash else ()
    is_port = port.isascii() and port.isdecimal()
    number = int(port[:5]) if is_port else _PORTS.get(scheme)
    for one in zones or (zone.rstrip(".").lower() or ".",):
        yield one, number


def _reverse_zone(text: str) -> tuple[str, ...]:
    """Return the reverse zones of a network, as many as it takes (plugin/pkg/cidr)."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return ()
    step = 8 if network.version == 4 else 4
    prefix = -(-network.prefixlen // step) * step
    skip = (network.max_prefixlen - prefix) // step
    pieces = (one.network_address.reverse_pointer for one in network.subnets(new_prefix=prefix))
    return tuple(".".join(piece.split(".")[skip:]) for piece in pieces)
