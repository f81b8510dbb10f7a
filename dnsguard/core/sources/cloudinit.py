"""cloud-init's network data: what the cloud said when the node was made.

Read are network-config versions 1 and 2 (netplan's format is version 2), OpenStack's
``network_data.json`` and the ``instance-data.json`` that holds one of them: JSON as it
is, YAML as far as :mod:`~dnsguard.core.sources.plain_yaml` goes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from dnsguard.core.address import IPAddress, parse_address
from dnsguard.core.sources import plain_yaml

MAX_BYTES = 1 << 17
"""A longer JSON file is not read at all: there is no half of one."""
MOST_SERVERS = 64
DEEPEST = 32

_DEVICES = frozenset({"ethernets", "bonds", "bridges", "vlans", "wifis", "tunnels", "modems"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Nameserver:
    """One nameserver of the network data."""

    address: IPAddress
    interface: str | None = None
    """As the data names it: the kernel's name may be another."""


def parse_json(content: bytes) -> tuple[Nameserver, ...]:
    """Return the nameservers of a JSON file, each once; any bytes will do."""
    if len(content) > MAX_BYTES:
        return ()
    try:
        return _collected(json.loads(content))
    except (ValueError, RecursionError):
        return ()


def parse_yaml(content: bytes) -> tuple[Nameserver, ...]:
    """Return the nameservers of a YAML file, each once; any bytes will do."""
    return _collected(plain_yaml.read(content))


def _collected(root: object) -> tuple[Nameserver, ...]:
    return tuple(dict.fromkeys(_nameservers(root, None, 0)))[:MOST_SERVERS]


def _nameservers(node: object, interface: str | None, depth: int) -> Iterator[Nameserver]:
    if depth > DEEPEST:
        return
    if isinstance(node, list):
        for item in node:
            yield from _nameservers(item, interface, depth + 1)
    if not isinstance(node, dict):
        return
    if "subnets" in node or node.get("type") == "nameserver":
        interface = _text(node.get("name")) or _text(node.get("interface")) or interface
    yield from _own(node, interface)
    for key, value in node.items():
        if key in _DEVICES and isinstance(value, dict):
            for name, device in value.items():
                yield from _nameservers(device, str(name), depth + 1)
        else:
            yield from _nameservers(value, interface, depth + 1)


def _own(node: dict[str, object], interface: str | None) -> Iterator[Nameserver]:
    """Return what a mapping itself names."""
    if node.get("type") in ("nameserver", "dns"):
        yield from _named(node.get("address"), interface)
    for key in ("nameservers", "dns_nameservers"):
        value = node.get(key)
        yield from _named(value.get("addresses") if isinstance(value, dict) else value, interface)


def _named(value: object, interface: str | None) -> Iterator[Nameserver]:
    """Return the addresses of a text, or of a list of them."""
    for text in value if isinstance(value, list) else [value]:
        for word in text.replace(",", " ").split() if isinstance(text, str) else ():
            try:
                yield Nameserver(address=parse_address(word), interface=interface)
            except ValueError:
                continue


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
