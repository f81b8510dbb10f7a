"""Where candidates come from: every file on the node that names nameservers.

:mod:`dnsguard.host.places` is the list of them. What a file says is not judged, only who can
have written it (:mod:`dnsguard.host.trust`); one that can't be read names nothing, and the
others still do.
"""

import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from dnsguard.core import candidates
from dnsguard.core.candidates import NotedFile
from dnsguard.core.model import Candidate, Found, Source, Stub
from dnsguard.core.observation import MAX_FILE
from dnsguard.formats import backups, resolvconf, routes
from dnsguard.formats.nameservers import NamedServersList
from dnsguard.host import trust
from dnsguard.host.files import read_bounded
from dnsguard.host.patterns import expand_all, list_names
from dnsguard.host.places import (
    COPIES,
    ELSEWHERE,
    ORIGINALS,
    PLACES,
    RESOLVCONF,
    RESOLVED,
    SourceSpec,
)
from dnsguard.host.trust import TrustedFiles
from dnsguard.paths import Paths

MOST_FILES = 64
"""Of one place, the newest."""
MOST_INCLUDES = 16

_STUBS = frozenset({ip_address("127.0.0.53"), ip_address("127.0.0.54")})
"""Where systemd-resolved answers on loopback (systemd-resolved.service(8))."""


def find_sources(paths: Paths) -> Found:
    """Return what the node's files name. Never raises OSError."""
    now = time.time()
    node = _Node(paths)
    files = [*node.read_files(), *node.read_backups()]
    leased = candidates.find_leased(files, now, frozenset(node.indexes.values()) or None)
    named = (
        *candidates.candidates(files, leased),
        *node.find_gateways(now),
    )
    return Found(
        candidates=candidates.in_order(named),
        leases=tuple(candidates.find_current(leased)),
        stubs=tuple(node.find_stubs()),
    )


