r"""The heartbeat: NodeLocalDNS is asked all the time while it is healthy, and a hang is seen at once.

    put --> heard in time --> put again                             three times a second, for ever
        \-> not heard: doubt it --> look, every 20 ms --> heard after all
                                        \-> nobody reads, nobody runs: hung

An answer tells nothing new and decides nothing, so it costs next to nothing: nobody is woken by
it, it is found by whoever comes for it a moment later. Where none is found, two things happen.
The core has the server asked as ever, with the patience that it has for one who is slow
(*doubt*). And the kernel is looked at for what became of the question (:mod:`.stall`): one
that lies unread in the queue of a server whose threads all sleep will stay there.

Over UDP that is done for the one socket that all clients use. Over TCP a server may have
stopped accepting, or reading: each second question tells, a third of those on a new connection.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from dnsguard.core.answers import NOERROR, NXDOMAIN, Answer, Outcome, Probe, ProbeKind, ProbeTarget
from dnsguard.core.policy import Policy
from dnsguard.core.probes import wording
from dnsguard.formats.address import IPAddress
from dnsguard.host.cgroups import find_cgroup, is_asleep
from dnsguard.host.probe import write_query
from dnsguard.host.queues import Queue, Queues
from dnsguard.host.standing_question import StandingConnection, StandingQuestion
from dnsguard.stall import LOOK, Look, Stall

ANSWER = 0.02
"""Seconds after which somebody comes for the answer; a healthy server needs less than one ms."""
TCP_EVERY = 2
"""A question over TCP for so many over UDP: 2 s are enough."""
DOUBT_EVERY = 1.0
"""Seconds; a server that is slow all the time is asked no more often than this for it."""
_MOST_OWNERS = 8


class Heartbeat:
    """Both heartbeats, of whoever is healthy."""

    def __init__(
        self,
        queues: Queues | None,
        on_hung: Callable[[Answer], None],
        on_doubt: Callable[[ProbeTarget], None],
    ) -> None:
        """Be ready; without ``queues`` nobody is said to hang, only doubted."""
        self._loop = asyncio.get_running_loop()
        owners = Owners()
        self._beats = [
            Beat(ProbeTarget(ProbeKind.CLUSTER, tcp), queues, owners, on_hung, on_doubt)
            for tcp in (False, True)
        ]
        self._of: tuple[IPAddress | None, Policy | None] = None, None
        self._timer: asyncio.TimerHandle | None = None

    def attend(self, address: IPAddress | None, policy: Policy) -> None:
        """Ask this server from now on; None: nobody."""
        if (address, policy) == self._of:
            return
        self.close()
        self._of = address, policy
        if address is not None:
            for beat in self._beats:
                beat.start(address, policy)
            self._timer = self._loop.call_later(0, self._ask, policy.heartbeat)

    def _ask(self, pause: float) -> None:
        """Wake the loop for both at once: that costs more than what they do."""
        wait = min(ANSWER, pause / 2)
        self._timer = self._loop.call_later(wait, self._listen, pause, pause - wait)
        for beat in self._beats:
            beat.ask()

    def _listen(self, pause: float, left: float) -> None:
        self._timer = self._loop.call_later(left, self._ask, pause)
        for beat in self._beats:
            beat.listen()

    def close(self) -> None:
        """Ask nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        for beat in self._beats:
            beat.stop()


class Owners:
    """Who could read a queue: everybody in the cgroup in which its socket was opened."""

    def __init__(self) -> None:
        self._found = dict[int, Path | None]()
        self._search: asyncio.Future[None] | None = None

    def are_asleep(self, queue: Queue) -> bool:
        """Tell whether all of them sleep; False where that can't be told, or not yet."""
        number = queue.cgroup
        if number in self._found:
            path = self._found[number]
            return path is not None and is_asleep(path)
        if number and (self._search is None or self._search.done()):
            self._search = asyncio.get_running_loop().run_in_executor(None, self._find, number)
        return False

    def _find(self, number: int) -> None:
        """In a thread: find the cgroup, once. Each restart of a container makes another one."""
        found = find_cgroup(number)
        while len(self._found) >= _MOST_OWNERS:
            del self._found[next(iter(self._found))]
        self._found[number] = found


