"""What would change the mode, for people."""

import math

from dnsguard.core.blocker import Blocker
from dnsguard.core.handover import PROOF, needs_only_proof
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.observation import Observation
from dnsguard.core.policy import Policy
from dnsguard.formats.timespan import describe


def next_steps(
    memory: Memory, seen: Observation, policy: Policy, blockers: tuple[Blocker, ...]
) -> tuple[str, ...]:
    """Return the ways out of the mode, each a line; all are needed where several are open."""
    if memory.hold is not None:
        left = memory.hold.until - seen.now
        span = "" if left == math.inf else f", or by itself in {describe(left)}"
        return (f"dnsguard release ends the hold{span}",)
    if memory.serves is Serves.NODELOCAL:
        why = "back to the upstream at once if NodeLocalDNS loses its address or its last socket,"
        return (
            f"{why} and once it fails {policy.failures} times in a row at one thing it is asked",
        )
    is_alone = needs_only_proof(blockers)
    told = [one for one in blockers if is_alone or one.kind not in PROOF]
    return tuple(f"handover: {one.describe()}" for one in told)
