"""dhclient.leases(5): what DHCP servers have said, as dhclient took it down.

A lease holds what dhclient made of an offer, ``supersede`` and its like included. So
every block counts, not only the last one: an earlier one may be from before the
poison. dhclient appends and starts afresh now and then, hence a file too long is read
from its end: at most :data:`MAX_BYTES` and :data:`MOST_BLOCKS`, from the first line that
begins a block. Such a line begins a new block even where the one before it is not closed.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient import options
from dnsguard.formats.dhclient.options import FORMATS
from dnsguard.formats.dhclient.tokens import Kind, Tokens
from dnsguard.formats.dhclient.values import Value, read_ipv4, read_value

MAX_BYTES = 1 << 15
MOST_BLOCKS = 128
NEVER = float("inf")

_BLOCK = re.compile(rb"^lease6?[ \t]*\{", re.MULTILINE)
_DEEPEST = 4
"""``lease6``, ``ia-na``, ``iaaddr``; blocks deeper than that are skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One whole ``lease`` or ``lease6`` block."""

    version: int
    """Of IP: 4, or 6 of a ``lease6``."""
    line: int
    interface: str | None = None
    address: IPAddress | None = None
    """``fixed-address``; of a ``lease6`` the first ``iaaddr``."""
    nameservers: tuple[IPAddress, ...] = ()
    domain: str | None = None
    search: tuple[str, ...] = ()
    routers: tuple[IPAddress, ...] = ()
    server: IPAddress | None = None
    """``dhcp-server-identifier`` (RFC 2132, 9.7)."""
    expires: float | None = None
    """Seconds since the epoch, infinity for ``never``, None where it isn't told."""
    is_released: bool = False


def parse(content: bytes) -> tuple[Lease, ...]:
    """Return the whole leases of a file, in its order: the newest is the last.

    Any bytes will do; a file cut in half yields what is whole.
    """
    start = max(0, len(content) - MAX_BYTES)
    # The top of a file may hold a block that begins elsewhere in its line.
    edges = [] if start else [0]
    edges += [match.start() for match in _BLOCK.finditer(content, start)]
    edges = [*dict.fromkeys(edges), len(content)][-MOST_BLOCKS - 1 :]
    line = content.count(b"\n", 0, edges[0])
    found: list[Lease] = []
    for begin, end in pairwise(edges):
        found += _read_leases(Tokens(content[begin:end]), line)
        line += content.count(b"\n", begin, end)
    return tuple(found)


def _read_leases(tokens: Tokens, line: int) -> Iterator[Lease]:
    while (token := tokens.take()).kind is not Kind.END:
        begins_at = line + tokens.find_line()
        if token.word not in ("lease", "lease6") or token.kind is not Kind.NAME:
            tokens.skip_to_semi()
        elif lease := read_lease(tokens, version=6 if token.word == "lease6" else 4, at=begins_at):
            yield lease


@dataclass(slots=True)
class _Draft:
    interface: str | None = None
    address: IPAddress | None = None
    values: dict[str, Value] = field(default_factory=dict)
    expires: float | None = None
    starts: float = 0.0
    is_released: bool = False

    def list_addresses(self, *names: str) -> tuple[IPAddress, ...]:
        return tuple(one for name in names for one in self._get_value(name).addresses)

    def list_texts(self, *names: str) -> tuple[str, ...]:
        return tuple(one for name in names for one in self._get_value(name).texts)

    def _get_value(self, name: str) -> Value:
        return self.values.get(name) or Value()


def read_lease(tokens: Tokens, *, version: int, at: int) -> Lease | None:
    """Take a block behind its keyword; None if it isn't whole.

    ``parse_client_lease_statement``, client/clparse.c:1098.

    :param at: the line of the keyword.
    """
    draft = _Draft()
    if not _read_block(tokens, draft, depth=0):
        return None
    return Lease(
        version=version,
        line=at,
        interface=draft.interface,
        address=draft.address,
        nameservers=draft.list_addresses(options.SERVERS, options.SERVERS6),
        domain=next(iter(draft.list_texts(options.DOMAIN)), None),
        search=draft.list_texts(options.SEARCH, options.SEARCH6),
        routers=draft.list_addresses(options.ROUTERS),
        server=next(iter(draft.list_addresses(options.SERVER_ID)), None),
        expires=draft.expires,
        is_released=draft.is_released,
    )


