"""The words of dhclient.conf(5) and dhclient.leases(5), and how dhclient gets past an error.

ISC's ``common/conflex.c`` and the skipping of ``common/parse.c``. What a wrong
statement takes with it decides which of the next ones count, so the skipping is
dhclient's own, step by step.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

MOST_TOKENS = 5_000
"""What stands behind these is not read: some 20 KiB of a real file, ten times Debian's."""

_TOKEN = re.compile(
    rb"""
    (?: [ \t\n\v\f\r]+ | \#[^\n]* )+
  | ( " (?: [^"\\]+ | \\. )* "? )
  | ( [-0-9][0-9]* (?![-\w]) )
  | ( [-0-9A-Za-z][-\w]* )
  | ( . )
    """,
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(rb"\\(?:([0-3][0-7]{2})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_LETTERS = {b"t": b"\t", b"r": b"\r", b"n": b"\n", b"b": b"\b"}
_HEXADECIMAL = re.compile(rb"0[xX][0-9A-Fa-f]+|[-0-9A-Za-z][0-9A-Fa-f]*")


class Kind(StrEnum):
    """What a token is to the grammar."""

    END = "end"
    STRING = "string"
    NUMBER = "number"
    HEX = "hex"  # a number or a name (NUMBER_OR_NAME), as in an IPv6 address
    NAME = "name"  # keywords included: they may be names of options, too
    SIGN = "sign"


NAMES = (Kind.NAME, Kind.HEX)
"""What ``is_identifier`` takes."""
NUMERIC = (Kind.NUMBER, Kind.HEX)


class Token(NamedTuple):
    kind: Kind
    text: bytes
    """A string's value, without quotes and escapes."""
    start: int
    end: int

    @property
    def word(self) -> str:
        """The text as dhclient compares it: case does not count.

        ``intern``, common/conflex.c:724.
        """
        return self.text.decode("latin-1").lower()

    def is_sign(self, signs: bytes) -> bool:
        return self.kind is Kind.SIGN and self.text in signs


class Tokens:
    """A cursor over the tokens of one file; at its end there are END tokens without end."""

    def __init__(self, content: bytes, limit: int = MOST_TOKENS) -> None:
        """Begin at the top.

        :param limit: the tokens to read at most.
        """
        self.taken: Token | None = None
        self._content = content
        self._newlines: list[int] | None = None
        self._tokens = list(islice(_lex(content), limit))
        self.count = len(self._tokens)
        self._end = Token(Kind.END, b"", len(content), len(content))
        self._at = 0

    def peek(self, ahead: int = 0) -> Token:
        """Return a token that is still to come."""
        at = self._at + ahead
        return self._tokens[at] if at < self.count else self._end

    def take(self) -> Token:
        """Return the next token, and be past it."""
        self.taken = self.peek()
        self._at += 1
        return self.taken

    def find_line(self) -> int:
        """Return the line of the token last taken, from 1."""
        if self._newlines is None:
            self._newlines = [match.start() for match in re.finditer(rb"\n", self._content)]
        return bisect_right(self._newlines, self.taken.start if self.taken else 0) + 1

    def fail(self, *, taken: Token | None = None) -> bool:
        """Skip the rest of a wrong statement unless its ``;`` is taken already; always False."""
        if taken is None or not taken.is_sign(b";"):
            self.skip_to_semi()
        return False

    def skip_to_semi(self) -> None:
        """Skip to the end of the statement: a ``;``, or the brace that closes its braces."""
        self.skip_to_brace(0)

    def skip_to_brace(self, depth: int) -> None:
        """Skip past this many closing braces (``skip_to_rbrace``, common/parse.c:98)."""
        while (token := self.peek()).kind is not Kind.END:
            self.take()
            if token.kind is not Kind.SIGN:
                continue
            if token.text == b"}":
                depth -= depth > 0
                if depth == 0:
                    return
            elif token.text == b"{":
                depth += 1
            elif token.text == b";" and depth == 0:
                return

    def take_semi(self) -> bool:
        """Take the ``;`` that is due, or skip (``parse_semi``, common/parse.c:139)."""
        if self.take().is_sign(b";"):
            return True
        return self.fail()


def _lex(content: bytes) -> Iterator[Token]:
    for match in _TOKEN.finditer(content):
        group = match.lastindex
        if group is None:
            continue
        text = match[group]
        match group:
            case 1:
                kind, text = Kind.STRING, _unescape(text)
            case 2 if text != b"-":
                kind = Kind.NUMBER
            case 3:
                kind = Kind.HEX if _HEXADECIMAL.fullmatch(text) else Kind.NAME
            case _:
                kind = Kind.SIGN
        yield Token(kind, text, match.start(), match.end())


def _unescape(text: bytes) -> bytes:
    inner = text[1:-1] if len(text) > 1 and text[-1:] == b'"' else text[1:]
    return _ESCAPE.sub(_decode_escape, inner) if b"\\" in inner else inner


def _decode_escape(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, letter = match.groups()
    if octal is not None:
        return bytes([int(octal, 8)])
    if hexadecimal is not None:
        return bytes([int(hexadecimal, 16)])
    return bytes(_LETTERS.get(letter, letter))
