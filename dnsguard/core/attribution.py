"""Who wrote resolv.conf, as far as what was left behind tells.

The kernel does not say who renamed or wrote a file (inotify(7)); programs leave headers in
it, files of telling names beside it, and dhclient writes its lease first. The strongest
sign wins, and where there is none, "unknown" is said.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dnsguard.formats.writers import DHCLIENT, DHCLIENT_DEEDS, HEADERS, NAMES_BESIDE, OURS, UNKNOWN

RECENT = 1.0
"""Seconds for which something touched counts as part of the same write."""
_Signs = tuple[tuple[str, re.Pattern[str]], ...]


@dataclass(frozen=True, slots=True)
class FileTouch:
    """A file that was touched: its path, and when (CLOCK_MONOTONIC)."""

    path: str
    at: float


@dataclass(frozen=True, slots=True)
class Writer:
    """Who it was, and how that is known."""

    name: str
    """One of formats.writers.NAMES: a label for metrics and the journal."""
    evidence: str
    """For people."""


BY_HAND = frozenset({UNKNOWN, "sed", "vim", "an editor"})
"""What a person who edits the file may be taken for."""


def attribute(content: bytes, before: bytes, traces: Sequence[FileTouch], now: float) -> Writer:
    """Return who wrote ``content`` over ``before``."""
    recent = [trace for trace in traces if now - trace.at <= RECENT]
    return next(_signs(content, before, recent, now), Writer(UNKNOWN, "it left no sign"))


def _signs(content: bytes, before: bytes, recent: list[FileTouch], now: float) -> Iterator[Writer]:
    """Yield the signs, the strongest first."""
    headers = [(name, words) for name, words in HEADERS if words in content]
    for name, trace in _find_sign(NAMES_BESIDE, recent):
        yield Writer(name, f"its file {trace.path}, {_describe_age(trace, now)}")
    for name, words in headers:
        if words not in before:
            yield Writer(name, f'its words "{words.decode()}"')
    for deed, trace in _find_sign(DHCLIENT_DEEDS, recent):
        # Its script, or one of its hooks: those leave no other name.
        yield Writer(DHCLIENT, f"{deed}, {_describe_age(trace, now)}")
    if any(ours in content for ours in OURS):
        # Whoever makes the file anew does not keep our comments.
        yield Writer(UNKNOWN, "edited: dnsguard's own comments are still in it")
    for name, words in headers:
        yield Writer(name, f'its words "{words.decode()}", which were there before')


def _find_sign(signs: _Signs, recent: list[FileTouch]) -> Iterator[tuple[str, FileTouch]]:
    return ((name, t) for name, pattern in signs for t in recent if pattern.search(t.path))


def _describe_age(trace: FileTouch, now: float) -> str:
    return f"{max(0.0, now - trace.at):.1f} s before"


@dataclass(frozen=True, slots=True)
class Trample:
    """One of them."""

    at: float
    """When it was seen; seconds since the epoch."""
    writer: Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Tramples:
    """All since the daemon started."""

    by_writer: Mapping[str, int] = field(default_factory=dict)
    """How many by each; the names are those of the writers."""
    last: Trample | None = None

    @property
    def count(self) -> int:
        return sum(self.by_writer.values())

    def add(self, trample: Trample) -> "Tramples":
        """Return these and one more."""
        name = trample.writer.name
        counts = {**self.by_writer, name: self.by_writer.get(name, 0) + 1}
        return Tramples(by_writer=counts, last=trample)