def _read_block(tokens: Tokens, draft: _Draft, depth: int) -> bool:
    if not tokens.take().is_sign(b"{"):
        return tokens.fail()
    if depth == _DEEPEST:
        tokens.skip_to_brace(1)
        return True
    while not (token := tokens.take()).is_sign(b"}"):
        if token.kind is Kind.END:
            return False
        declare = _DECLARATIONS.get(token.word) if token.kind is not Kind.STRING else None
        if declare is not None:
            declare(tokens, draft)
        elif token.word in ("ia-na", "ia-ta", "ia-pd", "iaaddr", "iaprefix"):
            _read_association(tokens, draft, depth)
        elif not token.is_sign(b";"):
            tokens.skip_to_semi()
    return True


def _read_association(tokens: Tokens, draft: _Draft, depth: int) -> None:
    """``ia-na IAID { ... iaaddr ADDRESS { ... } }``.

    ``parse_client6_ia_na_statement``, client/clparse.c:1607.
    """
    identity = Value()
    if tokens.peek().kind is not Kind.STRING and tokens.peek(1).is_sign(b":"):
        text = b""
        while not tokens.peek().is_sign(b"{/;}") and tokens.peek().kind is not Kind.END:
            text += tokens.take().text
        read_value(Tokens(text), "6", identity)
    while not tokens.peek().is_sign(b"{;}") and tokens.peek().kind is not Kind.END:
        tokens.take()
    if draft.address is None and identity.addresses:
        draft.address = identity.addresses[0]
    if tokens.peek().is_sign(b"{"):
        _read_block(tokens, draft, depth + 1)


def _read_interface(tokens: Tokens, draft: _Draft) -> None:
    token = tokens.take()
    if token.kind is Kind.STRING:
        draft.interface = token.text.decode("utf-8", "replace")
        tokens.take_semi()
    else:
        tokens.fail(taken=token)


def _read_fixed_address(tokens: Tokens, draft: _Draft) -> None:
    address = read_ipv4(tokens)
    if address is not None:
        draft.address = address
        tokens.take_semi()


def _read_option(tokens: Tokens, draft: _Draft) -> None:
    """``option NAME VALUE;``; of two the later counts (``save_option``, common/options.c:2771)."""
    name = tokens.take().word
    if tokens.peek().is_sign(b"."):
        tokens.take()
        name += "." + tokens.take().word
    value = Value()
    form = FORMATS.get(name)
    if form is None:
        tokens.skip_to_semi()
    elif read_value(tokens, form, value) and tokens.take_semi():
        draft.values[name] = value


def _read_expiry(tokens: Tokens, draft: _Draft) -> None:
    draft.expires = _read_date(tokens)
    tokens.take_semi()


def _read_date(tokens: Tokens) -> float | None:
    """``never``, ``epoch SECONDS``, or ``WEEKDAY YEAR/MONTH/DAY HOUR:MINUTE:SECOND [OFFSET]``.

    Dates are in UTC unless they have an offset in seconds (``parse_date_core``,
    common/parse.c:943).
    """
    words = []
    while not tokens.peek().is_sign(b";{}") and tokens.peek().kind is not Kind.END:
        words.append(tokens.take())
    if words and words[0].word == "never":
        return NEVER
    # What is that long is no date, and int() refuses what is longer still.
    numbers = [int(one.text) for one in words if one.kind is Kind.NUMBER and len(one.text) < 12]
    if words and words[0].word == "epoch":
        return float(numbers[0]) if numbers else None
    if len(numbers) not in (7, 8):
        return None
    _, year, month, day, hour, minute, second, offset = (*numbers, 0)[:8]
    try:
        moment = datetime(
            year if year > 1900 else year + 1900, month, day, hour, minute, second, tzinfo=UTC
        )
    except (ValueError, OverflowError):
        return None
    return moment.timestamp() + offset


def _read_start(tokens: Tokens, draft: _Draft) -> None:
    draft.starts = _read_seconds(tokens)


def _read_max_life(tokens: Tokens, draft: _Draft) -> None:
    """Count the valid lifetime of an address (RFC 8415, 21.6) from its ``starts``."""
    draft.expires = max(draft.expires or 0.0, draft.starts + _read_seconds(tokens))


def _read_seconds(tokens: Tokens) -> float:
    token = tokens.take()
    is_number = token.kind is Kind.NUMBER and len(token.text) < 12
    if not token.is_sign(b";"):
        tokens.take_semi()
    return float(int(token.text)) if is_number else 0.0


def _read_released(tokens: Tokens, draft: _Draft) -> None:
    draft.is_released = True
    tokens.take_semi()


_DECLARATIONS: dict[str, Callable[[Tokens, _Draft], None]] = {
    "interface": _read_interface,
    "fixed-address": _read_fixed_address,
    "option": _read_option,
    "expire": _read_expiry,
    "starts": _read_start,
    "max-life": _read_max_life,
    "released": _read_released,
    "abandoned": _read_released,
}
