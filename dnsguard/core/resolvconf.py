"""The text of resolv.conf: what it says, and how it is guarded without losing a byte.

Two readings matter. glibc (``resolv/res_init.c``) wants ``nameserver`` in the first
column; Go's resolver, kubelet and CoreDNS split on white space and so accept an
indented line or one that ends in a carriage return. What must not be there is
judged by the wider reading, what can be relied on by glibc's.

A guarded file explains itself: ``# added by dnsguard:`` names the nameservers that
the next lines add, ``# held back by dnsguard:`` keeps a foreign line as it was. Behind
an ``options`` line that is held back stands what is left of it without ``rotate``. So
:func:`unguard` needs no memory to return what the last foreign writer wrote.

Every function takes any bytes and never raises.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dnsguard.core.address import IPAddress, parse_nameserver, plain

ADDED = b"# added by dnsguard: "
HELD = b"# held back by dnsguard: "
LINK = b"# in the place of a link, by dnsguard: "
"""Names the link that this file has taken the place of; it is given back."""
MAXNS = 3
"""glibc's limit of nameservers (<resolv.h>)."""

MAXOPTIONS = 32
"""Twice as many as there are."""

_KEYWORD = b"nameserver"
_KEYWORDS = frozenset({_KEYWORD, b"search", b"domain", b"options", b"sortlist"})
"""resolv.conf(5)'s own."""
_OPTION = re.compile(rb"[a-z0-9][a-z0-9:_-]{0,63}", re.IGNORECASE)

_OPTIONS = re.compile(rb"[ \t\r]*options[ \t\r]")
_ROTATE = re.compile(rb"[ \t\r]+rotate[^ \t\r]*")
"""glibc compares the beginning of a word only (res_setoptions()); Go splits at \\r as well."""


@dataclass(frozen=True, slots=True)
class Nameserver:
    """One ``nameserver`` line."""

    line: int
    """Index of the line in the file, from 0."""
    address: IPAddress
    glibc: bool
    """Whether glibc takes it; if not, Go's readers still do."""


@lru_cache(maxsize=256)
def _read_line(line: bytes) -> tuple[IPAddress, bool] | None:
    """Return the address of a nameserver line and whether glibc takes the line."""
    if _KEYWORD not in line:
        return None
    if line.startswith((b"nameserver ", b"nameserver\t")):
        # glibc cuts at a blank (strpbrk " \t\n"), C strings end at a NUL.
        words = line[len(_KEYWORD) :].split(b"\0", 1)[0].replace(b"\t", b" ").split(b" ")
        word = next((word for word in words if word), b"")
        address = parse_nameserver(word.decode("latin-1"))
        if address is not None:
            return plain(address), True
    fields = line.split()
    if len(fields) > 1 and fields[0] == _KEYWORD:
        address = parse_nameserver(fields[1].decode("latin-1"))
        if address is not None:
            return plain(address), False
    return None


@lru_cache(maxsize=8)
def nameservers(content: bytes) -> tuple[Nameserver, ...]:
    """Return the nameserver lines of the file, in its order."""
    return _nameservers(content.split(b"\n"))


def addresses(content: bytes) -> tuple[IPAddress, ...]:
    """Return the addresses that the file names, each once, in its order."""
    return tuple(dict.fromkeys(server.address for server in nameservers(content)))


def _nameservers(lines: Sequence[bytes]) -> tuple[Nameserver, ...]:
    read = ((index, _read_line(line)) for index, line in enumerate(lines))
    return tuple(Nameserver(index, *found) for index, found in read if found is not None)


def block(content: bytes) -> bytes:
    """Return the nameserver lines, where they stand together and are glibc's; else nothing."""
    lines = content.split(b"\n")
    found = _nameservers(lines)
    if not found or not all(server.glibc for server in found):
        return b""
    together = b"\n".join(lines[found[0].line : found[-1].line + 1])
    is_whole = together.count(_KEYWORD) == content.count(_KEYWORD) == len(found)
    return together if is_whole and together.count(b"\n") == len(found) - 1 else b""


