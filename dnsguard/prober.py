"""Put the plan's probes to the servers, over UDP, TCP or HTTP, and hand over what came of them."""

import asyncio
import secrets
from collections.abc import Callable

from dnsguard.core.answers import Answer, Outcome, Probe, ProbeKind, combine
from dnsguard.core.policy import Policy
from dnsguard.core.probes import wording
from dnsguard.host import health_url, probe

GATHER = 0.005
"""Seconds that an answer is kept for those that were asked for with it, unless it is a failure."""


async def ask(query: Probe, policy: Policy) -> Answer:
    """Ask once and return what came of it, after ``policy.timeout`` seconds at most."""
    if query.leg.ask is ProbeKind.HTTP:
        return await health_url.ask(query.address, policy.health_url, timeout=policy.timeout)
    question = wording(query, policy, secrets.token_hex(8))
    timeout, tcp = policy.timeout, query.leg.tcp
    return combine(await probe.ask(query.address, question, timeout=timeout, tcp=tcp), question)


class Prober:
    """Probes that are under way, and answers that were not taken in yet.

    What is asked together is answered together: each time that the loop is woken, and each
    look, costs more than a question.
    """

    def __init__(self, take_in: Callable[[tuple[Answer, ...]], None]) -> None:
        self._take_in = take_in
        self._under_way = 0
        self._answers: list[Answer] = []
        self._timer: asyncio.TimerHandle | None = None

    def expect(self) -> None:
        """Count on one answer more."""
        self._under_way += 1

    async def ask(self, query: Probe, policy: Policy) -> None:
        """Ask what is expected, and hand the answer over with those that come beside it."""
        try:
            answer = await ask(query, policy)
        finally:
            self._under_way -= 1
        self._answers.append(answer)
        if answer.outcome is not Outcome.ANSWERED or not self._under_way:
            self._hand_over()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER, self._hand_over)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        answers, self._answers = tuple(self._answers), []
        self._take_in(answers)
