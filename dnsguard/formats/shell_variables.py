"""Variables of a file that a shell reads: klibc's ``/run/net-eth0.conf``, openresolv's configuration."""

from collections.abc import Iterator

from dnsguard.formats.address import IPAddress, parse_nameserver
from dnsguard.formats.ini import read_entries

MOST_SERVERS = 64
"""In one value."""
_MOST_CHARACTERS = 4096


def find_nameservers(content: bytes, *names: str) -> tuple[IPAddress, ...]:
    """Return the addresses in these variables, in the order of ``names``; any bytes will do.

    Only plain assignments: nothing is expanded. ``0.0.0.0`` is how klibc says "none".
    """
    values = {key: value for _, key, value in read_entries(content)}
    found = (
        parse_nameserver(word) for name in names for word in _split_words(values.get(name, ""))
    )
    return tuple(one for one in found if one is not None and not one.is_unspecified)


def _split_words(value: str) -> Iterator[str]:
    quote = value[:1] if value[:1] in ("'", '"') else ""
    inner = value[1:].partition(quote)[0] if quote else value.partition(" ")[0]
    yield from inner[:_MOST_CHARACTERS].split()[:MOST_SERVERS]
