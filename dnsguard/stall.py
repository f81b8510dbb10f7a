"""When a server that does not answer is said to hang: a series of looks, and no clock.

A question is out, and unanswered. Each look finds what the queue holds that it is in, and
whether the server's threads all sleep. Any one of these is a sign of life, and begins the
series anew:

- the queue is empty: the question was read, and whoever has it is slow or busy;
- it has shrunk: the server reads, and has not come to ours;
- it is another socket's: a successor has taken over (SO_REUSEPORT, a rolling update);
- a thread runs, or would if it was let: it is throttled, or the node is busy.

So does a look that comes late. Then it was dnsguard that did not run, and the server may not
have either.
"""

from dataclasses import dataclass

LOOK = 0.02
"""Seconds from one look to the next; each costs some 0.1 ms."""
LATE = 3 * LOOK


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look has found."""

    at: float
    """Seconds of CLOCK_MONOTONIC."""
    socket: bytes = b""
    """Which one the question is at."""
    unread: int = 0
    """What its queue holds."""
    is_asleep: bool = False
    """Whether nobody who could read it runs, or would."""

    @property
    def is_telling(self) -> bool:
        """Whether nothing in it is a sign of life."""
        return self.unread > 0 and self.is_asleep

    def follows(self, before: "Look") -> bool:
        """Tell whether nothing has happened since the look before."""
        is_same = self.socket == before.socket and self.unread >= before.unread
        return is_same and self.at - before.at <= LATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """The looks so far that found no sign of life, one after another."""

    first: Look | None = None
    last: Look | None = None

    def add(self, look: Look) -> "Stall":
        """Return the series with one look more."""
        if not look.is_telling:
            return Stall()
        if self.first is None or self.last is None or not look.follows(self.last):
            return Stall(first=look, last=look)
        return Stall(first=self.first, last=look)

    @property
    def seconds(self) -> float:
        """How long there has been none."""
        return 0.0 if self.first is None or self.last is None else self.last.at - self.first.at