def is_resolv_conf(content: bytes) -> bool:
    """Tell whether a text can be one of resolv.conf(5): it has a line of it, or says nothing."""
    says_nothing = True
    for line in content.split(b"\n"):
        fields = line.split(None, 1)
        if fields and fields[0] in _KEYWORDS:
            return b"\0" not in content
        says_nothing &= not fields or line.lstrip().startswith((b"#", b";"))
    return says_nothing


def is_guarded(content: bytes) -> bool:
    """Tell whether the file carries a line of ours."""
    return any(line.startswith((ADDED, HELD, LINK)) for line in content.split(b"\n"))


def added(content: bytes) -> frozenset[IPAddress]:
    """Return the nameservers that dnsguard has added in lines of their own."""
    lines = (line[len(ADDED) :] for line in content.split(b"\n") if line.startswith(ADDED))
    words = (word.decode("latin-1") for line in lines for word in line.split())
    found = (parse_nameserver(word) for word in words)
    return frozenset(plain(address) for address in found if address is not None)


def unguard(content: bytes) -> bytes:
    """Return the file as the last foreign writer left it: ours removed, theirs put back."""
    if ADDED not in content and HELD not in content and LINK not in content:
        return content
    lines = _released_lines(content.split(b"\n"))
    ours: Counter[bytes] = Counter()
    for line in lines:
        if line.startswith(ADDED):
            ours.update(_KEYWORD + b" " + word for word in line[len(ADDED) :].split())
    kept = []
    for line in lines:
        if line.startswith((ADDED, LINK)):
            continue
        if ours[line] > 0:
            ours[line] -= 1
            continue
        kept.append(line)
    return b"\n".join(kept)


def as_left(content: bytes) -> bytes:
    """Return the file with ours counted as theirs, too: whoever edited it has left it there."""
    if not is_guarded(content):
        return content
    lines = _released_lines(content.split(b"\n"))
    return b"\n".join(line for line in lines if not line.startswith((ADDED, LINK)))


def _released_lines(lines: Sequence[bytes]) -> list[bytes]:
    """Return the lines with what was held back in its place, and without what stood in for it."""
    released: list[bytes] = []
    stand_in: bytes | None = None
    for line in lines:
        if line == stand_in:
            stand_in = None
            continue
        released.append(_released(line))
        stand_in = without_rotate(released[-1]) if line.startswith(HELD) else None
    return released


def without_rotate(line: bytes) -> bytes | None:
    """Return what is left of an ``options`` line without ``rotate``.

    None where there is nothing to take away, or nothing left.
    """
    if not has_rotate(line):
        return None
    left = _ROTATE.sub(b"", line)
    return left if len(left.split()) > 1 else None


def has_rotate(line: bytes) -> bool:
    """Tell whether the line has some reader ask the nameservers in turn."""
    return b"rotate" in line and bool(_OPTIONS.match(line) and _ROTATE.search(line))


def rotates(content: bytes) -> bool:
    """Tell whether some reader of the file asks its nameservers in turn."""
    return b"rotate" in content and any(map(has_rotate, content.split(b"\n")))


def holds_rotate_back(content: bytes) -> bool:
    """Tell whether a line of the file is held back for its ``rotate``."""
    if b"rotate" not in content:
        return False
    return any(has_rotate(_released(line)) for line in content.split(b"\n") if line[:1] == b"#")


def _released(line: bytes) -> bytes:
    while line.startswith(HELD):
        line = line[len(HELD) :]
    return line


