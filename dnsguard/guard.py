"""The guard: one look after another, each in the same steps. No policy, no library, no waiting.

    observe --> repair --> write --> follow up --> apply what could wait

The same guard runs before anything heavy is imported (``secure``), in the daemon, and for
``plan``.
"""

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dnsguard.core.answers import Answer, Probe, ProbeTarget
from dnsguard.core.decide import follow_up, forget, to_remember
from dnsguard.core.learn_answers import confirm
from dnsguard.core.memory import Memory
from dnsguard.core.model import CurrentLease, NodeLocal
from dnsguard.core.observation import DhcpAnswer, FileObservation, Observation
from dnsguard.core.plan import Plan
from dnsguard.core.policy import Policy
from dnsguard.core.probes import nodelocal_at, to_nodelocal
from dnsguard.core.repair import Repair, hands_over, repair, undo
from dnsguard.deferred import DeferredActions
from dnsguard.formats.address import IPAddress
from dnsguard.host import atomic, resolvfile
from dnsguard.host.resolvfile import Replaced, Replacement
from dnsguard.paths import Paths
from dnsguard.reporting.counters import Counters
from dnsguard.reporting.events import Event, Level, describe_changes
from dnsguard.resolv_conf import ResolvConf
from dnsguard.surroundings import Surroundings

_TRIES = 3
"""Looks in a row at a file that changes under our hands."""