class _Node:
    """One look at the files below a root."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._root = str(paths.root).rstrip("/")
        self._ours = str(paths.resolved_drop_in)
        self.indexes = _list_interfaces(self._root)
        self._known: set[tuple[Source, int, int]] = set()
        self._trusted = TrustedFiles()
        self._pods = sorted(trust.find_system_pods(paths.root))

    def read_files(self) -> Iterator[NotedFile]:
        for place in PLACES:
            yield from self._read(place, expand_all(self._root, self._fill_patterns(place)))

    def _fill_patterns(self, place: SourceSpec) -> Iterator[str]:
        for pattern in place.patterns:
            pods = self._pods if "{pod}" in pattern else [""]
            yield from (pattern.replace("{pod}", pod) for pod in pods)

    def read_backups(self) -> Iterator[NotedFile]:
        """Yield the copies of resolv.conf, each a tier, those that name nobody left out."""
        found = self._read_copies()
        for place in (RESOLVCONF, *ORIGINALS):
            found += self._read(place, expand_all(self._root, place.patterns))
        found += self._read(COPIES, self._find_variants())
        return (replace(file, tier=tier) for tier, file in enumerate(found))

    def _read_copies(self) -> list[NotedFile]:
        """Return the copies beside resolv.conf and beside what it links to, best first."""
        found: list[tuple[bool, str, NotedFile]] = []
        undated: list[str] = []
        for directory, name in self._find_homes():
            dated, others = backups.sort_by_date(backups.find_copies(name, list_names(directory)))
            undated += [f"{directory}/{one}" for one in others]
            for date, one in dated:
                for file in self._read(COPIES, [f"{directory}/{one}"]):
                    seen = min(file.seen, _parse_date(date))
                    found.append((file.notes[0].is_marked, date, replace(file, seen=seen)))
        undated += expand_all(self._root, ELSEWHERE)
        found.sort(key=lambda one: one[:2])
        return [*(file for *_, file in found), *self._read(COPIES, undated)]

    def _find_variants(self) -> list[str]:
        return [
            f"{directory}/{one}"
            for directory, name in self._find_homes()
            for one in backups.find_variants(name, list_names(directory))
        ]

    def _find_homes(self) -> Iterator[tuple[str, str]]:
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

    def find_gateways(self, now: float) -> Iterator[Candidate]:
        content = _read_kernel_file(f"{self._root}/proc/net/route")
        for interface, address in routes.find_gateways(content):
            yield Candidate(
                address=address,
                source=Source.GUESS,
                origin="default gateway",
                seen=now,
                tier=candidates.GATEWAY,
                interface=interface,
            )

    def find_stubs(self) -> Iterator[Stub]:
        path = Path(f"{self._root}/{RESOLVED}")
        content = read_bounded(path, MAX_FILE + 1)
        if content is not None:
            yield Stub(addresses=_STUBS, asks=resolvconf.read_addresses(content), origin=str(path))

    def _read(self, place: SourceSpec, paths: list[str], depth: int = 0) -> Iterator[NotedFile]:
        """Yield those of the files that say something, and what they include, newest first."""
        for path, status in self._sort_newest_first(place, paths):
            version = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            try:
                said = _parse(path, version, place)
            except OSError:
                continue
            if said.notes:
                yield NotedFile(
                    path=path if path.isprintable() else ascii(path),
                    source=place.source,
                    tier=place.tier,
                    seen=status.st_mtime,
                    interface=self._find_interface(place, path),
                    is_current=place.is_current,
                    notes=said.notes,
                )
            if said.includes and depth < MOST_INCLUDES:
                yield from self._read(place, self._find_included(path, said.includes), depth + 1)

    def _sort_newest_first(
        self, place: SourceSpec, paths: list[str]
    ) -> list[tuple[str, os.stat_result]]:
        """Return the regular files to be believed, each once, whatever its names."""
        found: list[tuple[str, os.stat_result]] = []
        for path in paths:
            try:
                status = os.stat(path)  # noqa: PTH116 -- hundreds of files every few seconds
            except (OSError, ValueError):
                continue
            if path == self._ours:
                continue  # our own writing teaches nothing
            file = (place.source, status.st_dev, status.st_ino)
            is_believed = place.is_kept or self._trusted.include(path)
            if stat.S_ISREG(status.st_mode) and is_believed and file not in self._known:
                self._known.add(file)
                found.append((path, status))
        found.sort(key=lambda one: -one[1].st_mtime_ns)
        return found[:MOST_FILES]

    def _find_included(self, path: str, includes: tuple[str, ...]) -> list[str]:
        directory = path.rpartition("/")[0].removeprefix(self._root)
        patterns = [
            os.path.normpath(one if one.startswith("/") else f"{directory}/{one}").lstrip("/")
            for one in includes[:MOST_INCLUDES]
        ]
        return expand_all(self._root, tuple(patterns))

    def _find_interface(self, place: SourceSpec, path: str) -> str | None:
        name = path.rpartition("/")[2]
        match = place.names.fullmatch(name) if place.names else None
        if match is None:
            return None
        if "with_ssid" in match.groupdict():
            return self._drop_ssid(match[1])
        return self.indexes.get(int(match[1])) if match[1].isdecimal() else match[1]

    def _drop_ssid(self, name: str) -> str:
        """Return the interface that dhcpcd has named a lease after: ``wlan0-SSID``, ``br-lan``."""
        known = [one for one in self.indexes.values() if f"{name}-".startswith(f"{one}-")]
        return max(known, key=len, default=name)


@lru_cache(maxsize=512)
def _parse(path: str, _version: tuple[int, ...], place: SourceSpec) -> NamedServersList:
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


@lru_cache(maxsize=256)
def _parse_date(date: str) -> float:
    """Return a time of this machine's zone, in seconds since the epoch."""
    with suppress(OverflowError, ValueError):
        return time.mktime(time.strptime(date, backups.DATE))
    return 0.0


def _list_interfaces(root: str) -> dict[int, str]:
    """Return the interfaces and their indexes, those of our own namespace where root is /."""
    with suppress(OSError):
        if not root:
            return dict(socket.if_nameindex())
    found = {}
    for name in list_names(f"{root}/sys/class/net"):
        index = _read_kernel_file(f"{root}/sys/class/net/{name}/ifindex").strip()
        if index.isdigit():
            found[int(index)] = name
    return found


def _read_kernel_file(path: str) -> bytes:
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
