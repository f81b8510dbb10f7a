"""resolv.conf in the guard's hands: read, repaired with what lies ready, written, tried again.

No policy: what is to be written is decided in :mod:`dnsguard.core`.
"""

import errno
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dnsguard.core import links
from dnsguard.core.backoff import back_off
from dnsguard.core.observation import FileObservation
from dnsguard.core.plan import Plan, ReplaceFile, RestoreLink
from dnsguard.formats import guarded_resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.host import resolvfile
from dnsguard.host.prepared_file import PreparedFile
from dnsguard.host.resolvfile import Replaced, Replacement
from dnsguard.reporting.events import Event, Level, list_nameservers
from dnsguard.reporting.problem import Problem

RETRY_FIRST, RETRY_LATEST = 0.05, 5.0
"""Seconds until a write that failed twice in a row is tried again, doubled each time."""
_REMEDIES = {
    errno.EPERM: "the file is immutable: chattr -i {path}",
    errno.EACCES: "make the directory of {path} writable to root",
    errno.EROFS: "the filesystem of {path} is read-only: mount it read-write",
    errno.ENOSPC: "the disk is full: free space",
    errno.EBUSY: "{path} is mounted over: unmount it",
}


class ResolvConf:
    """The file, and how the writes to it have gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prepared = PreparedFile(path)
        self.failure: Problem | None = None
        """Why it could not be written at the last try."""
        self.failures = 0
        """How often in a row."""
        self.retry_at = math.inf
        """When that is tried again (CLOCK_MONOTONIC)."""
        self._latest = 0
        """The latest mtime that it was seen with (nanoseconds since the epoch)."""
        self._lost: tuple[str, ...] = ()
        self._taken: str | None = None
        """The link whose place a file of ours has taken, or had when it was last seen."""

    def observe(self) -> FileObservation:
        """Read it in one piece."""
        file = resolvfile.observe(self.path)
        if file.identity is not None:
            self._latest = max(self._latest, file.identity.mtime_ns)
        return self._recall_link(file)

    def _recall_link(self, file: FileObservation) -> FileObservation:
        """Note whose place it takes, where the manager of a link has written over our file."""
        if file.link is not None:
            self._taken = None
        if file.trouble is not None or file.link is not None:
            return file
        self._taken = links.replaced_link(file) or self._taken
        if self._taken is None or links.replaced_link(file) is not None:
            return file
        behind = resolvfile.observe_link_target(self._find_target(self._taken))
        return replace(file, place_of=self._taken) if links.is_its_managers(file, behind) else file

    def _find_target(self, link: str) -> Path:
        """Return where a link in the file's place would lead; below the root that it is of."""
        if link.startswith("/"):
            return self.path.parents[1] / link.lstrip("/")
        return self.path.parent / link

    def observe_link_target(self, file: FileObservation) -> FileObservation | None:
        """Look where the link leads whose place our file has taken."""
        link = links.replaced_link(file)
        return None if link is None else resolvfile.observe_link_target(self._find_target(link))

    def find_managed_link(self, file: FileObservation) -> Path | None:
        """Return where the link leads that belongs to its manager, in its place or not."""
        link = links.managers_link(file)
        return None if link is None else self._find_target(link)

    def apply_prepared(self) -> tuple[FileObservation, bytes] | None:
        """Repair it at once, if it says what a repair lies ready for."""
        return self.prepared.apply(self._latest)

    def write(self, action: ReplaceFile | RestoreLink) -> Replacement:
        """Do what was decided, and note when to try again what has failed."""
        if isinstance(action, RestoreLink):
            outcome = resolvfile.put_link(self.path, action.link, action.seen)
        else:
            content, seen = action.content, action.seen
            outcome = resolvfile.replace(self.path, content, seen, after=self._latest)
            self._taken = guarded_resolvconf.read_link_marker(content) or self._taken
        if outcome.result is Replaced.FAILED:
            delay = back_off(RETRY_FIRST, self.failures, RETRY_LATEST)
            self.failures, self.retry_at = self.failures + 1, time.monotonic() + delay
        return outcome

    def settle(self) -> None:
        """Take note of a look after which nothing is left to be written."""
        self.failures, self.retry_at = 0, math.inf

    def give_link_back(self, cluster: frozenset[IPAddress]) -> str | None:
        """Put the link back whose place our file has taken: we are leaving.

        Where it leads to a dead end, that gets our text first, and the node resolves until its
        manager writes it anew. Return the link, if that was done.
        """
        file = self.observe()
        link = links.replaced_link(file)
        if link is None:
            return None
        cured = self._cure_target(link, file, cluster)
        outcome = resolvfile.put_link(self.path, link, file)
        self.failure = None if outcome.error is None else Problem(str(outcome.error))
        return link if cured else None

    def _cure_target(self, link: str, file: FileObservation, cluster: frozenset[IPAddress]) -> bool:
        target = self._find_target(link)
        behind = resolvfile.observe_link_target(target)
        if not links.needs_cure(file, behind, cluster):
            return False
        content = guarded_resolvconf.drop_link_marker(file.content)
        outcome = resolvfile.replace_behind(target, content, behind)
        return outcome.result is Replaced.DONE

    def describe(self, outcome: Replacement, plan: Plan) -> Iterator[Event]:
        """Yield what is to be told of a write: what it made, what it lost, or why it failed."""
        if outcome.result is Replaced.CHANGED:
            return
        if outcome.result is Replaced.FAILED:
            yield from self._describe_failure(outcome.error)
            return
        self.failure = None
        if outcome.lost and outcome.lost != self._lost:
            self._lost = outcome.lost  # said once
            lost = ("lost", ", ".join(outcome.lost))
            yield Event(name="attributes_not_kept", level=Level.WARNING, details=(lost,))
        details = (*list_nameservers(plan.wanted), ("result", outcome.result), *plan.because)
        if outcome.aside is not None:
            details = (*details, ("set_aside", str(outcome.aside)))
        is_usual = outcome.result in (Replaced.DONE, Replaced.LINK_RESTORED)
        level = Level.INFO if is_usual else Level.WARNING
        yield Event(name="resolv_conf_written", level=level, details=details)

    def _describe_failure(self, error: OSError | None) -> Iterator[Event]:
        number = error.errno if error is not None and error.errno is not None else 0
        remedy = _REMEDIES.get(number, "see dnsguard(8), TROUBLE").format(path=self.path)
        what = f"{self.path} could not be written: {error.strerror if error else ''}"
        problem = Problem(what, remedy)
        if problem != self.failure:
            why = ("why", str(problem))
            yield Event(name="resolv_conf_not_written", level=Level.ERROR, details=(why,))
        self.failure = problem
