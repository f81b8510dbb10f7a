"""dhclient's files and processes, as they are now; what they mean is judged elsewhere."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dnsguard.formats import ifupdown
from dnsguard.formats.dhclient import conf, hooks, leases, shell
from dnsguard.formats.dhclient.hazards import (
    CONF,
    ENTER,
    EXIT,
    DhclientFiles,
    Hook,
)
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.host import units
from dnsguard.host.files import read_bounded

LEASES = ("var/lib/dhcp", "var/lib/dhclient")
INTERFACES = "/etc/network/interfaces"
MOST_FILES = 64
"""Hooks of a directory, lease files, processes: more than these are no node's."""

_RUN_PARTS = re.compile(r"[a-zA-Z0-9_-]+")
"""The names that run-parts(8) takes; it goes through them in the C locale's order."""
_WITH_ARGUMENT = re.compile(
    "-([psgeD]|4o6|cf|df|lf|pf|sf)|--(dad|decline)-wait-time|--(prefix-len-hint|address-prefix-len)"
)
"""Options of dhclient(8) that take the next word along."""
_IS_IPV6 = frozenset({"-6", "-S", "-T", "-P", "-N"})
_MOST_ARGUMENTS = 1 << 14
_MOST_COPIED = 1 << 14
"""Bytes of a file that a hook names."""

_conf = lru_cache(maxsize=4)(conf.parse)
_leases = lru_cache(maxsize=32)(leases.parse)
"""Parsing takes longest, so each version is parsed once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A dhclient process, for one interface."""

    pid: int
    interface: str | None
    """None: all that it finds."""
    version: int = 4
    started: float
    """Seconds since the epoch."""
    script: str | None = None
    """What it was told to run instead of dhclient-script (``-sf``)."""


def look(root: Path) -> DhclientFiles:
    """Return what dhclient and dhclient-script(8) would read now. Never raises OSError."""
    content = read_bounded(_below(root, CONF), conf.MAX_BYTES + 1) or b""
    includes = _find_includes(root, content)
    changed = [_read_mtime(_below(root, path)) for path in (CONF, *includes)]
    enter, leave = tuple(_find_hooks(root, ENTER)), tuple(_find_hooks(root, EXIT))
    others = [hook for hook in (*enter, *leave) if not hook.is_ours]
    return DhclientFiles(
        conf=content,
        changed=max(changed) or None,
        includes=tuple(includes.items()),
        enter=enter,
        exit=leave,
        leases=tuple(_find_leases(root)),
        named=tuple(_find_named(root, others)),
        enabled=frozenset(_find_enabled(root, others)),
    )


def find_running(root: Path) -> tuple[Running, ...]:
    """Return the dhclient processes, one for each interface they serve (proc(5))."""
    found: list[Running] = []
    proc = root / "proc"
    with suppress(OSError):
        boot = re.search(
            rb"^btime ([0-9]+)$", read_bounded(proc / "stat", 1 << 20) or b"", re.MULTILINE
        )
        booted = float(boot[1]) if boot else 0.0
        for entry in proc.iterdir():
            if entry.name.isdigit() and len(found) < MOST_FILES:
                found += _find_process(entry, booted)
    return tuple(sorted(found, key=lambda one: one.pid))


def find_configured(root: Path) -> tuple[tuple[str, int], ...]:
    """Return the interfaces and versions of IP for which ifupdown starts dhclient at boot.

    A stateless one (``-S``) leaves no lease, and unless it asks for the time of the next
    refresh, no process.
    """
    programs = root / "usr/sbin"
    if _is_there(programs) and not _is_there(programs / "dhclient"):
        return ()  # trixie's ifupdown has dhcpcd instead
    directory = "/etc/network/interfaces.d"
    names = [name for name in _list_names(_below(root, directory)) if _RUN_PARTS.fullmatch(name)]
    paths = [INTERFACES, *(f"{directory}/{name}" for name in names)]
    read = [read_bounded(_below(root, path), ifupdown.MAX_BYTES) or b"" for path in paths]
    stanzas = [one for content in read for one in ifupdown.parse(content).ifaces]
    return tuple(dict.fromkeys((one.name, one.dhcp) for one in stanzas if one.dhcp is not None))


