"""The text of resolv.conf as it is guarded, without losing a byte of what others wrote.

A guarded file explains itself: ``# added by dnsguard:`` names the nameservers that
the next lines add, ``# held back by dnsguard:`` keeps a foreign line as it was. Behind
an ``options`` line that is held back stands what is left of it without ``rotate``. So
:func:`unguard` needs no memory to return what the last foreign writer wrote.

Every function takes any bytes and never raises.
"""

from collections import Counter
from collections.abc import Sequence

from dnsguard.formats.address import IPAddress, parse_nameserver, plain
from dnsguard.formats.resolvconf import KEYWORD, drop_rotate, find_nameservers, has_rotate

ADDED = b"# added by dnsguard: "
HELD = b"# held back by dnsguard: "
LINK = b"# in the place of a link, by dnsguard: "
"""Names the link that this file has taken the place of; it is given back."""


def is_guarded(content: bytes) -> bool:
    """Tell whether the file carries a line of ours."""
    return any(line.startswith((ADDED, HELD, LINK)) for line in content.split(b"\n"))


def read_added(content: bytes) -> frozenset[IPAddress]:
    """Return the nameservers that dnsguard has added in lines of their own."""
    lines = (line[len(ADDED) :] for line in content.split(b"\n") if line.startswith(ADDED))
    words = (word.decode("latin-1") for line in lines for word in line.split())
    found = (parse_nameserver(word) for word in words)
    return frozenset(plain(address) for address in found if address is not None)


def unguard(content: bytes) -> bytes:
    """Return the file as the last foreign writer left it: ours removed, theirs put back."""
    if ADDED not in content and HELD not in content and LINK not in content:
        return content
    lines = _release_lines(content.split(b"\n"))
    ours: Counter[bytes] = Counter()
    for line in lines:
        if line.startswith(ADDED):
            ours.update(KEYWORD + b" " + word for word in line[len(ADDED) :].split())
    kept = []
    for line in lines:
        if line.startswith((ADDED, LINK)):
            continue
        if ours[line] > 0:
            ours[line] -= 1
            continue
        kept.append(line)
    return b"\n".join(kept)


def count_ours_as_theirs(content: bytes) -> bytes:
    """Return the file with ours counted as theirs, too: whoever edited it has left it there."""
    if not is_guarded(content):
        return content
    lines = _release_lines(content.split(b"\n"))
    return b"\n".join(line for line in lines if not line.startswith((ADDED, LINK)))


def _release_lines(lines: Sequence[bytes]) -> list[bytes]:
    """Return the lines with what was held back in its place, and without what stood in for it."""
    released: list[bytes] = []
    stand_in: bytes | None = None
    for line in lines:
        if line == stand_in:
            stand_in = None
            continue
        released.append(_release(line))
        stand_in = drop_rotate(released[-1]) if line.startswith(HELD) else None
    return released


def holds_rotate_back(content: bytes) -> bool:
    """Tell whether a line of the file is held back for its ``rotate``."""
    if b"rotate" not in content:
        return False
    return any(has_rotate(_release(line)) for line in content.split(b"\n") if line[:1] == b"#")


def _release(line: bytes) -> bytes:
    while line.startswith(HELD):
        line = line[len(HELD) :]
    return line


def read_link_marker(content: bytes) -> str | None:
    """Return the link that a file of ours has taken the place of."""
    if LINK not in content:
        return None
    lines = (line[len(LINK) :] for line in content.split(b"\n") if line.startswith(LINK))
    return next(lines, b"").decode("utf-8", "surrogateescape") or None


def mark_link(content: bytes, link: str) -> bytes:
    """Return the file with the link named whose place it takes, if it names none."""
    if read_link_marker(content) is not None:
        return content
    return LINK + link.encode("utf-8", "surrogateescape") + b"\n" + content


def drop_link_marker(content: bytes) -> bytes:
    """Return the file as it is to stand where the link leads to."""
    return b"\n".join(line for line in content.split(b"\n") if not line.startswith(LINK))


def guard(
    foreign: bytes,
    wanted: Sequence[IPAddress],
    link: str | None = None,
    *,
    in_order: bool = False,
) -> bytes:
    """Return the foreign file with exactly ``wanted`` as its nameservers, in this order.

    ``link`` is the symbolic link whose place the file takes: its first line says so.
    With ``in_order`` an ``options`` line that has them asked in turn is held back as well.

    Foreign nameserver lines that fit stay where they are, the others become
    comments; what is missing is added beside them. All other bytes stay.
    ``unguard(guard(x, any)) == x`` for every ``x`` that is not guarded itself.
    """
    lines = foreign.split(b"\n")
    found = {server.line: server for server in find_nameservers(lines)}
    guarded: list[bytes] = [] if link is None else [LINK + link.encode("utf-8", "surrogateescape")]
    missing = list(wanted)
    last = max((index for index, server in found.items() if server.glibc), default=None)
    for index, line in enumerate(lines):
        server = found.get(index)
        if server is not None:
            if server.glibc and server.address in missing:
                place = missing.index(server.address)
                guarded += _add(missing[:place])
                guarded.append(line)
                del missing[: place + 1]
            elif server.glibc or server.address not in wanted:
                guarded.append(HELD + line)
            else:
                guarded.append(line)
            if index == last:
                guarded += _add(missing)
        elif in_order and has_rotate(line):
            left = drop_rotate(line)
            guarded += [HELD + line] if left is None else [HELD + line, left]
        else:
            guarded.append(line)
    if last is None:
        # Before the empty piece behind a final newline; behind a line that lacks one.
        end = len(guarded) - (guarded[-1] == b"")
        guarded[end:end] = _add(missing)
    return b"\n".join(guarded)


def _add(addresses: Sequence[IPAddress]) -> list[bytes]:
    if not addresses:
        return []
    words = [str(address).encode() for address in addresses]
    return [ADDED + b" ".join(words), *(KEYWORD + b" " + word for word in words)]
