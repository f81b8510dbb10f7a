"""The text of resolv.conf: what it says.

Two readings matter. glibc (``resolv/res_init.c``) wants ``nameserver`` in the first
column; Go's resolver, kubelet and CoreDNS split on white space and so accept an
indented line or one that ends in a carriage return. What must not be there is
judged by the wider reading, what can be relied on by glibc's.

Every function takes any bytes and never raises.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dnsguard.formats.address import IPAddress, parse_nameserver, plain

MAXNS = 3
"""glibc's limit of nameservers (<resolv.h>)."""

MAXOPTIONS = 32
"""Twice as many as there are."""

KEYWORD = b"nameserver"
_KEYWORDS = frozenset({KEYWORD, b"search", b"domain", b"options", b"sortlist"})
"""resolv.conf(5)'s own."""
_OPTION = re.compile(rb"[a-z0-9][a-z0-9:_-]{0,63}", re.IGNORECASE)

_MEANT = re.compile(
    rb"^(?:\xef\xbb\xbf)?[ \t]*nameservers?[ \t]*[ \t:=][ \t]*([0-9a-f.:, \t]+)",
    re.IGNORECASE | re.MULTILINE,
)
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
    if KEYWORD not in line:
        return None
    if line.startswith((b"nameserver ", b"nameserver\t")):
        # glibc cuts at a blank (strpbrk " \t\n"), C strings end at a NUL.
        words = line[len(KEYWORD) :].split(b"\0", 1)[0].replace(b"\t", b" ").split(b" ")
        word = next((word for word in words if word), b"")
        address = parse_nameserver(word.decode("latin-1"))
        if address is not None:
            return plain(address), True
    fields = line.split()
    if len(fields) > 1 and fields[0] == KEYWORD:
        address = parse_nameserver(fields[1].decode("latin-1"))
        if address is not None:
            return plain(address), False
    return None


@lru_cache(maxsize=8)
def read_nameservers(content: bytes) -> tuple[Nameserver, ...]:
    """Return the nameserver lines of the file, in its order."""
    return find_nameservers(content.split(b"\n"))


def read_addresses(content: bytes) -> tuple[IPAddress, ...]:
    """Return the addresses that the file names, each once, in its order."""
    return tuple(dict.fromkeys(server.address for server in read_nameservers(content)))


def find_meant(content: bytes) -> tuple[IPAddress, ...]:
    """Return the addresses that the file names, or else whom its writer seems to have meant.

    ``nameserver 10.1.1.1, 10.1.1.2``, ``nameserver=10.1.1.1``, or the first line behind a byte
    order mark: no reader takes any of them, and the node asks itself.
    """
    named = read_addresses(content)
    if named or b"\0" in content:
        return named
    words = (word for match in _MEANT.finditer(content) for word in match[1].decode().split(","))
    found = (parse_nameserver(one) for word in words for one in word.split())
    return tuple(dict.fromkeys(plain(one) for one in found if one is not None))


def find_nameservers(lines: Sequence[bytes]) -> tuple[Nameserver, ...]:
    read = ((index, _read_line(line)) for index, line in enumerate(lines))
    return tuple(Nameserver(index, *found) for index, found in read if found is not None)


def find_nameserver_block(content: bytes) -> bytes:
    """Return the nameserver lines, where they stand together and are glibc's; else nothing."""
    lines = content.split(b"\n")
    found = find_nameservers(lines)
    if not found or not all(server.glibc for server in found):
        return b""
    together = b"\n".join(lines[found[0].line : found[-1].line + 1])
    is_whole = together.count(KEYWORD) == content.count(KEYWORD) == len(found)
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


def drop_rotate(line: bytes) -> bytes | None:
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


def search_list(content: bytes) -> tuple[str, ...]:
    """Return the effective search list: the last ``search`` or ``domain`` line wins."""
    found: tuple[str, ...] = ()
    for line in content.split(b"\n"):
        keyword = line[:6]
        if keyword in (b"search", b"domain") and line[6:7] in (b" ", b"\t"):
            words = line[6:].split(b"\0", 1)[0].decode("utf-8", "replace").split()
            found = tuple(words if keyword == b"search" else words[:1])
    return found


def read_options(content: bytes) -> tuple[str, ...]:
    """Return the options of all lines, each once: in glibc they add up (resolv.conf(5))."""
    lines = (line for line in content.split(b"\n") if line.startswith((b"options ", b"options\t")))
    words = (word for line in lines for word in line.split(b"\0", 1)[0].split()[1:])
    return tuple(dict.fromkeys(one.decode() for one in words if _OPTION.fullmatch(one)))[
        :MAXOPTIONS
    ]


def uses_tcp(content: bytes) -> bool:
    """Tell whether the options have glibc ask over TCP only (resolv.conf(5), use-vc)."""
    return "use-vc" in read_options(content)


def find_pod_options(content: bytes, servers: Iterable[IPAddress]) -> tuple[str, ...]:
    """Return the file's options that hold for these servers, too.

    ``trust-ad`` says that the way to those in the file is safe: systemd-resolved writes it
    for its stub on loopback, and a pod asks others.
    """
    are_its_own = set(servers) <= set(read_addresses(content))
    return tuple(one for one in read_options(content) if one != "trust-ad" or are_its_own)


def drop_cluster_names(names: Iterable[str], cluster_domain: str) -> tuple[str, ...]:
    """Return the names that are not in the cluster's domain (RFC 4343: case is folded)."""
    zone = cluster_domain.strip(".").lower()

    def is_inside(name: str) -> bool:
        folded = name.strip(".").lower()
        return folded == zone or folded.endswith("." + zone)

    # systemd-resolved's "search ." says that there is none; musl finds nothing with it.
    return tuple(name for name in names if name.strip(".") and not is_inside(name))


def write_pod_file(
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
