"""Where candidates come from: every file on the node that names nameservers.

:mod:`dnsguard.host.places` is the list of them. What a file says is not judged, only who can
have written it (:mod:`dnsguard.host.trust`); one that can't be read names nothing, and the
others still do.
"""

import os
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import ip_address
from itertools import groupby, islice
from pathlib import Path

from dnsguard.core import ranking, resolvconf
from dnsguard.core.model import MAX_FILE, Candidate, Found, Source, Stub
from dnsguard.core.ranking import NotedFile
from dnsguard.core.sources import backups, routes
from dnsguard.core.sources.notes import Notes
from dnsguard.host import trust
from dnsguard.host.files import read_bounded
from dnsguard.host.places import COPIES, ELSEWHERE, ORIGINALS, PLACES, RESOLVCONF, RESOLVED, Place
from dnsguard.host.trust import Owners
from dnsguard.paths import Paths

MOST_FILES = 64
"""Of one place, the newest."""
MOST_NAMES = 1024
"""That a pattern stands for."""
MOST_INCLUDES = 16

_STUBS = frozenset({ip_address("127.0.0.53"), ip_address("127.0.0.54")})
"""Where systemd-resolved answers on loopback (systemd-resolved.service(8))."""


def look(paths: Paths) -> Found:
    """Return what the node's files name. Never raises OSError."""
    now = time.time()
    node = _Node(paths)
    files = [*node.files(), *node.backups()]
    leased = ranking.leased(files, now, frozenset(node.indexes.values()) or None)
    named = (
        *ranking.candidates(files, leased),
        *node.gateways(now),
    )
    return Found(
        candidates=ranking.in_order(named),
        leases=tuple(ranking.held(leased)),
        stubs=tuple(node.stubs()),
    )


