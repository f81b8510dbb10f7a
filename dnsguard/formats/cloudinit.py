"""cloud-init's network data: what the cloud said when the node was made.

Read are network-config versions 1 and 2 (netplan's format is version 2), OpenStack's
``network_data.json`` and the ``instance-data.json`` that holds one of them; and of a
cloud-config the module ``resolv_conf``.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from dnsguard.formats.address import IPAddress, parse_address

MAX_BYTES = 1 << 17
"""A longer JSON file is not read at all: there is no half of one."""
MOST_SERVERS = 64
"""Of one file: what stands behind is not read."""
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
        return parse(json.loads(content))
    except (ValueError, RecursionError):
        return ()


def parse(tree: object) -> tuple[Nameserver, ...]:
    """Return the nameservers of a file that is read already, each once; any tree will do."""
    found = []
    for text, interface in islice(_read_named(tree, None, 0), MOST_SERVERS):
        try:
            found.append(Nameserver(address=parse_address(text), interface=interface))
        except ValueError:
            continue
    return tuple(dict.fromkeys(found))


def parse_config(tree: object) -> tuple[Nameserver, ...]:
    """Return the nameservers of a cloud-config: its ``resolv_conf`` and its ``network``.

    Elsewhere in it a key of that name is another program's.
    """
    config = tree if isinstance(tree, dict) else {}
    return parse([config.get("resolv_conf"), config.get("network")])


def _read_named(
    node: object, interface: str | None, depth: int
) -> Iterator[tuple[str, str | None]]:
    """Yield each address that is written down, and its interface."""
    if depth > DEEPEST:
        return
    if isinstance(node, list):
        for item in node:
            yield from _read_named(item, interface, depth + 1)
    if not isinstance(node, dict):
        return
    if "subnets" in node or node.get("type") == "nameserver":
        interface = _decode(node.get("name")) or _decode(node.get("interface")) or interface
    for word in _read_own(node):
        yield word, interface
    for key, value in node.items():
        if key in _DEVICES and isinstance(value, dict):
            for name, device in value.items():
                yield from _read_named(device, str(name), depth + 1)
        else:
            yield from _read_named(value, interface, depth + 1)


def _read_own(node: dict[str, object]) -> Iterator[str]:
    """Yield what a mapping itself names: words of a text, or of a list of them."""
    values = [node.get("address")] if node.get("type") in ("nameserver", "dns") else []
    for key in ("nameservers", "dns_nameservers"):
        value = node.get(key)
        values.append(value.get("addresses") if isinstance(value, dict) else value)
    for value in values:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield from text.replace(",", " ").split()


def _decode(value: object) -> str | None:
    return value if isinstance(value, str) else None
