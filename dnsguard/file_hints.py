"""What inotify hints at: whether resolv.conf, what it is made of, or what dhclient reads has changed."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dnsguard.host import resolvfile
from dnsguard.host.places import APPENDED, DIRECTORIES
from dnsguard.host.watch import FileEvents, Watch, places
from dnsguard.paths import Paths


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHint:
    """What is to be looked at; a hint carries no truth."""

    is_about_file: bool = False
    """resolv.conf, or a step of the way to it."""
    is_about_sources: bool = False
    """What names servers: leases, hooks, the files of network managers."""
    is_about_records: bool = False
    """What our enter hook wrote down."""
    needs_cover: bool = False
    """The paths that are to be watched may be others now."""


class FileHints:
    """Watches the paths that matter now, and sorts their events."""

    def __init__(
        self, watch: Watch, paths: Paths, record_touched: Callable[[frozenset[Path]], None]
    ) -> None:
        self._watch, self._paths, self._record_touched = watch, paths, record_touched
        self._sources = frozenset(
            (*paths.dhclient_hooks, *(paths.root / place for place in DIRECTORIES))
        )
        self._appended = frozenset(paths.root / place for place in APPENDED)
        self._names: frozenset[str] = frozenset()
        self._covered: frozenset[Path] = frozenset()
        self._collected = FileEvents()
        """What the events named, and nobody has looked into yet."""

    def fileno(self) -> int:
        return self._watch.fileno()

    def close(self) -> None:
        self._watch.close()

    @property
    def is_waiting(self) -> bool:
        """Whether there is something that nobody has looked into yet."""
        return self._collected != FileEvents()

    def collect(self) -> None:
        """Read the events that have come: they tell who may have written what a look finds."""
        new, known = self._watch.drain(), self._collected
        if new != FileEvents():
            self._record_touched(new.paths)
            self._collected = FileEvents(
                paths=known.paths | new.paths, overflowed=known.overflowed or new.overflowed
            )

    def take(self) -> FileHint:
        """Return what all that was collected hints at, once."""
        self.collect()
        events, self._collected = self._collected, FileEvents()
        if events.overflowed:
            return FileHint(
                is_about_file=True, is_about_sources=True, is_about_records=True, needs_cover=True
            )
        read = self._sources
        is_about_file = any(path.name in self._names for path in events.paths)
        is_about_sources = any(path in read or path.parent in read for path in events.paths)
        is_about_records = any(path.parent == self._paths.hook_records for path in events.paths)
        is_covered = bool(events.paths & self._covered)
        return FileHint(
            is_about_file=is_about_file,
            is_about_sources=is_about_sources,
            is_about_records=is_about_records,
            needs_cover=is_about_file or is_covered,
        )

    def cover(self, managed_link: Path | None) -> bool:
        """Watch what resolv.conf is made of now, and what dhclient will read next.

        :param managed_link: where the link leads that belongs to resolv.conf's manager.
        :returns: whether a watch is new: what happened there before gave no event.
        """
        paths, links = self._paths, () if managed_link is None else (managed_link,)
        chain = resolvfile.chain(paths.resolv_conf)
        self._names = frozenset(path.name for path in (*chain, *links))
        wanted = (
            *places(Path("/etc/resolv.conf"), root=paths.root),
            *(place for link in links for place in places(link)),
            paths.dhclient_hooks[0].parent,
            *(place for source in self._sources for place in self._find_steps(source)),
            paths.hook_records,
        )
        self._covered = frozenset(wanted)
        return self._watch.cover(wanted, self._appended)

    def _find_steps(self, directory: Path) -> tuple[Path, ...]:
        """Return the directory, and where it is missing, what to watch for its coming.

        Managers make theirs in /run when they start, which may be after the daemon's start.
        """
        if os.path.lexists(directory):
            return (directory,)
        step = directory
        while not os.path.lexists(step.parent) and step.parent != self._paths.root:
            step = step.parent
        return directory, step, step.parent

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Return the paths that can't be watched though they are there, and why."""
        return tuple(
            (str(path), os.strerror(number))
            for path, number in self._watch.unwatched
            if number not in (errno.ENOENT, errno.ENOTDIR)
        )
