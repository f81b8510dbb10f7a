"""Two versions of a file side by side, for people."""

import difflib


def diff(before: bytes, after: bytes, from_name: str, to_name: str) -> list[str]:
    """Return a unified diff, a line each, whatever bytes the files hold."""
    old, new = (
        content.decode("utf-8", "backslashreplace").splitlines() for content in (before, after)
    )
    return list(difflib.unified_diff(old, new, from_name, to_name, lineterm=""))
