"""Rows of a label and a text, as wide as the terminal, with colour where somebody looks."""

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

LABEL = 13
"""Columns of the labels."""
_LEAST = 40
"""Columns below which folding would only do harm."""
_CODES = {"good": "32", "bad": "31", "warn": "33", "loud": "1;33", "dim": "2", "": ""}
"""SGR parameters (ECMA-48, 8.3.117)."""


@dataclass(frozen=True, slots=True)
class Page:
    """How to lay text out."""

    width: int | None = None
    """Columns; None: lines are as long as they are, for pipes and files."""
    has_colour: bool = False

    def row(self, label: str, text: str, style: str = "", *, hang: int = 0) -> str:
        """Return a label and its text, folded below itself; ``hang`` indents what is folded."""
        head = f"{label:<{LABEL}}"
        if self.width is None:
            return self.painted(f"{head}{text}".rstrip(), style)
        lines = textwrap.wrap(
            text,
            max(_LEAST, self.width),
            initial_indent=head,
            subsequent_indent=" " * (LABEL + hang),
            break_on_hyphens=False,
        )
        return "\n".join(self.painted(line, style) for line in lines or [head.rstrip()])

    def painted(self, text: str, style: str) -> str:
        code = _CODES[style]
        return f"\x1b[{code}m{text}\x1b[0m" if code and self.has_colour else text


def page_for(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Page:
    """Return the page for a stream: folded and coloured on a terminal only.

    ``NO_COLOR`` (no-color.org) and ``TERM=dumb`` turn colour off, ``COLUMNS`` sets the width.
    """
    if not stream.isatty():
        return Page()
    is_plain = bool(environ.get("NO_COLOR")) or environ.get("TERM", "dumb") == "dumb"
    return Page(width=shutil.get_terminal_size().columns, has_colour=not is_plain)


def stdout() -> Page:
    """Return the page for the standard output."""
    return page_for(sys.stdout)
