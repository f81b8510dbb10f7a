"""What a client of a listening socket is granted, and who makes room where too many come."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a client is granted."""

    end: bytes
    """What ends a question."""
    longest: int
    """Bytes of a question."""
    patience: float
    """Seconds to say and to hear everything."""
    share: int
    """Connections of one peer."""
    most: int
    """Connections of all who aren't trusted."""
    trusted: Mapping[int, int] = field(default_factory=dict)
    """The shares of peers who have nothing to do with that number."""
    rest: float = 19.0
    """What the work for clients is followed by, in times of its length."""


def find_crowder(counts: Mapping[int, int], newcomer: int, terms: Terms) -> int | None:
    """Return who makes room for one more connection of this peer, None if there is room."""
    if counts.get(newcomer, 0) >= terms.trusted.get(newcomer, terms.share):
        return newcomer
    others = {peer: count for peer, count in counts.items() if peer not in terms.trusted}
    if newcomer in terms.trusted or sum(others.values()) < terms.most:
        return None
    return max(others, key=lambda peer: others[peer])
