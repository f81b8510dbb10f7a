"""What would have to happen for another to serve the node, for people."""

import math
from collections.abc import Iterator

from dnsguard.core.decide import blocker_reasons
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.observation import Observation
from dnsguard.core.policy import Policy
from dnsguard.core.upstreams import Pool
from dnsguard.formats.timespan import describe


def next_steps(memory: Memory, seen: Observation, policy: Policy, pool: Pool) -> tuple[str, ...]:
    """Return the ways out of the mode, each a line; all are needed where several are open."""
    return tuple(_next_step(memory, seen, policy, pool))


def _next_step(memory: Memory, seen: Observation, policy: Policy, pool: Pool) -> Iterator[str]:
    if memory.hold is not None:
        left = memory.hold.until - seen.now
        span = "" if left == math.inf else f", or by itself in {describe(left)}"
        yield f"dnsguard release ends the hold{span}"
    elif memory.serves is Serves.NODELOCAL:
        yield (
            "back to the upstream at once if NodeLocalDNS's address or its last socket goes,"
            f" and after {policy.failures} failures in a row of one thing it is asked"
        )
    else:
        yield from (f"handover: {reason}" for reason in blocker_reasons(memory, seen, policy, pool))
