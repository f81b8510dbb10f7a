"""CoreDNS's Corefile: where ``forward`` and ``proxy`` send what the cluster can't answer.

The format is that of coredns.io/manual/toc/#configuration. Snippets, ``import`` and
environment variables are not followed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dnsguard.core.sources.endpoint import Endpoint, parse_endpoints

MAX_BYTES = 1 << 16
"""Read from the top; what stands behind is not."""

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]\S*)')


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

    @property
    def is_default(self) -> bool:
        """Whether every name goes there that no other zone takes."""
        return self.base == "." and "." in self.zones


def parse(content: bytes) -> tuple[Forward, ...]:
    """Return what a Corefile forwards; any bytes will do."""
    return tuple(_forwards(content[:MAX_BYTES].decode("utf-8", "replace")))


def parse_configmap(tree: object) -> tuple[Forward, ...]:
    """Return what the Corefiles of a ConfigMap forward, or of several; any tree will do.

    Kubespray's ``nodelocaldns-config.yml`` has a ``Corefile-second`` beside its ``Corefile``.
    """
    return tuple(
        forward
        for document in (tree if isinstance(tree, list) else [tree])
        for key, value in _data(document)
        if key.startswith("Corefile") and isinstance(value, str)
        for forward in _forwards(value)
    )


def upstreams(forwards: Iterable[Forward]) -> tuple[Endpoint, ...]:
    """Return the nameservers that names outside the cluster are sent to, each once."""
    servers = (server for one in forwards if one.is_default for server in one.servers)
    return tuple(dict.fromkeys(servers))


def _data(document: object) -> Iterable[tuple[str, object]]:
    data = document.get("data") if isinstance(document, dict) else None
    return data.items() if isinstance(data, dict) else ()


def _forwards(text: str) -> Iterator[Forward]:
    labels: list[str] = []
    zones: tuple[str, ...] = ()
    depth = 0
    for line in text.split("\n"):
        words = _words(line)
        if not words:
            continue
        opens = words[-1] == "{"
        if words[0] == "}":
            depth = max(0, depth - 1)
        elif depth == 0:
            labels += words[:-1] if opens else words
            if opens:
                zones, labels = _zones(labels), []
        elif depth == 1 and words[0] in ("forward", "proxy") and len(words) > 1:
            yield _forward(zones, words)
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


def _forward(zones: tuple[str, ...], words: list[str]) -> Forward:
    return Forward(
        zones=zones,
        base=_zone(words[1]),
        servers=parse_endpoints(words[2:]),
        files=tuple(word for word in words[2:] if word.startswith("/")),
    )


def _zones(labels: list[str]) -> tuple[str, ...]:
    zones = (_zone(zone) for label in labels for zone in label.split(",") if zone)
    return tuple(dict.fromkeys(zones))


def _zone(label: str) -> str:
    """Return the zone of ``[scheme://]zone[:port]`` (CoreDNS: plugin.Host.NormalizeExact)."""
    zone = label.partition("://")[2] or label
    return zone.partition(":")[0].rstrip(".").lower() or "."
