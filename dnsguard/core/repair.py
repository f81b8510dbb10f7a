"""The first step of a decision: what resolv.conf must say now, and nothing else.

What can wait until that is written is :func:`dnsguard.core.decide.follow_up`.
"""

from dataclasses import dataclass, replace

from dnsguard.core import learn, upstreams
from dnsguard.core.blocker import Blocker
from dnsguard.core.eligibility import find_exclusions, rank, update_remembered
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.handover import find_blockers, is_kept_from_pods, record_copying, switch_mode
from dnsguard.core.hold import Serves
from dnsguard.core.learn_answers import learn_answers
from dnsguard.core.memory import Memory
from dnsguard.core.observation import FileObservation, Observation
from dnsguard.core.policy import Policy
from dnsguard.core.resolved import Treatment, treat
from dnsguard.core.rewrite import Rewrite, rewrite, undo_failed_write
from dnsguard.core.upstreams import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What resolv.conf must say, and what was found out on the way."""

    file: Rewrite
    treatment: Treatment
    """What is to be done about systemd-resolved."""
    ranked: Pool
    """Whom any source names, best first, refused ones too."""
    pool: Pool
    """Those of them that can be used."""
    exclusions: Exclusions
    blockers: tuple[Blocker, ...]


def repair(memory: Memory, seen: Observation, policy: Policy) -> tuple[Memory, Repair]:
    """Decide what resolv.conf must say, from what was remembered and seen."""
    # 1. What is news: answers and addresses, somebody else's text, what dhclient was told.
    memory = learn_answers(memory, seen, policy)
    memory = learn.learn_file(memory, seen, policy.cluster)
    memory, announced = learn.learn_records(memory, seen)
    memory, restored = learn.learn_link_target(memory, seen)
    # 2. Who can be used, best first.
    exclusions = find_exclusions(memory, seen, policy)
    ranked = rank(memory, seen, policy, exclusions)
    if seen.answers or memory.written is None:
        before = memory
        memory = update_remembered(memory, seen, upstreams.usable_in_principle(ranked), exclusions)
        if memory is not before:
            # What has just proved itself ranks higher from now on, not from the next look on.
            ranked = rank(memory, seen, policy, exclusions)
    pool = upstreams.drop_deleted(upstreams.usable_in_principle(ranked))
    # 3. Who serves the node.
    memory = record_copying(memory, seen, policy)
    blockers = find_blockers(memory, seen, policy, pool, exclusions)
    memory = switch_mode(memory, seen, policy, blockers)
    # 4. systemd-resolved's list, where it is ours: a link to that stays.
    memory, treatment = treat(memory, seen, policy, pool, exclusions)
    # 5. The text, and whether now is the time.
    memory, file = rewrite(
        memory,
        seen,
        pool,
        exclusions,
        left_to=treatment.left_to,
        announced=announced if restored is None else restored,
        is_kept_from_pods=is_kept_from_pods(memory, seen, policy),
    )
    # A version that could not be read is none that was seen: it may be read at the next look.
    identity = seen.file.identity if seen.file.trouble is None else None
    return replace(memory, identity=identity), Repair(
        file=file,
        treatment=treatment,
        ranked=ranked,
        pool=pool,
        exclusions=exclusions,
        blockers=blockers,
    )


def hands_over(before: Memory, after: Memory) -> bool:
    """Tell whether this look hands the node to NodeLocalDNS."""
    return after.serves is Serves.NODELOCAL and before.serves is not Serves.NODELOCAL


def undo(
    before: Memory, memory: Memory, decision: Repair, file: FileObservation
) -> tuple[Memory, Repair]:
    """Return memory and decision after a write that failed: the file says what it said."""
    memory, left = undo_failed_write(before, memory, decision.file, file)
    return memory, replace(decision, file=left)
