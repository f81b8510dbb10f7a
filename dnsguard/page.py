r"""How lines are laid out: as wide as the terminal, with colour where somebody looks.

Most of what is shown was written by somebody else: in files, on command lines, by a DHCP
server. So nothing is painted that a terminal would take for a command (C0, DEL and C1 of
ECMA-48, ISO 6429), that turns a line around (Unicode's bidirectional controls), or that
makes one line two: it is shown as what it is, ``\x1b``. The colours are ours and are added
behind that.
"""

import re
import textwrap
from dataclasses import dataclass
from typing import NamedTuple

LABEL = 13
"""Columns of the labels."""
_LEAST = 40
"""Columns below which folding would only do harm."""
_LABEL = re.compile(r"\w[\w ]{,21}  ")
"""A label in a column of its own. Longer ones are no label, but a file's text: what is folded
would have no column left."""
_CODES = {
    "good": "32",
    "bad": "31",
    "warn": "33",
    "loud": "1;33",
    "bold": "1",
    "dim": "2",
    "": "",
}
"""SGR parameters (ECMA-48, 8.3.117)."""


class Line(NamedTuple):
    """One line and how it is to be painted."""

    text: str
    style: str = ""


def escape(text: str) -> str:
    """Return the text with all that is no printable character written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if 0x80 <= code <= 0xFF:  # "\\x9b" would be that byte
        return f"\\u{code:04x}"
    return chr(code).encode("unicode_escape").decode()


@dataclass(frozen=True, slots=True)
class Page:
    """How to lay text out."""

    width: int | None = None
    """Columns; None: lines are as long as they are, for pipes and files."""
    height: int | None = None
    has_colour: bool = False

    def row(self, label: str, text: str, style: str = "", *, hang: int = 0) -> tuple[Line, ...]:
        """Return a label and its text, folded below itself; ``hang`` indents what is folded."""
        head = f"{label:<{LABEL}}"
        return self.fold(escape(text), style, head=head, hang=LABEL + hang)

    def fold(
        self, text: str, style: str = "", *, head: str = "", hang: int = 0
    ) -> tuple[Line, ...]:
        """Return a text folded at words, ``head`` before it and what follows indented."""
        text = escape(text)
        if self.width is None:
            return (Line(f"{head}{text}".rstrip(), style),)
        lines = textwrap.wrap(
            text,
            max(_LEAST, self.width),
            initial_indent=head,
            subsequent_indent=" " * hang,
            break_on_hyphens=False,
        )
        return tuple(Line(line, style) for line in lines or [head.rstrip()])

    def indent(self, text: str) -> tuple[Line, ...]:
        """Return a line folded at words below its own beginning, two columns further in."""
        body = text.lstrip(" ")
        indent = len(text) - len(body)
        label = _LABEL.match(body)
        hang = indent + (label.end() if label else 2)
        return self.fold(body, head=" " * indent, hang=hang)

    def paint(self, line: str | Line) -> str:
        """Return a line as it goes to the terminal."""
        text, style = line if isinstance(line, Line) else (line, "")
        code = _CODES[style]
        shown = escape(text)
        return f"\x1b[{code}m{shown}\x1b[0m" if code and self.has_colour else shown
