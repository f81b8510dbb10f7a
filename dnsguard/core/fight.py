"""How a program that keeps rewriting the file is met: at once, then with growing delays.

Repairs up to BURST in a second cost nothing worth sparing. Beyond that two programs
are fighting, and every round wakes both: the delay doubles up to LONGEST and is
forgotten after a quiet time. It never gives up: the repair due at ``until`` is made.
"""

from dataclasses import dataclass

BURST = 20
"""Repairs within WINDOW that are made at once."""
WINDOW = 1.0
SHORTEST = 0.05
LONGEST = 5.0
QUIET = 4.0
"""The fight is over after this many times the delay without a repair, at least WINDOW."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fight:
    """The repairs lately made, and the delay they have earned (seconds)."""

    repairs: tuple[float, ...] = ()
    delay: float = 0.0
    until: float = 0.0

    def allows(self, now: float) -> bool:
        return now >= self.until

    def record_repair(self, now: float) -> "Fight":
        """Return the state after a repair at ``now``."""
        recent = tuple(at for at in self.repairs if now - at < WINDOW)
        quiet_since = self.repairs[-1] if self.repairs else now
        delay = self.delay if now - quiet_since <= max(WINDOW, QUIET * self.delay) else 0.0
        if delay or len(recent) >= BURST:
            delay = min(LONGEST, max(SHORTEST, 2 * delay))
        return Fight(repairs=(*recent, now), delay=delay, until=now + delay)
