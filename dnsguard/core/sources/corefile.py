"""CoreDNS's Corefile: where ``forward`` and ``proxy`` send what the cluster can't answer.

The format is that of coredns.io/manual/toc/#configuration; the file may stand by itself
or in a ConfigMap (``/etc/kubernetes/nodelocaldns-config.yml``), as a block of YAML or as
a string of it. Snippets, ``import`` and environment variables are not followed.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dnsguard.core.sources.endpoint import Endpoint, parse_endpoint

MAX_BYTES = 1 << 16
"""Read from the top; what stands behind is not."""

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]\S*)')
_BLOCK = re.compile(r"^([ \t]*)[\"']?Corefile[\w.-]*[\"']?:[ \t]*[|>][-+0-9]*[ \t]*(?:#.*)?$")
_STRING = re.compile(r'\bCorefile[\w.-]*"?[ \t]*:[ \t]*("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """One ``forward`` or ``proxy``."""

    zone: str
    """Of the server block: ``.`` or a domain without its last dot."""
    base: str
    """The names within the zone that are forwarded; ``.`` for all."""
    servers: tuple[Endpoint, ...] = ()
    files: tuple[str, ...] = ()
    """Files like ``/etc/resolv.conf`` whose nameservers are meant."""
    line: int

    @property
    def is_default(self) -> bool:
        """Whether every name goes there that no other zone takes."""
        return self.zone == self.base == "."


def parse(content: bytes) -> tuple[Forward, ...]:
    """Return what a Corefile, or each one in a ConfigMap, forwards; any bytes will do."""
    text = content[:MAX_BYTES].decode("utf-8", "replace")
    found: list[Forward] = []
    embedded = tuple(_embedded(text))
    for start, corefile in embedded or ((1, text),):
        found += _forwards(corefile, start)
    return tuple(found)


def upstreams(content: bytes) -> tuple[Endpoint, ...]:
    """Return the nameservers that names outside the cluster are sent to, each once."""
    servers = (server for one in parse(content) if one.is_default for server in one.servers)
    return tuple(dict.fromkeys(servers))


def _embedded(text: str) -> Iterator[tuple[int, str]]:
    """Return each Corefile of a ConfigMap and the line it begins in."""
    lines = text.split("\n")
    end = 0
    for index, line in enumerate(lines):
        if index < end or "Corefile" not in line:
            continue
        if match := _BLOCK.match(line):
            end = _block_end(lines, index + 1, len(match[1]))
            yield index + 2, "\n".join(lines[index + 1 : end])
        elif match := _STRING.search(line):
            try:
                yield index + 1, str(json.loads(match[1]))
            except ValueError:
                continue


def _block_end(lines: list[str], start: int, indentation: int) -> int:
    """Return where a block scalar ends: at the first line that isn't indented more."""
    for index in range(start, len(lines)):
        line = lines[index]
        if line.strip() and len(line) - len(line.lstrip(" ")) <= indentation:
            return index
    return len(lines)


def _forwards(text: str, start: int) -> Iterator[Forward]:
    zones: list[str] = []
    depth = 0
    for number, line in enumerate(text.split("\n"), start=start):
        words = _words(line)
        if not words:
            continue
        opens = words[-1:] == ["{"]
        words = words[:-1] if opens else words
        if words[:1] == ["}"]:
            depth = max(0, depth - 1)
            zones = zones if depth else []
        elif depth == 0:
            zones += [zone for word in words for zone in word.split(",") if zone]
        elif depth == 1 and words[:1] in (["forward"], ["proxy"]) and len(words) > 1:
            for zone in dict.fromkeys(map(_zone, zones)):
                yield _forward(zone, words, number)
        depth += opens


def _words(line: str) -> list[str]:
    """Return the words of a line up to a comment."""
    words = []
    for match in _WORD.finditer(line):
        quoted, plain = match.groups()
        if plain is not None and plain.startswith("#"):
            break
        words.append(plain if plain is not None else quoted)
    return words


def _forward(zone: str, words: list[str], line: int) -> Forward:
    endpoints = [parse_endpoint(word) for word in words[2:]]
    return Forward(
        zone=zone,
        base=_zone(words[1]),
        servers=tuple(one for one in endpoints if one is not None),
        files=tuple(word for word in words[2:] if word.startswith("/")),
        line=line,
    )


def _zone(label: str) -> str:
    """Return the zone of ``[scheme://]zone[:port]`` (CoreDNS: plugin.Host.NormalizeExact)."""
    zone = label.partition("://")[2] or label
    return zone.partition(":")[0].rstrip(".").lower() or "."
