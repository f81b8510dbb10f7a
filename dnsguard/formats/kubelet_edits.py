"""Edits of kubelet's files and units: another value in one line, every other byte as it was."""

import re
from collections.abc import Iterator

from dnsguard.formats.kubelet import find_flags

_KEY_LINE = r"^(?P<before>(?P<q>[\"']?){key}(?P=q)[ \t]*:[ \t]*)(?P<value>{scalar})"
_KEY_INSIDE = r"(?P<before>(?P<q>[\"']){key}(?P=q)\s*:\s*)(?P<value>{scalar})"
_SCALAR = r"\"[^\"\n]*\"|'[^'\n]*'|[^\s#\"'{\[|>][^\s#,}]*|(?=\s|$)"


def replace_flag(text: str, flag: str, value: str) -> str | None:
    """Return the text with another value at the flag's last mention, None without one."""
    found = [match for match in find_flags(text) if match["flag"].replace("_", "-") == flag]
    if not found:
        return None
    return text[: found[-1].start("value")] + value + text[found[-1].end("value") :]


def replace_key(text: str, key: str, value: str) -> Iterator[str]:
    """Yield texts of a YAML or JSON file that may be the same but for this key's value.

    One line is changed, so that comments, order and quotes stay. Only a parser can tell
    which of them is right: the caller asks one.
    """
    for pattern in (_KEY_LINE, _KEY_INSIDE):
        expression = pattern.replace("{key}", re.escape(key)).replace("{scalar}", _SCALAR)
        for match in re.finditer(expression, text, re.MULTILINE):
            before, old = match["before"], match["value"]
            quote = old[:1] if old[:1] in ("'", '"') else ""
            gap = "" if before[-1:].isspace() else " "
            new = f"{before}{gap}{quote}{value}{quote}"
            yield text[: match.start()] + new + text[match.end() :]


def add_key(text: str, key: str, value: str) -> Iterator[str]:
    """Yield texts that may be the same but for a key that is in it for the first time."""
    gap = "" if text.endswith("\n") or not text else "\n"
    end = "\r\n" if text.endswith("\r\n") else "\n"
    yield f"{text}{gap}{key}: {value}{end}"
    yield re.sub(r"\A\s*\{", lambda brace: f'{brace[0]}"{key}": "{value}", ', text)


def undo(current: str, before: str, after: str) -> str | None:
    """Return the text without the one line's change that made ``after`` of ``before``.

    None where that line is not in it any more, or more than once.
    """
    if current == after:
        return before
    old, new, lines = before.splitlines(), after.splitlines(), current.splitlines(keepends=True)
    at = next((n for n, line in enumerate(new) if n >= len(old) or line != old[n]), None)
    if at is None:
        return None
    places = [n for n, line in enumerate(lines) if line.splitlines()[0] == new[at]]
    if len(places) != 1:
        return None
    place = places[0]
    end = lines[place][len(new[at]) :]
    lines[place] = "" if len(new) > len(old) else old[at] + end
    return "".join(lines)
