"""What an operation is: recorded once, and done again with one fault in it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hostile.calls import Call, Fault
from hostile.scene import Scene

SETTLE = 0.5
"""Seconds after a repair in which the rest is done: foreign text, prepared file, sync."""


@dataclass
class Outcome:
    """What came of one fault."""

    fault: Fault
    met: Call | None = None
    """The call that failed; None where the run never came to it."""
    problems: list[str] = field(default_factory=list)
    ended: int | None = None
    """The exit status, where the program ended."""
    scene: Scene | None = None
    """What it left, for the next start; None where it still runs."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A run in which nothing failed."""

    faults: list[Fault]
    scenes: list[Scene]
    """What it left."""


class Operation(Protocol):
    """One thing that dnsguard does."""

    name: str

    def record(self, at: Path) -> "Recording":
        """Return all that can go wrong in it."""

    def run(self, fault: Fault, at: Path) -> Outcome:
        """Have it go wrong."""

    def close(self) -> None:
        """End what still runs."""
