"""NodeLocalDNS's health: a bound address and a streak of answers.

Bound does not mean alive (node-cache binds its address before CoreDNS listens, and
SIGKILL leaves the address), and one answer does not mean it stays.
"""

from dataclasses import dataclass, replace

from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Answer, Outcome
from dnsguard.core.model import NodeLocal, Observation, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What one node-local address has shown so far."""

    address: IPAddress | None = None
    state: NodeLocal = NodeLocal.UNKNOWN
    successes: int = 0
    failures: int = 0
    rtt: float | None = None
    """Seconds that the last answer took."""
    detail: str = "not asked yet"
    asked_at: float | None = None
    waiting: bool = False
    """A question is under way."""

    @property
    def answers(self) -> bool:
        return self.state in (NodeLocal.WARMING, NodeLocal.HEALTHY)

    @property
    def is_settled(self) -> bool:
        """Whether asking often would tell nothing new."""
        return self.state is NodeLocal.HEALTHY and not self.failures


def advance(health: Health, seen: Observation, policy: Policy) -> Health:
    """Return the health after this look."""
    if seen.bound is None:
        return health
    bound = next((address for address in policy.nodelocal if address in seen.bound), None)
    if bound is None:
        names = ", ".join(str(address) for address in policy.nodelocal)
        return Health(state=NodeLocal.ABSENT, detail=f"{names} is bound to no interface")
    if bound != health.address:
        health = Health(address=bound, detail=f"{bound} is bound, not asked yet")
    for answer in seen.answers:
        if answer.address == bound:
            health = _heard(health, answer, policy)
    return health


def _heard(health: Health, answer: Answer, policy: Policy) -> Health:
    health = replace(health, waiting=False)
    if answer.outcome is Outcome.ANSWERED:
        streak = health.successes + 1
        warm = health.state is NodeLocal.HEALTHY or streak >= policy.successes
        return replace(
            health,
            state=NodeLocal.HEALTHY if warm else NodeLocal.WARMING,
            successes=streak,
            failures=0,
            rtt=answer.rtt,
            detail=f"{health.address} answers"
            + ("" if warm else f", {streak} of {policy.successes} times"),
        )
    failures = health.failures + 1
    kept = health.state is NodeLocal.HEALTHY and failures < policy.failures
    return replace(
        health,
        state=NodeLocal.HEALTHY if kept else NodeLocal.SILENT,
        successes=0,
        failures=failures,
        detail=f"{health.address} is bound but {answer.detail}",
    )
