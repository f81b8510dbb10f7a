"""How long NodeLocalDNS has to wait for the next handover, by how often it broke lately."""

import math
from dataclasses import dataclass

LONGEST = 300.0
"""Seconds; the hold-down is doubled up to this."""
FORGIVEN = 10
"""A break is the first one again after so many times the hold-down before it, and LONGEST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaps:
    """The breaks that ended a handover; times in seconds of CLOCK_MONOTONIC."""

    count: int = 0
    broke_at: float = 0.0
    since: float = 0.0
    """When the first of them was."""

    def hold_down_seconds(self, first: float) -> float:
        """Return the seconds from the last break to the next handover."""
        if not self.count or not first:
            return 0.0
        return min(max(LONGEST, first), first * 2.0 ** min(self.count - 1, 16))

    def record_break(self, now: float, first: float) -> "Flaps":
        """Return these with a break more."""
        is_old = now - self.broke_at > LONGEST + FORGIVEN * self.hold_down_seconds(first)
        if is_old or not self.count:
            return Flaps(count=1, broke_at=now, since=now)
        return Flaps(count=self.count + 1, broke_at=now, since=self.since)

    def describe(self) -> str:
        """Return how often and in which time, for people; the same until the next break."""
        if self.count <= 1:
            return "has just failed"
        minutes = max(1, math.ceil((self.broke_at - self.since) / 60))
        return f"has failed {self.count} times in the last {minutes} min"

    def until(self, first: float) -> float:
        """Return when the next handover may be."""
        return self.broke_at + self.hold_down_seconds(first)
