"""Whom a resolver on the node asks in its turn: dnsmasq(8) and unbound.conf(5).

Programs of the node ask it on loopback, where pods find nobody (kubernetes#71705).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dnsguard.formats.address import IPAddress, parse_nameserver
from dnsguard.formats.endpoint import PORT
from dnsguard.formats.ini import MAX_BYTES, read_entries

MOST_SERVERS = 64
"""Of one file: what stands behind is not read."""
_SERVER = re.compile(
    r"(?P<address>[0-9A-Fa-f.:]+(?:%[\w.-]+)?)"
    r"(?:@[^#\s]+)?(?:\#(?P<port>[0-9]{1,5}))?(?:@\S+)?"
)
"""dnsmasq's ``ADDRESS[@SOURCE][#PORT][@INTERFACE]``; one domain's begins with a slash."""
_RESOLV_CONF = "/etc/resolv.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dnsmasq:
    """What a dnsmasq.conf says."""

    servers: tuple[IPAddress, ...] = ()
    files: tuple[str, ...] = ()
    """More of it, and its resolv.conf, where that is not the node's."""


def parse_dnsmasq(content: bytes) -> Dnsmasq:
    """Read a dnsmasq.conf; any bytes will do."""
    servers: list[IPAddress] = []
    files: list[str] = []
    for _, key, value in read_entries(content):
        word = value.split()[0] if value else ""
        if key == "server" and len(servers) < MOST_SERVERS:
            match = _SERVER.fullmatch(word)
            address = parse_nameserver(match["address"]) if match else None
            if match and address is not None and int(match["port"] or PORT) == PORT:
                servers.append(address)
        elif key in ("resolv-file", "conf-file") and word.startswith("/") and word != _RESOLV_CONF:
            files.append(word)
    return Dnsmasq(servers=tuple(servers), files=tuple(files))


def parse_unbound(content: bytes) -> tuple[IPAddress, ...]:
    """Return whom an unbound.conf forwards all names to; any bytes will do."""
    found: list[IPAddress] = []
    zone: dict[str, list[str]] = {}
    for key, value in (*_read_options(content), ("", "")):
        if value:
            zone.setdefault(key, []).append(value)
            continue
        is_root = zone.get("name") == ["."] and "yes" not in zone.get("forward-tls-upstream", ())
        found += _read_forwarders(zone.get("forward-addr", [])) if is_root else ()
        zone = {}
    return tuple(found[:MOST_SERVERS])


def _read_options(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield key and value of each line; a clause begins with one that has no value."""
    for line in content[:MAX_BYTES].decode("utf-8", "replace").split("\n"):
        key, is_option, value = line.partition("#")[0].strip().partition(":")
        if is_option:
            yield key, value.strip().strip("\"'")


def _read_forwarders(words: list[str]) -> Iterator[IPAddress]:
    """Yield those of ``ADDRESS[@PORT]`` that can stand in resolv.conf."""
    for word in words:
        address, _, port = word.partition("@")
        read = parse_nameserver(address)
        if read is not None and port in ("", str(PORT)):
            yield read
