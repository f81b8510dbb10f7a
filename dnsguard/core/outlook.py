"""What would have to happen for another to serve the node, for people."""

import math
from collections.abc import Iterator

from dnsguard.core.decide import obstacles
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import Observation, Policy
from dnsguard.core.timespan import describe
from dnsguard.core.upstreams import Pool


def outlook(memory: Memory, seen: Observation, policy: Policy, pool: Pool) -> tuple[str, ...]:
    """Return the ways out of the mode, each a line; all are needed where several are open."""
    return tuple(_outlook(memory, seen, policy, pool))


def _outlook(memory: Memory, seen: Observation, policy: Policy, pool: Pool) -> Iterator[str]:
    if memory.hold is not None:
        left = memory.hold.until - seen.now
        span = "" if left == math.inf else f", or by itself in {describe(left)}"
        yield f"dnsguard release ends the hold{span}"
    elif memory.serves is Serves.NODELOCAL:
        yield (
            "back to the upstream at once if NodeLocalDNS loses its address or its last socket,"
            f" and once it fails {policy.failures} times in a row at one thing it is asked"
        )
    else:
        yield from (f"handover: {reason}" for reason in obstacles(memory, seen, policy, pool))
