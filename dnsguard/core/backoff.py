"""Longer and longer waits: one rule for whatever is tried again.

A program that keeps rewriting the file (:class:`RepairBackoff`), a NodeLocalDNS that keeps
breaking (:class:`FlapDamping`), a DHCP server that says nothing, a write that fails. Nothing
is given up for good: each wait has an end, and a longest length.
"""

import math
from dataclasses import dataclass


def back_off(first: float, times: int, longest: float) -> float:
    """Return ``first`` seconds, doubled so many times, ``longest`` at most."""
    return min(longest, first * 2.0 ** min(times, 32))  # 2.0 ** 1024 is an OverflowError


BURST = 20
"""Repairs within WINDOW that are made at once: they cost nothing worth sparing."""
WINDOW = 1.0
SHORTEST_DELAY = 0.05
LONGEST_DELAY = 5.0
QUIET_TIMES = 4.0
"""The fight is over after this many times the delay without a repair, at least WINDOW."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairBackoff:
    """The repairs lately made, and the delay they had earned then (seconds).

    Beyond BURST in a second two programs are fighting, and every round wakes both: the delay
    doubles and is forgotten after a quiet time. The repair that is due at ``until`` is made.
    """

    repairs: tuple[float, ...] = ()
    delay: float = 0.0
    until: float = 0.0

    def record_repair(self, now: float) -> "RepairBackoff":
        """Return the state after a repair at ``now``."""
        recent = tuple(at for at in self.repairs if now - at < WINDOW)
        delay = self.delay_at(now)
        if delay:
            delay = back_off(delay, 1, LONGEST_DELAY)
        elif len(recent) >= BURST:
            delay = SHORTEST_DELAY
        return RepairBackoff(repairs=(*recent, now), delay=delay, until=now + delay)

    def delay_at(self, now: float) -> float:
        """Return the delay that is in force; a fight is over without another repair, too."""
        quiet_since = self.repairs[-1] if self.repairs else now
        return self.delay if now - quiet_since <= max(WINDOW, QUIET_TIMES * self.delay) else 0.0


LONGEST_HOLD_DOWN = 300.0
"""Seconds; the hold-down is doubled up to this."""
FORGIVEN = 10
"""A break is the first one again after so many times the hold-down before it, and
LONGEST_HOLD_DOWN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlapDamping:
    """The breaks that ended a handover; times in seconds of CLOCK_MONOTONIC."""

    count: int = 0
    broke_at: float = 0.0
    since: float = 0.0
    """When the first of them was."""

    def hold_down_seconds(self, first: float) -> float:
        """Return the seconds from the last break to the next handover."""
        if not self.count or not first:
            return 0.0
        return back_off(first, self.count - 1, max(LONGEST_HOLD_DOWN, first))

    def record_break(self, now: float, first: float) -> "FlapDamping":
        """Return these with a break more."""
        is_old = now - self.broke_at > LONGEST_HOLD_DOWN + FORGIVEN * self.hold_down_seconds(first)
        if is_old or not self.count:
            return FlapDamping(count=1, broke_at=now, since=now)
        return FlapDamping(count=self.count + 1, broke_at=now, since=self.since)

    def describe(self) -> str:
        """Return how often and in which time, for people; the same until the next break."""
        if self.count <= 1:
            return "has just failed"
        minutes = max(1, math.ceil((self.broke_at - self.since) / 60))
        return f"has failed {self.count} times in the last {minutes} min"

    def until(self, first: float) -> float:
        """Return when the next handover may be."""
        return self.broke_at + self.hold_down_seconds(first)