class _Node:
    """One look at the files below a root."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._root = str(paths.root).rstrip("/")
        self.indexes = _interfaces(self._root)
        self._known: set[tuple[Source, int, int]] = set()
        self._owners = Owners(self._root)
        self._pods = sorted(trust.system_pods(paths.root))

    def files(self) -> Iterator[NotedFile]:
        for place in PLACES:
            yield from self._read(place, _matching(self._root, self._patterns(place)))

    def _patterns(self, place: Place) -> Iterator[str]:
        for pattern in place.patterns:
            pods = self._pods if "{pod}" in pattern else [""]
            yield from (pattern.replace("{pod}", pod) for pod in pods)

    def backups(self) -> Iterator[NotedFile]:
        """Yield the copies of resolv.conf, each a tier, those that name nobody left out."""
        found = self._copies()
        for place in (RESOLVCONF, *ORIGINALS):
            found += self._read(place, _matching(self._root, place.patterns))
        found += self._read(COPIES, self._variants())
        return (replace(file, tier=tier) for tier, file in enumerate(found))

    def _copies(self) -> list[NotedFile]:
        """Return the copies beside resolv.conf and beside what it links to, best first."""
        found: list[tuple[bool, str, NotedFile]] = []
        undated: list[str] = []
        for directory, name in self._homes():
            dated, others = backups.by_date(backups.copies(name, _names(directory)))
            undated += [f"{directory}/{one}" for one in others]
            for date, one in dated:
                for file in self._read(COPIES, [f"{directory}/{one}"]):
                    seen = min(file.seen, _seconds(date))
                    found.append((file.notes[0].is_marked, date, replace(file, seen=seen)))
        undated += _matching(self._root, ELSEWHERE)
        found.sort(key=lambda one: one[:2])
        return [*(file for *_, file in found), *self._read(COPIES, undated)]

    def _variants(self) -> list[str]:
        return [
            f"{directory}/{one}"
            for directory, name in self._homes()
            for one in backups.variants(name, _names(directory))
        ]

    def _homes(self) -> Iterator[tuple[str, str]]:
        """Yield directory and name of resolv.conf, and of its target where it is a link."""
        path = self._paths.resolv_conf
        yield str(path.parent), path.name
        if path.is_symlink():
            target = os.path.realpath(path)
            root = os.path.realpath(self._root or "/").rstrip("/")
            if not target.startswith(f"{root}/"):  # an absolute link, of a tree that isn't at /
                target = root + target
            directory, _, name = target.rpartition("/")
            yield directory, name

    def gateways(self, now: float) -> Iterator[Candidate]:
        content = _fresh(f"{self._root}/proc/net/route")
        for interface, address in routes.gateways(content):
            yield Candidate(
                address=address,
                source=Source.GUESS,
                origin="default gateway",
                seen=now,
                tier=ranking.GATEWAY,
                interface=interface,
            )

    def stubs(self) -> Iterator[Stub]:
        path = Path(f"{self._root}/{RESOLVED}")
        content = read_bounded(path, MAX_FILE + 1)
        if content is not None:
            yield Stub(addresses=_STUBS, asks=resolvconf.addresses(content), origin=str(path))

    def _read(self, place: Place, paths: list[str], depth: int = 0) -> Iterator[NotedFile]:
        """Yield those of the files that say something, and what they include, newest first."""
        for path, status in self._newest_first(place, paths):
            version = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            try:
                said = _notes(path, version, place)
            except OSError:
                continue
            if said.notes:
                yield NotedFile(
                    path=path if path.isprintable() else ascii(path),
                    source=place.source,
                    tier=place.tier,
                    seen=status.st_mtime,
                    interface=self._interface(place, path),
                    notes=said.notes,
                )
            if said.includes and depth < MOST_INCLUDES:
                yield from self._read(place, self._included(path, said.includes), depth + 1)

    def _newest_first(self, place: Place, paths: list[str]) -> list[tuple[str, os.stat_result]]:
        """Return the regular files to be believed, each once, whatever its names."""
        found: list[tuple[str, os.stat_result]] = []
        for path in paths:
            try:
                status = os.stat(path)  # noqa: PTH116 -- hundreds of files every few seconds
            except (OSError, ValueError):
                continue
            file = (place.source, status.st_dev, status.st_ino)
            is_believed = place.is_kept or self._owners.is_roots(path)
            if stat.S_ISREG(status.st_mode) and is_believed and file not in self._known:
                self._known.add(file)
                found.append((path, status))
        found.sort(key=lambda one: -one[1].st_mtime_ns)
        return found[:MOST_FILES]

    def _included(self, path: str, includes: tuple[str, ...]) -> list[str]:
        directory = path.rpartition("/")[0].removeprefix(self._root)
        patterns = [
            os.path.normpath(one if one.startswith("/") else f"{directory}/{one}").lstrip("/")
            for one in includes[:MOST_INCLUDES]
        ]
        return _matching(self._root, tuple(patterns))

    def _interface(self, place: Place, path: str) -> str | None:
        name = path.rpartition("/")[2]
        match = place.names.fullmatch(name) if place.names else None
        if match is None:
            return None
        return self.indexes.get(int(match[1])) if match[1].isdecimal() else match[1]


@lru_cache(maxsize=512)
def _notes(path: str, _version: tuple[int, ...], place: Place) -> Notes:
    """Read and parse one version of a file once: a long one takes a while.

    Where its top is missing, its lines can't be numbered.

    :raises OSError: it can't be read; next time it is tried again.
    """
    content = read_bounded(Path(path), place.limit, tail=place.tail)
    if content is None:
        raise OSError(path)
    said = place.read(content)
    if not place.tail or len(content) < place.limit:
        return said
    return replace(said, notes=tuple(replace(note, line=None) for note in said.notes))


def _matching(root: str, patterns: Iterable[str]) -> list[str]:
    return [path for pattern in patterns for path in _expanded(root, pattern)]


def _expanded(root: str, pattern: str) -> list[str]:
    """Return the names that match, hidden ones left out; what has no pattern need not exist.

    glob(3) as in Python asks for each name whether it is there, which takes three times as long.
    """
    found = [root]
    for part, is_pattern in _parts(pattern):
        if is_pattern:
            matching = (
                f"{directory}/{name}"
                for directory in found
                for name in _names(directory)
                if name[0] != "." and fnmatchcase(name, part)
            )
            found = list(islice(matching, MOST_NAMES))
        else:
            found = [f"{directory}/{part}" for directory in found]
    return found


@lru_cache(maxsize=256)
def _parts(pattern: str) -> tuple[tuple[str, bool], ...]:
    """Return the parts of a path, those without a pattern joined, and which are patterns."""
    groups = groupby(pattern.split("/"), key=lambda part: bool(set(part) & set("*?[")))
    return tuple(
        (part, is_pattern)
        for is_pattern, parts in groups
        for part in (parts if is_pattern else ["/".join(parts)])
    )


def _names(directory: str) -> list[str]:
    with suppress(OSError, ValueError):  # a NUL in an include's name
        return sorted(os.listdir(directory))  # noqa: PTH208 -- new in ruff, older ones don't know
    return []


@lru_cache(maxsize=256)
def _seconds(date: str) -> float:
    """Return a time of this machine's zone, in seconds since the epoch."""
    with suppress(OverflowError, ValueError):
        return time.mktime(time.strptime(date, backups.DATE))
    return 0.0


def _interfaces(root: str) -> dict[int, str]:
    """Return the interfaces and their indexes, those of our own namespace where root is /."""
    with suppress(OSError):
        if not root:
            return dict(socket.if_nameindex())
    found = {}
    for name in _names(f"{root}/sys/class/net"):
        index = _fresh(f"{root}/sys/class/net/{name}/ifindex").strip()
        if index.isdigit():
            found[int(index)] = name
    return found


def _fresh(path: str) -> bytes:
    """Read the top of one of the kernel's files: their time says nothing of their version.

    One read(2) is enough for default routes, which stand first.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(descriptor, routes.MAX_BYTES)
        finally:
            os.close(descriptor)
    return b""