def taken_link(content: bytes) -> str | None:
    """Return the link that a file of ours has taken the place of."""
    if LINK not in content:
        return None
    lines = (line[len(LINK) :] for line in content.split(b"\n") if line.startswith(LINK))
    return next(lines, b"").decode("utf-8", "surrogateescape") or None


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
    found = {server.line: server for server in _nameservers(lines)}
    guarded: list[bytes] = [] if link is None else [LINK + link.encode("utf-8", "surrogateescape")]
    missing = list(wanted)
    last = max((index for index, server in found.items() if server.glibc), default=None)
    for index, line in enumerate(lines):
        server = found.get(index)
        if server is not None:
            if server.glibc and server.address in missing:
                place = missing.index(server.address)
                guarded += _added(missing[:place])
                guarded.append(line)
                del missing[: place + 1]
            elif server.glibc or server.address not in wanted:
                guarded.append(HELD + line)
            else:
                guarded.append(line)
            if index == last:
                guarded += _added(missing)
        elif in_order and has_rotate(line):
            left = without_rotate(line)
            guarded += [HELD + line] if left is None else [HELD + line, left]
        else:
            guarded.append(line)
    if last is None:
        # Before the empty piece behind a final newline; behind a line that lacks one.
        end = len(guarded) - (guarded[-1] == b"")
        guarded[end:end] = _added(missing)
    return b"\n".join(guarded)


def _added(addresses: Sequence[IPAddress]) -> list[bytes]:
    if not addresses:
        return []
    words = [str(address).encode() for address in addresses]
    return [ADDED + b" ".join(words), *(_KEYWORD + b" " + word for word in words)]


def search_list(content: bytes) -> tuple[str, ...]:
    """Return the effective search list: the last ``search`` or ``domain`` line wins."""
    found: tuple[str, ...] = ()
    for line in content.split(b"\n"):
        keyword = line[:6]
        if keyword in (b"search", b"domain") and line[6:7] in (b" ", b"\t"):
            words = line[6:].split(b"\0", 1)[0].decode("utf-8", "replace").split()
            found = tuple(words if keyword == b"search" else words[:1])
    return found


def options(content: bytes) -> tuple[str, ...]:
    """Return the options of all lines, each once: in glibc they add up (resolv.conf(5))."""
    lines = (line for line in content.split(b"\n") if line.startswith((b"options ", b"options\t")))
    words = (word for line in lines for word in line.split(b"\0", 1)[0].split()[1:])
    return tuple(dict.fromkeys(one.decode() for one in words if _OPTION.fullmatch(one)))[
        :MAXOPTIONS
    ]


def uses_tcp(content: bytes) -> bool:
    """Tell whether the options have glibc ask over TCP only (resolv.conf(5), use-vc)."""
    return "use-vc" in options(content)


def pod_options(content: bytes, servers: Iterable[IPAddress]) -> tuple[str, ...]:
    """Return the file's options that hold for these servers, too.

    ``trust-ad`` says that the way to those in the file is safe: systemd-resolved writes it
    for its stub on loopback, and a pod asks others.
    """
    are_its_own = set(servers) <= set(addresses(content))
    return tuple(one for one in options(content) if one != "trust-ad" or are_its_own)


def outside(names: Iterable[str], cluster_domain: str) -> tuple[str, ...]:
    """Return the names that are not in the cluster's domain (RFC 4343: case is folded)."""
    zone = cluster_domain.strip(".").lower()

    def is_inside(name: str) -> bool:
        folded = name.strip(".").lower()
        return folded == zone or folded.endswith("." + zone)

    # systemd-resolved's "search ." says that there is none; musl finds nothing with it.
    return tuple(name for name in names if name.strip(".") and not is_inside(name))


def pod_file(
    servers: Sequence[IPAddress], search: Sequence[str], options: Sequence[str] = ()
) -> bytes:
    """Return the resolv.conf that kubelet hands to pods: real upstreams and no cluster name."""
    lines = ["# Real upstreams for kubelet (resolvConf), kept by dnsguard(8)."]
    if search:
        lines.append("search " + " ".join(search))
    lines += [f"nameserver {server}" for server in servers]
    if options:  # on one line: kubelets before 1.19 take the last one only
        lines.append("options " + " ".join(options))
    return "\n".join(lines).encode() + b"\n"
