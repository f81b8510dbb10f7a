"""The words, signs and here-documents of a shell script (sh(1), "Token recognition" of POSIX).

Comments and blanks are left out; expansions stay as they are written. Any bytes will do:
what fits nowhere is skipped.
"""

import re
from collections.abc import Iterator, Sequence

MAX_BYTES = 1 << 15
"""Of a script; what comes behind them is not read."""

_LEX = re.compile(
    r"""
    (?P<blank>(?:[ \t\r]|\\\n)+)
  | (?P<comment>\#[^\n]*)
  | (?P<line>\n)
  | (?P<redirect>[0-9]*(?:<<<|<<-?|>>|>\||>&|<&|<>|&>>|&>|>|<))
  | (?P<control>;;&|;;|;&|;|&&|&|\|\||\||\$\(|`|\(|\)|\{(?=\s)|\}(?=[\s;)]|\Z))
  | (?P<word>(?:[^\s;&|<>()`'"\\$]|\\.|'[^']*'|"(?:[^"\\]|\\.)*"|\$(?!\()|['"\\])+)
    """,
    re.VERBOSE | re.DOTALL,
)
_RESOLVED = re.compile(
    r"(?:\$\(|`)[ \t]*[/\w]*(?:readlink|realpath)(?:[ \t]+-[-\w]*){0,9}"
    r"[ \t]+([^\s)`>|;&]{1,99})[^)`\n]{0,99}[)`]"
)
"""``$(readlink -f FILE)``, which is FILE to us."""
_LONGEST = 1024
"""Characters of a line in which a here-document's end is looked for."""


def lex(script: bytes) -> Iterator[tuple[str, str, int]]:
    """Yield the kind, the text and the line of all that matters in a script.

    A here-document comes where the line ends that it begins behind.
    """
    yield from _lex(_RESOLVED.sub(r"\1", script[:MAX_BYTES].decode("utf-8", "replace")))


def _lex(text: str) -> Iterator[tuple[str, str, int]]:
    line, at = 1, 0
    delimiters: list[str] = []
    is_delimiter = False
    while at < len(text):
        match = _LEX.match(text, at)
        if match is None:
            at += 1
            continue
        kind, found = str(match.lastgroup), match.group()
        if is_delimiter and kind == "word":
            delimiters.append(unquote(found))
        begin, at = at, match.end()
        if kind == "line" and delimiters:
            at, delimiters = _find_end_of_documents(text, at, delimiters), []
            yield "document", text[match.end() : at], line
        if kind not in ("blank", "comment"):
            is_delimiter = kind == "redirect" and found.lstrip("0123456789") in ("<<", "<<-")
            yield kind, found, line
        line += text.count("\n", begin, at)


def _find_end_of_documents(text: str, at: int, delimiters: Sequence[str]) -> int:
    """Return where the here-documents that begin here end."""
    for delimiter in delimiters:
        is_within = True
        while is_within and at < len(text):
            line, _, _ = text[at : at + _LONGEST].partition("\n")
            is_within = line.lstrip("\t").rstrip(" \t") != delimiter
            at = text.find("\n", at) + 1 or len(text)
    return at


def unquote(word: str) -> str:
    """Return a word without its quotes and backslashes."""
    return word.replace('"', "").replace("'", "").replace("\\", "")