def _find_process(process: Path, booted: float) -> Iterator[Running]:
    """Yield what a process serves, if it is a dhclient that is there to stay."""
    stat = read_bounded(process / "stat", 4096) or b""
    name, _, rest = stat.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    if name != b"dhclient" or len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return
    command = read_bounded(process / "cmdline", _MOST_ARGUMENTS) or b""
    words = command.decode("utf-8", "replace").split("\0")[1:]
    started = booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    options = {word for word in words if word.startswith("-")}
    if options & {"-r", "-x"}:
        return
    for interface in _find_interfaces(words) or [None]:
        yield Running(
            pid=int(process.name),
            interface=interface,
            version=6 if options & _IS_IPV6 else 4,
            started=started,
            script=words[words.index("-sf") + 1] if "-sf" in words[:-1] else None,
        )


def _find_interfaces(words: list[str]) -> list[str | None]:
    """Return the words that are neither an option nor an option's argument."""
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if word and not word.startswith("-") and not _WITH_ARGUMENT.fullmatch(before)
    ]


def _find_includes(root: Path, content: bytes) -> dict[str, bytes]:
    """Return the included files; each may include others."""
    found: dict[str, bytes] = {}
    missing: set[str] = set()
    while True:
        named = conf.parse(content, found).includes if found else _conf(content).includes
        new = [path for path in named if path not in found and path not in missing]
        if not new or len(found) + len(missing) >= conf.MOST_FILES:
            return found
        for path in new[: conf.MOST_FILES]:
            text = read_bounded(_below(root, path), conf.MAX_BYTES + 1)
            if text is None:
                missing.add(path)
            else:
                found[path] = text


def _find_hooks(root: Path, path: str) -> Iterator[Hook]:
    """Yield the scripts in the order dhclient-script sources them in (``run_hook*``)."""
    content = read_bounded(_below(root, path), hooks.MAX_BYTES)
    if content is not None:
        yield Hook(path=path, content=content)
    directory = path + ".d"
    for name in _list_names(_below(root, directory)):
        content = read_bounded(_below(root, f"{directory}/{name}"), hooks.MAX_BYTES)
        if content is not None and _RUN_PARTS.fullmatch(name):
            yield Hook(path=f"{directory}/{name}", content=content)


def _find_named(root: Path, found: Iterable[Hook]) -> Iterator[tuple[str, bytes | None]]:
    """Yield the files that hooks name: whether they are there, and what they would copy."""
    named = dict.fromkeys(path for hook in found for path in shell.paths(hook.content))
    for path in list(named)[:MOST_FILES]:
        content = read_bounded(_below(root, path), _MOST_COPIED)
        is_there = content is not None or _is_there(_below(root, path))
        yield path, (content or b"") if is_there else None


def _is_there(path: Path) -> bool:
    """Path.exists() raises where the sandbox has no way in (EACCES: /tmp)."""
    return os.path.exists(path)  # noqa: PTH110


def _find_enabled(root: Path, found: Iterable[Hook]) -> Iterator[str]:
    asked = dict.fromkeys(unit for hook in found for unit in shell.units(hook.content))
    for unit in list(asked)[:MOST_FILES]:
        name = unit if "." in unit else f"{unit}.service"
        if units.state(root, name) is units.State.ENABLED:
            yield name


def _find_leases(root: Path) -> Iterator[tuple[str, Lease]]:
    paths = [
        f"/{directory}/{name}"
        for directory in LEASES
        for name in _list_names(root / directory)
        if name.endswith(".leases")
    ]
    for path in sorted(paths, key=lambda path: _read_mtime(_below(root, path))):
        # One byte more than is parsed: so the parser knows that the top is cut off.
        content = read_bounded(_below(root, path), leases.MAX_BYTES + 1, tail=True)
        for lease in _leases(content or b""):
            yield path, lease


def _list_names(directory: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(directory), key=os.fsencode)[:MOST_FILES]  # noqa: PTH208
    return []


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _read_mtime(path: Path) -> float:
    with suppress(OSError, ValueError):
        return path.stat().st_mtime
    return 0.0
