"""What test(1) says, and patterns of ``case``: true, false, or None where it can't be told."""

import re
from collections.abc import Callable

from dnsguard.formats.dhclient.shell.tree import UNKNOWN

_PIECE = re.compile(r"\[(!?)([^]]+)\]|(.)", re.DOTALL)
"""``[abc]``, ``[!0-9]``, or a character."""


def decide_test(  # noqa: C901, PLR0911 -- a form, a case
    words: list[str], is_there: Callable[[str], bool | None]
) -> bool | None:
    """Return what ``[ WORDS ]`` says.

    :param is_there: tells whether a file is there, None where nobody knows.
    """
    for operator, of_both in (("-o", any), ("-a", all), ("||", any), ("&&", all)):
        if operator in words[1:-1]:
            at = words.index(operator, 1)
            sides = [decide_test(words[:at], is_there), decide_test(words[at + 1 :], is_there)]
            decides = of_both is any
            return decides if decides in sides else None if None in sides else not decides
    match words:
        case ["!", *rest]:
            return _negate(decide_test(rest, is_there))
        case ["-n", text]:
            return _is_some(text)
        case ["-z", text]:
            return _negate(_is_some(text))
        case ["-e" | "-f" | "-x" | "-r" | "-s" | "-w", path]:
            return is_there(path)
        case [left, "=" | "==", right]:
            return match_pattern(left, right)
        case [left, "!=", right]:
            return _negate(match_pattern(left, right))
        case [text]:
            return _is_some(text)
        case []:
            return False
    return None


def match_pattern(word: str, pattern: str) -> bool | None:
    """Tell whether a word matches a pattern (sh(1), "Shell Patterns")."""
    if pattern == "*":
        return True
    if UNKNOWN in word or UNKNOWN in pattern:
        return None
    if word == pattern:  # test(1) knows no patterns
        return True
    parts = [_translate(part) for part in pattern.split("*")]
    try:
        return re.fullmatch(".*".join(parts[:9]), word, re.DOTALL) is not None
    except re.error:  # a range that ends before it begins
        return None


def _translate(part: str) -> str:
    """Return a pattern without stars as a regular expression."""
    return "".join(
        f"[{'^' * bool(not_these)}{re.escape(these)}]".replace(r"\-", "-")
        if these
        else "."
        if one == "?"
        else re.escape(one)
        for not_these, these, one in _PIECE.findall(part)
    )


def _negate(holds: bool | None) -> bool | None:  # noqa: FBT001 -- it is the claim
    return None if holds is None else not holds


def _is_some(text: str) -> bool | None:
    bare = text.replace(UNKNOWN, "")
    return True if bare else None if UNKNOWN in text else False
