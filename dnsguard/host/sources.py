"""Where candidates come from: files that name nameservers, read and not judged."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import time

from dnsguard.core import leases, upstreams
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
    return (*configured, *_leases(paths), *_backups(paths, policy))


def _leases(paths: Paths) -> Iterator[Candidate]:
    for directory in paths.lease_directories:
        for path in _newest_first(directory, "*.leases"):
            yield from _named_by(path, Source.LEASE, leases.lease_nameservers, leases.MAX_BYTES)


def _backups(paths: Paths, policy: Policy) -> Iterator[Candidate]:
    resolv_conf = paths.resolv_conf
    found = {
        path
        for pattern in BACKUPS
        for path in _newest_first(resolv_conf.parent, resolv_conf.name + pattern)
    }
    for path in sorted(found, key=_mtime, reverse=True)[:MOST_BACKUPS]:
        read = partial(_resolv_conf_addresses, policy)
        yield from _named_by(path, Source.BACKUP, read, MAX_FILE)


def _resolv_conf_addresses(policy: Policy, content: bytes) -> tuple[IPAddress, ...]:
    named = upstreams.from_text(content, policy, source=Source.BACKUP, origin="", seen=0.0)
    return tuple(candidate.address for candidate in named)


def _named_by(
    path: Path, source: Source, read: Callable[[bytes], tuple[IPAddress, ...]], limit: int
) -> Iterator[Candidate]:
    with suppress(OSError), path.open("rb") as file:
        seen = _mtime(path)
        file.seek(max(0, path.stat().st_size - limit))
        for address in read(file.read(limit)):
            yield Candidate(address=address, source=source, origin=str(path), seen=seen)


def _newest_first(directory: Path, pattern: str) -> list[Path]:
    with suppress(OSError):
        found = (path for path in directory.glob(pattern) if path.is_file())
        return sorted(found, key=_mtime, reverse=True)
    return []


def _mtime(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
