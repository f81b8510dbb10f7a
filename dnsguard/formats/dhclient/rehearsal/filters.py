"""What the programs that hooks of dhclient-script(8) make texts with say: echo, printf, sed, grep.

As much of them as is used for resolv.conf; what is not understood and may be about
nameservers comes out as ``UNKNOWN``.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

from dnsguard.formats.dhclient.shell.tree import UNKNOWN

_SUBSTITUTE = re.compile(r"s([/|#,@!])((?:\\.|(?!\1)[^\\\n])*)\1((?:\\.|(?!\1)[^\\\n])*)\1([gIi]*)")
_DELETE = re.compile(r"/((?:\\.|[^\\/])*)/d")
_INSERT = re.compile(r"(1|\$) ?([ia])\s*\\?\s*(.+)")
_CUT = re.compile(r"-d\0?(?P<by>.)\0-f\0?(?P<field>[1-9])")
_CUT_LAST = re.compile(r"-f\0?(?P<field>[1-9])\0-d\0?(?P<by>.)")
_PRINT = re.compile(r"\{ *print \$([1-9]) *;? *\}")
_PLAIN_PATTERN = re.compile(r"[\w\s^$.:#\[\]/@=\"'|()\\*+-]{0,200}")
"""What means the same to sed(1) and to us; with few stars, so that it ends."""


def echo(words: Sequence[str]) -> str:
    """Return what echo says, of dash: it knows the escapes without ``-e``."""
    ends = "\n"
    while words and re.fullmatch("-[neE]+", words[0]):
        ends = "" if "n" in words[0] else ends
        words = words[1:]
    return _unescape(" ".join(words)) + ends


def printf(words: Sequence[str]) -> str:
    """Return what printf says of strings."""
    if not words:
        return ""
    form, *values = words[1:] if words[0] == "--" else words
    form = _unescape(form)
    count = len(re.findall("%[sb]", form))
    rounds = max(1, -(-len(values) // count)) if count else 1
    left = iter(map(_unescape, values))
    return re.sub("%[sb]", lambda _: next(left, ""), form * min(rounds, 64))


def _unescape(text: str) -> str:
    return text.replace("\\\\", "\\").replace("\\n", "\n").replace("\\t", "\t")


def apply_sed(programs: Sequence[str], text: str) -> str:
    """Return what sed(1) makes of a text, UNKNOWN where it may be about nameservers."""
    for program in programs:
        lines = text.split("\n")
        if program.startswith("1s") and (change := _parse_change(program[1:])) is not None:
            text = "\n".join((change(lines[0]), *lines[1:]))
        elif (match := _INSERT.fullmatch(program)) is not None:
            new = match[3].split("\\n")
            last = lines[:-1] if lines[-1] == "" else lines
            at = {"1i": 0, "1a": 1, "$i": len(last) - 1}.get(match[1] + match[2], len(last))
            text = "\n".join((*last[:at], *new, *last[at:], ""))
        elif (change := _parse_change(program)) is not None:
            text = change(text)
        elif re.search(r"nameserver|[0-9]\.[0-9]", program):
            text = UNKNOWN
    return text


def _parse_change(program: str) -> Callable[[str], str] | None:
    """Return what a ``s/.../.../`` or a ``/.../d`` does, None if it is none that is understood."""
    substitute, delete = _SUBSTITUTE.fullmatch(program), _DELETE.fullmatch(program)
    gone = None if delete is None else _compile(delete[1])
    if gone is not None:
        return partial(_delete, gone)
    found = None if substitute is None else _compile(substitute[2])
    if substitute is not None and found is not None:
        new = re.sub(r"\\([/|#,@!.])", r"\1", substitute[3].replace("\\n", "\n"))
        count = 0 if "g" in substitute[4] else 1
        if "&" in new or "\\" in new:
            return None
        return partial(_substitute, found, new, count)
    return None


def _delete(pattern: re.Pattern[str], text: str) -> str:
    return "\n".join(one for one in text.split("\n") if not (one and pattern.search(one)))


def _substitute(pattern: re.Pattern[str], new: str, count: int, text: str) -> str:
    return "\n".join(pattern.sub(lambda _: new, one, count) for one in text.split("\n"))


def _compile(pattern: str) -> re.Pattern[str] | None:
    if not _PLAIN_PATTERN.fullmatch(pattern) or pattern.count("*") + pattern.count("+") > 3:
        return None
    try:
        return re.compile(pattern)
    except re.error:
        return None


def cut(words: Sequence[str], text: str) -> str:
    """Return one field of each line (cut(1)), UNKNOWN where others are asked for."""
    match = _CUT.fullmatch("\0".join(words)) or _CUT_LAST.fullmatch("\0".join(words))
    if match is None:
        return UNKNOWN
    return _take_fields(text, int(match["field"]), match["by"])


def print_field(program: str, text: str) -> str:
    """Return what awk(1) says that prints one field of each line, UNKNOWN for all else."""
    match = _PRINT.fullmatch(program)
    return UNKNOWN if match is None else _take_fields(text, int(match[1]), None)


def _take_fields(text: str, field: int, by: str | None) -> str:
    rows = (line.split(by) if by is None or by in line else [line] * field for line in _lines(text))
    return "".join(f"{row[field - 1] if field <= len(row) else ''}\n" for row in rows)


def translate(words: Sequence[str], text: str) -> str:
    """Return what tr(1) makes of a text with one character for another, else UNKNOWN."""
    known = [_unescape(word) for word in words]
    if [len(word) for word in known] != [1, 1]:
        return UNKNOWN
    return text.replace(known[0], known[1])


def head(words: Sequence[str], text: str) -> str:
    """Return the first lines (head(1))."""
    match = re.fullmatch(r"-(?:n\0?)?([0-9]{1,3})", "\0".join(words))
    if match is None:
        return UNKNOWN
    return "".join(f"{line}\n" for line in _lines(text)[: int(match[1])])


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def drop_lines(pattern: str, text: str) -> str:
    """Return the lines that are left where those of a pattern are not wanted (``-v``)."""
    found = _compile(pattern)
    if found is None:
        return UNKNOWN if re.search(r"nameserver|[0-9]\.[0-9]", pattern) else text
    return "".join(f"{line}\n" for line in text.splitlines() if not found.search(line))


def has_match(pattern: str, text: str) -> bool | None:
    """Tell whether a line has a pattern (``grep -q``), None where that can't be told."""
    found = _compile(pattern)
    if found is None or UNKNOWN in text:
        return None
    return any(found.search(line) for line in text.split("\n"))
