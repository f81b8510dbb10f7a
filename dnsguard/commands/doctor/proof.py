"""The proof: a name that nobody has asked for before, sent once and counted on the wire."""

from pathlib import Path

from dnsguard.commands.doctor import loops
from dnsguard.commands.doctor.findings import Json
from dnsguard.commands.doctor.snapshot import NodeSnapshot
from dnsguard.core.policy import Policy
from dnsguard.errors import DnsguardError, UsageError
from dnsguard.formats.address import IPAddress
from dnsguard.host import pods, wire
from dnsguard.paths import Paths

SECONDS = 2.0
"""To listen for the one-time name where no answer ends it sooner."""


def prove(paths: Paths, policy: Policy, node: NodeSnapshot, zone: str) -> Json:
    """Ask once and count.

    :raises UsageError: there is nobody to ask.
    """
    doors = {door for server in node.servers for door in server.endpoints}
    entry = _entry(policy, node)
    networks = {one.network: paths.root / f"proc/{one.pid}/ns/net" for one in node.seen}
    networks.pop(pods.find_network(Path("/proc/self")), None)
    scope = wire.Scope(
        proc=paths.root / "proc",
        pids=tuple(one.pid for one in node.seen),
        doors=frozenset((door.address, door.port) for door in doors),
        networks=tuple(networks.values()),
    )
    name = wire.one_time_name(zone.strip(".") or loops.ROOT)
    most = loops.most_questions(node.servers)
    try:
        traced = wire.trace(name, entry, scope=scope, most=most, seconds=SECONDS)
    except OSError as error:
        raise DnsguardError(f"{entry} can't be traced: {error.strerror}") from error
    return {
        "name": traced.name,
        "entry": str(entry),
        "seconds": round(traced.seconds, 2),
        "seen": traced.inside,
        "outside": traced.outside,
        "most": most,
        "answered": traced.rcode,
        "is_loop": traced.is_loop,
    }


def _entry(policy: Policy, node: NodeSnapshot) -> IPAddress:
    """Return where to ask: a node-local address, else what can be reached from here."""
    doors = [
        door
        for one in reversed(node.servers)
        for door in sorted(one.endpoints, key=repr)
        if door.port == 53 and door.network is None and not door.address.is_link_local
    ]
    here = {door.address for server in node.servers for door in server.endpoints}
    local = [one for one in policy.nodelocal if one in here]
    found = [*local, *(door.address for door in doors)]
    if not found:
        raise UsageError("nothing to trace: no DNS server of this node can be asked")
    return found[0]
