"""The one diff that is shown: before an edit, of a plan and of what is restored."""

import difflib


def make_diff(before: bytes, after: bytes, from_name: str, to_name: str) -> list[str]:
    """Return a unified diff, a line each, whatever bytes the files hold."""
    old, new = (_split_lines(content) for content in (before, after))
    return list(difflib.unified_diff(old, new, from_name, to_name, lineterm=""))


def _split_lines(content: bytes) -> list[str]:
    """Return the lines that a resolver sees; a form feed begins none."""
    text = content.decode("utf-8", "backslashreplace")
    return text.removesuffix("\n").split("\n") if text else []
