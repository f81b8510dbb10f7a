"""Tramples: foreign writes over what dnsguard wrote, by who did it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dnsguard.core.attribution import Writer


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
    """How many by each; the names are writers.NAMES."""
    last: Trample | None = None

    @property
    def count(self) -> int:
        return sum(self.by_writer.values())

    def add(self, trample: Trample) -> "Tramples":
        """Return these and one more."""
        name = trample.writer.name
        counts = {**self.by_writer, name: self.by_writer.get(name, 0) + 1}
        return Tramples(by_writer=counts, last=trample)
