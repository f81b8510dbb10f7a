"""Look a name up by resolv.conf, as glibc does in every program on the node.

In the file's order, the first three nameservers, twice (resolv.conf(5), ``attempts``); a
refusal moves on at once, silence after the timeout. Only that is shorter than glibc's 5 s.
"""

import socket
import time
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.rcode

from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress

TIMEOUT = 0.3
ATTEMPTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What came of it."""

    name: str
    answer: str | None
    """The A record; None: no nameserver answered."""
    server: IPAddress | None
    """Who answered."""
    failed: tuple[IPAddress, ...]
    """Who did not, in the order they were asked."""
    seconds: float


def look_up(name: str, path: Path) -> Lookup:
    """Ask the nameservers of this file for the address of a name."""
    started = time.monotonic()
    found = resolvconf.read_nameservers(path.read_bytes())
    servers = [server.address for server in found if server.glibc][: resolvconf.MAXNS]
    failed: list[IPAddress] = []
    for address in servers * ATTEMPTS:
        answer = _ask(address, name)
        if answer is not None:
            seconds = time.monotonic() - started
            return Lookup(
                name=name, answer=answer, server=address, failed=tuple(failed), seconds=seconds
            )
        failed.append(address)
    seconds = time.monotonic() - started
    return Lookup(name=name, answer=None, server=None, failed=tuple(failed), seconds=seconds)


def _ask(address: IPAddress, name: str) -> str | None:
    query = dns.message.make_query(name, "A")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect((str(address), 53))
            sock.send(query.to_wire())
            reply = dns.message.from_wire(sock.recv(4096))
    except (OSError, dns.exception.DNSException):
        return None
    if not query.is_response(reply) or reply.rcode() != dns.rcode.NOERROR:
        return None
    return next((str(record) for rrset in reply.answer for record in rrset), None)
