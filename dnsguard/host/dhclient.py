"""dhclient's files and its script's, as they are now; what they mean is judged elsewhere."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from dnsguard.formats.dhclient import conf, hooks, leases
from dnsguard.formats.dhclient.files import CONF, ENTER, EXIT, DhclientFiles, Hook
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.formats.dhclient.shell.lexemes import MAX_BYTES
from dnsguard.host import units
from dnsguard.host.files import read_bounded

LEASES = ("var/lib/dhcp", "var/lib/dhclient")
MOST_FILES = 64
"""Hooks of a directory, lease files: more than these are no node's."""

RUN_PARTS = re.compile(r"[a-zA-Z0-9_-]+")
"""The names that run-parts(8) takes; it goes through them in the C locale's order."""
_MOST_COPIED = 1 << 14
"""Bytes of a file that a hook names."""

_parse_conf = lru_cache(maxsize=4)(conf.parse)
_parse_leases = lru_cache(maxsize=32)(leases.parse)
"""Parsing takes longest, so each version is parsed once."""


def find_dhclient(root: Path) -> DhclientFiles:
    """Return what dhclient and dhclient-script(8) would read now. Never raises OSError."""
    content = read_bounded(locate(root, CONF), conf.MAX_BYTES + 1) or b""
    includes = _read_includes(root, content)
    changed = [_get_mtime(locate(root, path)) for path in (CONF, *includes)]
    enter, leave = tuple(_read_hooks(root, ENTER)), tuple(_read_hooks(root, EXIT))
    others = [hook for hook in (*enter, *leave) if not hook.is_ours]
    return DhclientFiles(
        conf=content,
        changed=max(changed) or None,
        includes=tuple(includes.items()),
        enter=enter,
        exit=leave,
        leases=tuple(_read_leases(root)),
        named=tuple(_read_named(root, others)),
        enabled=frozenset(_find_enabled(root, others)),
    )


def _read_includes(root: Path, content: bytes) -> dict[str, bytes]:
    """Return the included files; each may include others."""
    found: dict[str, bytes] = {}
    missing: set[str] = set()
    while True:
        named = conf.parse(content, found).includes if found else _parse_conf(content).includes
        new = [path for path in named if path not in found and path not in missing]
        if not new or len(found) + len(missing) >= conf.MOST_FILES:
            return found
        for path in new[: conf.MOST_FILES]:
            text = read_bounded(locate(root, path), conf.MAX_BYTES + 1)
            if text is None:
                missing.add(path)
            else:
                found[path] = text


def _read_hooks(root: Path, path: str) -> Iterator[Hook]:
    """Yield the scripts in the order dhclient-script sources them in.

    ``run_hook`` and ``run_hookdir``, /sbin/dhclient-script:143 and 160.
    """
    content = read_bounded(locate(root, path), MAX_BYTES)
    if content is not None:
        yield Hook(path=path, content=content)
    directory = path + ".d"
    for name in list_names(locate(root, directory)):
        content = read_bounded(locate(root, f"{directory}/{name}"), MAX_BYTES)
        if content is not None and RUN_PARTS.fullmatch(name):
            yield Hook(path=f"{directory}/{name}", content=content)


def _read_named(root: Path, found: Iterable[Hook]) -> Iterator[tuple[str, bytes | None]]:
    """Yield the files that hooks name: whether they are there, and what they would copy."""
    named = dict.fromkeys(path for hook in found for path in hooks.find_named_files(hook.content))
    for path in list(named)[:MOST_FILES]:
        content = read_bounded(locate(root, path), _MOST_COPIED)
        is_there = content is not None or exists(locate(root, path))
        yield path, (content or b"") if is_there else None


def exists(path: Path) -> bool:
    """Path.exists() raises where the sandbox has no way in (EACCES: /tmp)."""
    return os.path.exists(path)  # noqa: PTH110


def _find_enabled(root: Path, found: Iterable[Hook]) -> Iterator[str]:
    asked = dict.fromkeys(unit for hook in found for unit in hooks.find_asked_units(hook.content))
    for unit in list(asked)[:MOST_FILES]:
        name = unit if "." in unit else f"{unit}.service"
        if units.find_state(root, name) is units.State.ENABLED:
            yield name


def _read_leases(root: Path) -> Iterator[tuple[str, Lease]]:
    paths = [
        f"/{directory}/{name}"
        for directory in LEASES
        for name in list_names(root / directory)
        if name.endswith(".leases")
    ]
    for path in sorted(paths, key=lambda path: _get_mtime(locate(root, path))):
        # One byte more than is parsed: so the parser knows that the top is cut off.
        content = read_bounded(locate(root, path), leases.MAX_BYTES + 1, tail=True)
        for lease in _parse_leases(content or b""):
            yield path, lease


def list_names(directory: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(directory), key=os.fsencode)[:MOST_FILES]  # noqa: PTH208
    return []


def locate(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _get_mtime(path: Path) -> float:
    with suppress(OSError, ValueError):
        return path.stat().st_mtime
    return 0.0
