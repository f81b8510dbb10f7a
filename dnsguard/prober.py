"""Put the plan's probes to the servers, over UDP, TCP or HTTP, and hand over what came of them."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace

from dnsguard.core.answers import Answer, Outcome, Probe, ProbeKind, combine
from dnsguard.core.policy import Policy
from dnsguard.core.probes import wording
from dnsguard.host import health_url, probe
from dnsguard.host.queues import Queues

GATHER = 0.005
"""Seconds that an answer is kept for those that were asked for with it, unless it is a failure."""


async def ask(query: Probe, policy: Policy) -> Answer:
    """Ask once and return what came of it, after ``policy.timeout`` seconds at most."""
    if query.leg.kind is ProbeKind.HTTP:
        return await health_url.ask(query.address, policy.health_url, timeout=policy.timeout)
    question = wording(query, policy, secrets.token_hex(8))
    timeout, tcp = policy.timeout, query.leg.tcp
    return combine(await probe.ask(query.address, question, timeout=timeout, tcp=tcp), question)


class Prober:
    """Probes that are under way, and answers that were not taken in yet.

    What is asked together is answered together: each time that the loop is woken, and each
    look, costs more than a question.
    """

    def __init__(
        self, take_in: Callable[[tuple[Answer, ...]], None], queues: Queues | None
    ) -> None:
        self._take_in, self._queues = take_in, queues
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
        if answer.outcome is Outcome.TIMED_OUT and query.address in policy.nodelocal:
            answer = self._explain(answer)
        self._answers.append(answer)
        if answer.outcome is not Outcome.ANSWERED or not self._under_way:
            self._hand_over()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER, self._hand_over)

    def _explain(self, answer: Answer) -> Answer:
        """Say what is known of a question that NodeLocalDNS left without an answer."""
        if self._queues is None:
            return answer
        queue = self._queues.read(answer.address, None, tcp=answer.tcp)
        if queue is None or not queue.unread:
            return answer
        return replace(answer, detail=f"{answer.detail}: {queue}")

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        answers, self._answers = tuple(self._answers), []
        self._take_in(answers)
