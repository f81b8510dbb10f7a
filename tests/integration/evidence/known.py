"""What the daemon knows of servers, and what it has kept and written of it."""

import json
from typing import Any

from lab.guard import Node
from lab.nameserver import Nameserver

from dnsguard.formats import resolvconf

OWN = "192.0.2.1"
UNTOLD = "192.0.2.54"
"""A service address of cluster DNS that nobody has told of, and no network gives away."""
SERVICE = "10.233.10.10"
"""One among Kubespray's services, untold as well."""
KUBERNETES, WEB = "10.233.0.1", "203.0.113.80"


def remember(guard: Node, address: str, *, answered: float | None = 1.7e9) -> None:
    state = guard.root / "var/lib/dnsguard/state.json"
    state.parent.mkdir(parents=True, exist_ok=True)
    entry = {"address": address, "source": "dhcp", "origin": "earlier", "seen": 1.7e9}
    known = {"version": 2, "remembered": [entry | {"interface": None, "answered": answered}]}
    state.write_text(json.dumps(known))


def read_kept(guard: Node) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((guard.root / "var/lib/dnsguard/state.json").read_text())
    return state


def list_for_pods(guard: Node) -> list[str]:
    content = (guard.root / "var/lib/dnsguard/resolv.conf").read_bytes()
    return [str(server.address) for server in resolvconf.read_nameservers(content)]


def ask_of(guard: Node, address: str) -> dict[str, Any]:
    """Return what the daemon knows of one server."""
    entries = json.loads(guard.run("upstreams", "--json").stdout)["upstreams"]
    found: dict[str, Any] = next(one for one in entries if one["address"] == address)
    return found


def ask_state(guard: Node) -> str:
    state: str = guard.status()["upstream"]["state"]
    return state


def was_asked(server: Nameserver, name: str, times: int = 1) -> bool:
    return sum(one.name.endswith(name) for one in server.asked()) >= times
