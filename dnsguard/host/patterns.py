"""Patterns of file names, as glob(7) has them, and what they stand for."""

import os
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import groupby, islice

MOST_NAMES = 1024
"""That a pattern stands for."""
SYSTEMD = tuple(f"{one}/systemd" for one in ("etc", "run", "usr/local/lib", "usr/lib", "lib"))
"""Where systemd's programs look for files: of one name, the first (systemd.unit(5),
resolved.conf(5))."""


def expand_all(root: str, patterns: Iterable[str]) -> list[str]:
    return [path for pattern in patterns for path in _expand(root, pattern)]


def _expand(root: str, pattern: str) -> list[str]:
    """Return the names that match, hidden ones left out; what has no pattern need not exist.

    glob(3) as in Python asks for each name whether it is there, which takes three times as long.
    """
    found = [root]
    for part, is_pattern in _split_pattern(pattern):
        if is_pattern:
            matching = (
                f"{directory}/{name}"
                for directory in found
                for name in list_names(directory)
                if name[0] != "." and fnmatchcase(name, part)
            )
            found = list(islice(matching, MOST_NAMES))
        else:
            found = [f"{directory}/{part}" for directory in found]
    return found


@lru_cache(maxsize=256)
def _split_pattern(pattern: str) -> tuple[tuple[str, bool], ...]:
    """Return the parts of a path, those without a pattern joined, and which are patterns."""
    groups = groupby(pattern.split("/"), key=lambda part: bool(set(part) & set("*?[")))
    return tuple(
        (part, is_pattern)
        for is_pattern, parts in groups
        for part in (parts if is_pattern else ["/".join(parts)])
    )


def find_drop_ins(root: str, directories: Iterable[str]) -> list[str]:
    """Return the drop-ins of a file of systemd's, below the root, in the order they are read in.

    Of one name the first directory's counts (systemd.unit(5), resolved.conf(5)).
    """
    found: dict[str, str] = {}
    for directory in directories:
        for name in list_names(f"{root}/{directory.lstrip('/')}"):
            if name.endswith(".conf"):
                found.setdefault(name, f"{directory}/{name}")
    return [found[name] for name in sorted(found)]


def list_names(directory: str) -> list[str]:
    with suppress(OSError, ValueError):  # a NUL in an include's name
        return sorted(os.listdir(directory))  # noqa: PTH208 -- new in ruff, older ones don't know
    return []
