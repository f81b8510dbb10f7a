"""Where candidates come from: files that name nameservers, read and not judged."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from time import time

from dnsguard.core import leases, resolvconf
from dnsguard.core.address import IPAddress
from dnsguard.core.model import MAX_FILE, Candidate, Policy, Source
from dnsguard.paths import Paths

BACKUPS = ("*~", "*.bak*", "*.dpkg-*", "*.pre-*", "*.orig", "*.old", "*.save", "*.dhclient-*")
"""What tools call the copies they leave beside a file."""
MOST_BACKUPS = 64
"""Newest first; Kubespray leaves several a run."""


def candidates(paths: Paths, policy: Policy) -> tuple[Candidate, ...]:
    """Return what the configuration, the leases and the backups name, in that order.

    A file that can't be read names nothing; the others still do.
    """
    now = time()
    configured = tuple(
        Candidate(address=address, source=Source.CONFIG, origin="upstream.servers", seen=now)
        for address in policy.servers
    )
    return (*configured, *_leases(paths), *_backups(paths))


def _leases(paths: Paths) -> Iterator[Candidate]:
    for directory in paths.lease_directories:
        for path in _newest_first(directory, "*.leases"):
            yield from _named_by(path, Source.LEASE, leases.lease_nameservers, leases.MAX_BYTES)


def _backups(paths: Paths) -> Iterator[Candidate]:
    resolv_conf = paths.resolv_conf
    found = {
        path
        for pattern in BACKUPS
        for path in _newest_first(resolv_conf.parent, resolv_conf.name + pattern)
    }
    for path in sorted(found, key=_mtime, reverse=True)[:MOST_BACKUPS]:
        yield from _named_by(path, Source.BACKUP, resolvconf.addresses, MAX_FILE)


def _named_by(
    path: Path, source: Source, read: Callable[[bytes], tuple[IPAddress, ...]], limit: int
) -> Iterator[Candidate]:
    with suppress(OSError):
        status = path.stat()
        version = (status.st_ino, status.st_size, status.st_mtime_ns)
        for address in _addresses_of(path, version, read, limit):
            yield Candidate(address=address, source=source, origin=str(path), seen=status.st_mtime)


@lru_cache(maxsize=256)
def _addresses_of(
    path: Path,
    _version: tuple[int, int, int],
    read: Callable[[bytes], tuple[IPAddress, ...]],
    limit: int,
) -> tuple[IPAddress, ...]:
    """Read the end of one version of a file, once: a long lease file takes a while."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - limit))
        return read(file.read(limit))


def _newest_first(directory: Path, pattern: str) -> list[Path]:
    with suppress(OSError):
        found = (path for path in directory.glob(pattern) if path.is_file())
        return sorted(found, key=_mtime, reverse=True)
    return []


def _mtime(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
