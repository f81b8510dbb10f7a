"""ISC dhclient's lease file (dhclient.leases(5)), read for the nameservers it names.

The grammar is dhclient's own, cut down to what is asked of it: statements end in
``;``, blocks stand in braces, strings may hold both. A file cut in half gives what
was whole. Never raises.
"""

import re

from dnsguard.core.address import IPAddress, inet_aton

MAX_BYTES = 1 << 18
"""Only this much from the end is read: dhclient appends, the newest lease is last."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{};]|#[^\n]*|[^\s{};"#]+')
_SERVERS = [b"option", b"domain-name-servers"]


def lease_nameservers(content: bytes) -> tuple[IPAddress, ...]:
    """Return the nameservers of every whole lease, newest lease first, each once."""
    leases: list[list[IPAddress]] = []
    current: list[IPAddress] | None = None
    statement: list[bytes] = []
    for match in _TOKEN.finditer(content[-MAX_BYTES:]):
        token = match.group()
        if token.startswith(b"#"):
            continue
        if token == b"{":
            current = [] if statement[-1:] == [b"lease"] else None
        elif token == b"}":
            if current is not None:
                leases.append(current)
            current = None
        elif token == b";":
            if current is not None and statement[:2] == _SERVERS:
                current += _addresses(statement[2:])
        else:
            statement.append(token)
            continue
        statement = []
    newest_first = (address for lease in reversed(leases) for address in lease)
    return tuple(dict.fromkeys(newest_first))


def _addresses(words: list[bytes]) -> list[IPAddress]:
    texts = b" ".join(words).decode("latin-1").replace(",", " ").split()
    found = (inet_aton(text) for text in texts)
    return [address for address in found if address is not None]