class Beat:
    """One way of asking, and what is known of the question that is out."""

    def __init__(
        self,
        leg: ProbeTarget,
        queues: Queues | None,
        owners: Owners,
        on_hung: Callable[[Answer], None],
        on_doubt: Callable[[ProbeTarget], None],
    ) -> None:
        self._leg, self._queues, self._owners = leg, queues, owners
        self._on_hung, self._on_doubt = on_hung, on_doubt
        self._question: StandingQuestion | None = None
        self._looks: asyncio.TimerHandle | None = None
        self._is_out, self._turn = False, 0
        self._give_up_at = self._doubt_at = 0.0
        self._stall = Stall()

    def start(self, address: IPAddress, policy: Policy) -> None:
        self._address, self._policy = address, policy
        message = write_query(wording(Probe(address, self._leg), policy, ""))
        kind = StandingConnection if self._leg.tcp else StandingQuestion
        self._question = kind(address, message)
        self._is_out, self._turn = False, 0

    def stop(self) -> None:
        if self._looks is not None:
            self._looks.cancel()
            self._looks = None
        if self._question is not None:
            self._question.drop()
            self._question = None

    def ask(self) -> None:
        """Ask when it is time, unless somebody looks what became of the last question."""
        if self._question is None or self._looks is not None:
            return
        if self._turn == 0:
            self._put(self._question)
        self._turn = (self._turn + 1) % (TCP_EVERY if self._leg.tcp else 1)

    def listen(self) -> None:
        """Take the answer that has come by now, or begin to look."""
        if self._question is None or self._looks is not None or not self._is_out:
            return
        if self._has_heard(self._question):
            self._is_out = False
            return
        self._doubt()
        self._stall, self._give_up_at = Stall(), time.monotonic() + self._policy.timeout
        self._look(self._question)

    def _put(self, question: StandingQuestion) -> None:
        try:
            question.put()
            self._is_out = True
        except OSError:
            question.drop()
            self._doubt()  # who asks as ever is told why

    def _has_heard(self, question: StandingQuestion) -> bool:
        """Tell whether the question is done with: somebody reads, whatever is said."""
        try:
            code = question.hear()
        except OSError:
            question.drop()
            self._doubt()
            return True
        if code not in (None, NOERROR, NXDOMAIN):
            self._doubt()
        return code is not None

    def _look(self, question: StandingQuestion) -> None:
        """Look what has become of the question, until it is answered or nobody will."""
        self._looks = None
        queue = None if self._queues is None else question.read_queue(self._queues)
        is_asleep = queue is not None and queue.unread > 0 and self._owners.are_asleep(queue)
        if self._has_heard(question):  # meanwhile, or while this process was stopped
            self._is_out = False
            return
        now = time.monotonic()
        if now > self._give_up_at:
            question.drop()  # it may be lost: another one
            self._is_out = False
            return
        seen = Look(at=now)
        if queue is not None:
            seen = Look(at=now, socket=queue.socket, unread=queue.unread, is_asleep=is_asleep)
        self._stall = self._stall.add(seen)
        self._looks = asyncio.get_running_loop().call_later(LOOK, self._look, question)
        if queue is not None and self._stall.seconds >= self._policy.unread:
            self._stall = Stall()
            self._on_hung(self._judge(queue, now))

    def _judge(self, queue: Queue, now: float) -> Answer:
        return Answer(
            address=self._address,
            outcome=Outcome.HUNG,
            rtt=None,
            detail=f"hangs: {queue}",
            at=now,
            kind=self._leg.kind,
            tcp=self._leg.tcp,
        )

    def _doubt(self) -> None:
        """Have it asked as ever, unless that was just done."""
        now = time.monotonic()
        if now >= self._doubt_at:
            self._doubt_at = now + DOUBT_EVERY
            self._on_doubt(self._leg)