class Guard:
    """What is remembered from look to look, and the hands on the files."""

    def __init__(self, paths: Paths, policy: Policy, emit: Callable[[Event], None]) -> None:
        self.paths = paths
        self.file = ResolvConf(paths.resolv_conf)
        self.surroundings = Surroundings(paths)
        self.deferred = DeferredActions(paths, self.surroundings, emit)
        self.counters = Counters()
        self.memory = self.deferred.load()
        self.plan: Plan | None = None
        self.seen: Observation | None = None
        self.collect_file_events: Callable[[], None] = lambda: None
        """Notes what was touched by now; the daemon's."""
        self.configure(policy)
        self._repaired: tuple[FileObservation, bytes] | None = None
        """What was repaired before anything was decided, and into what."""
        self._woken = time.monotonic()
        self._news: list[Event] = []
        self._questions: list[Probe] = []
        self._dhcp_queries: list[CurrentLease] = []

    def configure(self, policy: Policy) -> None:
        """Take the operator's policy; what it leaves to be found is found on the node."""
        self._configured = policy
        self.policy = self.surroundings.fill(policy)

    def refresh(self) -> None:
        """Look up what changes seldom."""
        self.surroundings.refresh()
        self.configure(self._configured)

    def refresh_kubelet(self) -> None:
        """Look up only what can change without a hint."""
        self.surroundings.refresh_kubelet()
        self.configure(self._configured)

    def search(self, seconds: float = math.inf) -> bool:
        """Search the processes for a kubelet for about so long; return whether there is more."""
        is_more = self.surroundings.search(seconds)
        self.configure(self._configured)
        return is_more

    def load_hold(self) -> None:
        """Take in what was pinned before this daemon started."""
        why = self.surroundings.load_hold()
        if why is not None:
            details = (("why", why),)
            event = Event(name="state_unreadable", level=Level.WARNING, details=details)
            self._news.append(event)

    def forget(self, address: IPAddress) -> None:
        """Drop a remembered server; what names it now goes on doing so."""
        self.memory = forget(self.memory, address)
        self.deferred.add([to_remember(self.memory)])

    def observe(self) -> Observation:
        """Return everything there is to see now, but for what was asked."""
        file = self.file.observe()
        if file.content != self.memory.written:
            # Behind the reading: what wrote it has left its traces by now.
            self.collect_file_events()
        return self.surroundings.observe(file, self.file.observe_link_target(file))

    def apply_prepared(self) -> bool:
        """Repair the file at once, if it says what a repair lies ready for.

        The one write that is made before it is decided: it was decided when it was prepared.
        What it means is decided by :meth:`account_for_repair`, before anything else is.
        """
        self._woken = time.monotonic()
        repaired = self.file.apply_prepared()
        if repaired is None:
            return False
        self.counters.record_repair(time.monotonic() - self._woken)
        self._repaired = repaired
        return True

    def account_for_repair(self) -> Plan | None:
        """Decide what the repair means that :meth:`apply_prepared` has made; None for no repair."""
        if self._repaired is None:
            return None
        (poisoned, repaired), self._repaired = self._repaired, None
        self.collect_file_events()
        seen = replace(self.observe(), file=poisoned, repaired=repaired)
        memory, decision = repair(self.memory, seen, self.policy)
        return self._follow_up(memory, seen, decision, [Replacement(result=Replaced.DONE)])

    def look(self, answers: tuple[Answer, ...] = (), dhcp: tuple[DhcpAnswer, ...] = ()) -> Plan:
        """Observe, repair, and decide the rest once resolv.conf is written.

        What else the plan holds is left to :meth:`apply_deferred`, so that nothing stands
        between a foreign write and its repair.
        """
        self.account_for_repair()
        self.counters.record_answers(answers, self.policy.cluster)
        memory, outcomes = self.memory, list[Replacement]()
        for _ in range(_TRIES):
            before, seen = memory, replace(self.observe(), answers=answers, dhcp_answers=dhcp)
            memory, seen, decision = self._repair(before, seen)
            answers, dhcp = (), ()  # each counts once
            if decision.file.action is None:
                self.file.settle()
                break
            outcome = self.file.write(decision.file.action)
            outcomes.append(outcome)
            if outcome.result is Replaced.FAILED:
                self.counters.failed_writes += 1
                memory, decision = undo(before, memory, decision, seen.file)
                if self.file.failures > 1:
                    break
            elif outcome.result is not Replaced.CHANGED:
                self._count_repair(memory, outcome)
                self.file.settle()
                break
        return self._follow_up(memory, seen, decision, outcomes)

    def _repair(self, before: Memory, seen: Observation) -> tuple[Memory, Observation, Repair]:
        """Take the first step of the decision."""
        memory, decision = repair(before, seen, self.policy)
        if hands_over(before, memory):
            # Nothing but kubelet's files can stand against it now, and they may have changed.
            self.surroundings.read_kubelet()
            self.configure(self._configured)
            doubt = self.surroundings.known.kubelet_doubt
            seen = replace(seen, pods=self.surroundings.read_pods_file(), pods_doubt=doubt)
            memory, decision = repair(before, seen, self.policy)
        return memory, seen, decision

    def _count_repair(self, memory: Memory, outcome: Replacement) -> None:
        """Count a write, unless it is a handover or the way back."""
        plan = self.plan
        is_same = plan is not None and plan.mode is memory.mode and plan.hold == memory.hold
        if is_same and outcome.result is Replaced.DONE:
            self.counters.record_repair(time.monotonic() - self._woken)

    def _follow_up(
        self, memory: Memory, seen: Observation, decision: Repair, outcomes: list[Replacement]
    ) -> Plan:
        """Take the second step."""
        before = self.plan
        self.memory, plan = follow_up(self.memory, memory, seen, self.policy, decision)
        self.counters.record_plan(before, plan)
        self.plan, self.seen = plan, seen
        self.file.prepared.wanted = plan.prepared
        for outcome in outcomes:
            self._news += self.file.describe(outcome, plan)
        if any(one.result not in (Replaced.FAILED, Replaced.CHANGED) for one in outcomes):
            self.deferred.unsynced.add(self.paths.resolv_conf)
        self._news += describe_changes(before, plan)
        self.deferred.add(plan.deferred)
        self._questions += plan.questions
        self._dhcp_queries += plan.dhcp_queries
        return plan

    def apply_deferred(self) -> None:
        """Do and tell what could wait until resolv.conf was safe. Never raises OSError."""
        news, self._news = self._news, []
        for event in news:
            self.deferred.emit(event)
        self.deferred.apply()

    @property
    def managed_link(self) -> Path | None:
        """Where the link leads that belongs to resolv.conf's manager, in its place or not."""
        return None if self.seen is None else self.file.find_managed_link(self.seen.file)

    @property
    def takes_hook(self) -> bool:
        """Whether dhclient is to be kept from resolv.conf: none of its managers is told by it.

        Our hook would come in the way of resolvconf's own. systemd-resolved has none in Debian
        12, and dhclient writes over its stub's file: where its list is ours, that is prevented.
        """
        return self.managed_link is None or (self.plan is not None and self.plan.cures_resolved)

    def confirm(self, answers: tuple[Answer, ...]) -> bool:
        """Take in answers that tell nothing new; return False, and do nothing, if one may."""
        memory = confirm(self.memory, answers, self.policy, self.surroundings.known.bound)
        if memory is None:
            return False
        self.counters.record_answers(answers, self.policy.cluster)
        self.memory = memory
        return True

    def probe_nodelocal(self) -> None:
        """Have NodeLocalDNS asked what is due, where nothing else is."""
        health, due = to_nodelocal(self.memory.health, time.monotonic(), self.policy)
        self.memory = replace(self.memory, health=health)
        self._questions += due

    def doubt_nodelocal(self, leg: ProbeTarget) -> None:
        """Have NodeLocalDNS asked at once: it was slow to answer a heartbeat."""
        self.memory = replace(self.memory, health=self.memory.health.doubt(leg))
        self.probe_nodelocal()

    def is_as_left(self) -> bool:
        """Tell whether resolv.conf says what the last look has left there.

        So it does when inotify tells of our own write.
        """
        file = self.file.observe()
        is_same = file.content == self.memory.written and file.trouble is None
        is_settled = self.plan is not None and self.plan.is_settled and not self.file.failures
        return is_same and is_settled and file.is_readable and file.link is None

    @property
    def is_at_rest(self) -> bool:
        """Tell whether a look would find what the last one has left; nothing is read for it."""
        plan, seen = self.plan, self.seen
        if plan is None or seen is None or not plan.is_settled or self.file.failures:
            return False
        if seen.link_target is not None or seen.file.trouble or seen.file.being_written:
            return False
        with suppress(OSError):
            identity = resolvfile.identity_at(self.paths.resolv_conf)
            return (
                identity == seen.file.identity and self.surroundings.read_pods_file() == seen.pods
            )
        return False

    @property
    def healthy_nodelocal(self) -> IPAddress | None:
        """NodeLocalDNS's address, while it is healthy."""
        health = self.memory.health
        return health.address if health.state is NodeLocal.HEALTHY else None

    @property
    def probe_at(self) -> float:
        """When it comes to the next question to NodeLocalDNS (CLOCK_MONOTONIC)."""
        return nodelocal_at(self.memory.health, self.policy)

    @property
    def look_at(self) -> float:
        """When to look again, if nothing happens before (CLOCK_MONOTONIC)."""
        return min(math.inf if self.plan is None else self.plan.quiet_until, self.file.retry_at)

    def give_link_back(self) -> str | None:
        """Put the link back whose place our file has taken, wherever it leads: we are leaving.

        Return it where what it leads to was a dead end, and resolves for the time being.
        """
        cured = self.file.give_link_back(self.policy.cluster)
        with suppress(OSError):
            atomic.remove(self.paths.resolved_drop_in)
        self.deferred.unsynced.add(self.paths.resolv_conf)
        return cured

    def shut_down(self) -> None:
        """Leave real upstreams behind: nobody will watch NodeLocalDNS any more.

        What is held is so again for the next daemon.
        """
        self.surroundings.end()
        self.look()
        self.apply_deferred()
        self.sync()
        self.file.prepared.discard()

    def take_questions(self) -> tuple[Probe, ...]:
        """Return what is to be asked since the last call."""
        questions, self._questions = self._questions, []
        return tuple(questions)

    def take_dhcp_queries(self) -> tuple[CurrentLease, ...]:
        """Return whose DHCP servers are to be asked since the last call."""
        queries, self._dhcp_queries = self._dhcp_queries, []
        return tuple(queries)

    def sweep(self) -> None:
        """Remove what a killed process has left of its writing."""
        paths = self.paths
        resolv_conf = (paths.resolv_conf, Path(os.path.realpath(paths.resolv_conf)))
        ours = (paths.state, paths.foreign, paths.pod_file, paths.hold, paths.resolved_drop_in)
        atomic.sweep((*resolv_conf, *ours))

    def sync(self) -> None:
        """Bring what was written to the disk."""
        resolvfile.sync(self.deferred.take_unsynced())
