"""An operator's pin: who is to serve the node, until it is released or its time is up."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Serves(StrEnum):
    """Who serves the node: what stands first in resolv.conf."""

    UPSTREAM = "upstream"  # real upstreams, no cluster address
    NODELOCAL = "nodelocal"  # NodeLocalDNS first, upstreams behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One pin; times in seconds of CLOCK_MONOTONIC, so that no clock set anew moves them."""

    serves: Serves
    by: str
    """Who asked for it, for people."""
    since: float
    until: float = math.inf

    def describe(self) -> str:
        return f"held to {self.serves} by {self.by}"


def active_hold(hold: Hold | None, now: float) -> Hold | None:
    """Return the hold while its time is not up."""
    return hold if hold is not None and now < hold.until else None
