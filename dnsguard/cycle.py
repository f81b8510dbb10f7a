"""One look after another: observe, decide, apply. No policy, no library, no waiting.

The same cycle runs before anything heavy is imported (``secure``), in the daemon, and
for ``plan``. Only the standard library is behind it, so that the very first look
comes 50 ms after the process starts.
"""

import errno
import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from dnsguard.core import hold as holds
from dnsguard.core import links
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Answer, Query
from dnsguard.core.counters import Counters
from dnsguard.core.decide import confirm, decide, forget, kept
from dnsguard.core.effective import effective
from dnsguard.core.event import Event, Level, changes
from dnsguard.core.hold import Hold, Serves
from dnsguard.core.inform import Informed
from dnsguard.core.kubelet import Kubelet
from dnsguard.core.memory import Memory
from dnsguard.core.model import (
    MAX_FILE,
    Action,
    EndHold,
    FileSeen,
    Found,
    HeldLease,
    KeepForeign,
    Observation,
    Plan,
    Policy,
    Record,
    Remember,
    ReplaceFile,
    ReplacePodFile,
    RestoreLink,
)
from dnsguard.core.pods import PodsFile
from dnsguard.core.questions import nodelocal_at, to_nodelocal
from dnsguard.core.rewrite import unwritten
from dnsguard.core.writers import RECENT, Trace
from dnsguard.host import atomic, hook, resolvfile, store, trust
from dnsguard.host.files import read_bounded, read_whole
from dnsguard.host.kubelet import Lookout
from dnsguard.host.podsfile import PodsFileReader
from dnsguard.host.resolvfile import Replaced, Replacement
from dnsguard.host.spare import Spare
from dnsguard.paths import Paths

_REMEDIES = {
    errno.EPERM: "the file is immutable: chattr -i {path}",
    errno.EACCES: "make the directory of {path} writable to root",
    errno.EROFS: "the filesystem of {path} is read-only: mount it read-write",
    errno.ENOSPC: "the disk is full: free space",
    errno.EBUSY: "{path} is mounted over: unmount it",
}
_MOST_TRACES = 64
_MOST_HOLD = 4096
"""Bytes; the longest has about 200."""
_TRIES = 3
"""Looks in a row at a file that changes under our hands."""
RETRY_FIRST, RETRY_LATEST = 0.05, 5.0
"""Seconds until a write that failed twice in a row is tried again, doubled each time."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is looked up now and then, and reused by the looks between."""

    found: Found = field(default_factory=Found)
    records: tuple[Record, ...] = ()
    kubelet: Kubelet | None = None
    kubelet_doubt: str | None = None
    """Why there may be one though none was found."""
    pod_file: bytes | None = None
    bound: frozenset[IPAddress] | None = None
    listening: frozenset[IPAddress] | None = None
    hold: Hold | None = None
    traces: tuple[Trace, ...] = ()
    is_last: bool = False
    """Whether the guard ends with the next look."""


class Cycle:
    """The guard's working memory and the hands it has on the files."""

    def __init__(self, paths: Paths, policy: Policy, tell: Callable[[Event], None]) -> None:
        self.paths = paths
        self.facts = Facts(pod_file=read_bounded(paths.pod_file, MAX_FILE))
        self.configure(policy)
        self._kubelet = Lookout(paths.root)
        self._pods = PodsFileReader(paths.root, paths.resolv_conf)
        self.plan: Plan | None = None
        self.seen: Observation | None = None
        self.failure: str | None = None
        """Why resolv.conf could not be written at the last try."""
        self._unsynced: set[Path] = set()
        self.tell = tell
        self.witness: Callable[[], None] = lambda: None
        """Notes what was touched by now; the daemon's."""
        state = store.load(paths.state, paths.foreign)
        self._is_state_damaged = state.complaint is not None
        if state.complaint is not None:
            details = (("why", state.complaint),)
            tell(Event(name="state_unreadable", level=Level.WARNING, details=details))
        self.memory = Memory(
            remembered=trust.believed(paths.root, state.remembered),
            convicts=state.convicts,
            kubernetes=state.kubernetes,
            deleted=state.deleted,
            foreign=state.foreign,
        )
        self.spare = Spare(paths.resolv_conf)
        self._struck = (FileSeen(), b"")
        self._latest = 0
        """The latest mtime that resolv.conf was seen with (nanoseconds since the epoch)."""
        self.retry_at = math.inf
        """When a write that failed is tried again (CLOCK_MONOTONIC)."""
        self._failures = 0
        self._lost: tuple[str, ...] = ()
        self._unwritten: dict[type[Action], str] = {}
        self.counters = Counters()
        self._woken = time.monotonic()
        self._later: list[Action] = []
        self._news: list[Event] = []
        self._questions: list[Query] = []
        self._informs: list[HeldLease] = []

    def configure(self, policy: Policy) -> None:
        """Take the operator's policy; what it leaves to be found is found on the node."""
        self._configured = policy
        self.policy = effective(policy, self.facts.kubelet)

    def bind(
        self,
        bound: frozenset[IPAddress] | None,
        listening: frozenset[IPAddress] | None = None,
    ) -> None:
        """Take in the node's addresses and who listens there, None where nobody can tell."""
        self.facts = replace(self.facts, bound=bound, listening=listening)

    def pin(self, hold: Hold | None) -> None:
        """Take in what an operator pins, None to release it; kept for the next daemon.

        :raises OSError: it can't be kept, and is not taken in.
        """
        if hold is None:
            self.paths.hold.unlink(missing_ok=True)
        else:
            atomic.write(self.paths.hold, holds.dump(hold))
        self.facts = replace(self.facts, hold=hold)

    def recall(self) -> None:
        """Take in what was pinned before this daemon started."""
        try:
            hold = holds.load(read_whole(self.paths.hold, _MOST_HOLD))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            why = f"{self.paths.hold}: {reason}; nothing is held"
            event = Event(name="state_unreadable", level=Level.WARNING, details=(("why", why),))
            self._news.append(event)
            return
        self.facts = replace(self.facts, hold=hold)

    def forget(self, address: IPAddress) -> None:
        """Drop a remembered server; what names it now goes on doing so."""
        self.memory = forget(self.memory, address)
        self._later.append(kept(self.memory))

    def refresh(self) -> None:
        """Look up what changes seldom: sources, kubelet, the file for kubelet."""
        # Here, not above: its parsers cost 15 ms, and what is remembered may do for a start.
        from dnsguard.host import sources

        self.facts = replace(
            self.facts,
            found=sources.look(self.paths),
            records=hook.records(self.paths.hook_records),
            pod_file=read_bounded(self.paths.pod_file, MAX_FILE),
        )
        self._look_at_kubelet()

    def read_records(self) -> None:
        """Take in what our hook has written down."""
        records = hook.records(self.paths.hook_records)
        self.facts = replace(self.facts, records=records)

    def _look_at_kubelet(self) -> None:
        found = self._kubelet.look()
        self.facts = replace(self.facts, kubelet=found, kubelet_doubt=self._kubelet.doubt())
        self.configure(self._configured)

    def search(self, seconds: float = math.inf) -> bool:
        """Search the processes for a kubelet for about so long; return whether there is more.

        Apart from the looks, which a repair may be waiting behind: there may be thousands.
        """
        if not self._kubelet.is_search_due:
            return False
        if self._kubelet.search(seconds):
            return True
        self._look_at_kubelet()
        return False

    def note(self, touched: Iterable[Path]) -> None:
        """Keep what was touched just now: it may tell who has written the file."""
        now = time.monotonic()
        kept = [trace for trace in self.facts.traces if now - trace.at <= RECENT]
        kept += [Trace(str(path), now) for path in touched]
        self.facts = replace(self.facts, traces=tuple(kept[-_MOST_TRACES:]))

    def strike(self) -> bool:
        """Put the spare in place if the file says what it is the remedy for.

        The one write that is made before it is decided: it was decided when the spare
        was made. What it means is decided by :meth:`reckon`, which has to follow.
        """
        self._woken = time.monotonic()
        struck = self.spare.strike(self._latest)
        if struck is None:
            return False
        self.counters.repaired(time.monotonic() - self._woken)
        self._struck = struck
        return True

    def reckon(self) -> None:
        """Decide what the strike means."""
        struck, repaired = self._struck
        self.witness()
        seen = replace(self.observe(), file=struck, repaired=repaired)
        before, plan = self.plan, self._decide(seen)
        self._wrote(plan.wanted, Replacement(result=Replaced.DONE), plan)
        self._news += changes(before, plan)

    def look(self, answers: tuple[Answer, ...] = (), informed: tuple[Informed, ...] = ()) -> Plan:
        """Observe, decide, and write resolv.conf if that is due.

        What else the plan holds is left to :meth:`settle`, so that nothing stands
        between a foreign write and its repair.
        """
        self.counters.heard(answers, self.policy.cluster)
        for _ in range(_TRIES):
            seen = replace(self.observe(), answers=answers, informed=informed)
            plan, result = self._turn(seen)
            answers, informed = (), ()  # each counts once
            has_just_failed = result is Replaced.FAILED and self._failures == 1
            if result is not Replaced.CHANGED and not has_just_failed:
                break
        return plan

    def hear(self, answers: tuple[Answer, ...]) -> bool:
        """Take in answers that tell nothing new; return False, and do nothing, if one may."""
        memory = confirm(self.memory, answers, self.policy)
        if memory is None:
            return False
        self.counters.heard(answers, self.policy.cluster)
        self.memory = memory
        return True

    def ask_nodelocal(self) -> None:
        """Have NodeLocalDNS asked what is due, where nothing else is."""
        health, due = to_nodelocal(self.memory.health, time.monotonic(), self.policy)
        self.memory = replace(self.memory, health=health)
        self._questions += due

    @property
    def is_at_rest(self) -> bool:
        """Tell whether a look would find what the last one has left; nothing is read for it."""
        plan, seen = self.plan, self.seen
        if plan is None or seen is None or not plan.is_settled or self._failures:
            return False
        if seen.behind is not None or seen.file.trouble is not None or seen.file.being_written:
            return False
        with suppress(OSError):
            identity = resolvfile.identity_at(self.paths.resolv_conf)
            return identity == seen.file.identity and self.look_at_pods() == seen.pods
        return False

    @property
    def ask_at(self) -> float:
        """When it comes to the next question to NodeLocalDNS (CLOCK_MONOTONIC)."""
        return nodelocal_at(self.memory.health, self.policy)

    @property
    def look_at(self) -> float:
        """When to look again, if nothing happens before (CLOCK_MONOTONIC)."""
        return self.retry_at if self.plan is None else min(self.plan.quiet_until, self.retry_at)

    def _turn(self, seen: Observation) -> tuple[Plan, Replaced | None]:
        before, known, plan = self.plan, self.memory, self._decide(seen)
        result = None
        for action in plan.actions:
            if isinstance(action, ReplaceFile | RestoreLink):
                outcome = self._write_resolv_conf(action)
                result = outcome.result
                if before is not None and result is Replaced.DONE:
                    self._count_repair(before, plan)
                self._wrote(action.wanted, outcome, plan)
                if result is Replaced.FAILED:
                    self.memory, plan = unwritten(known, self.memory, plan, seen.file)
                    self.plan = plan
        if result is not Replaced.FAILED:
            self._failures, self.retry_at = 0, math.inf
        self._news += changes(before, plan)
        return plan, result

    def _write_resolv_conf(self, action: ReplaceFile | RestoreLink) -> Replacement:
        path = self.paths.resolv_conf
        if isinstance(action, RestoreLink):
            return resolvfile.put_link(path, action.link, action.seen)
        return resolvfile.replace(path, action.content, action.seen, after=self._latest)

    def _count_repair(self, before: Plan, plan: Plan) -> None:
        """Count the write, unless it is a handover or the way back."""
        if before.mode is plan.mode and before.hold == plan.hold:
            self.counters.repaired(time.monotonic() - self._woken)

    def _decide(self, seen: Observation) -> Plan:
        memory, plan = decide(self.memory, seen, self.policy)
        if self.memory.serves is Serves.UPSTREAM and memory.serves is Serves.NODELOCAL:
            # Not on what kubelet did seconds ago.
            self._look_at_kubelet()
            pods, doubt = self.look_at_pods(), self.facts.kubelet_doubt
            seen = replace(seen, pods=pods, pods_doubt=doubt)
            memory, plan = decide(self.memory, seen, self.policy)
        self.memory = memory
        self.counters.turned(self.plan, plan)
        self.plan, self.seen = plan, seen
        at_once = ReplaceFile, RestoreLink
        self._later += [action for action in plan.actions if not isinstance(action, at_once)]
        self._questions += plan.questions
        self._informs += plan.informs
        return plan

    def observe(self) -> Observation:
        """Return everything there is to see now, but for what was asked."""
        file = resolvfile.observe(self.paths.resolv_conf)
        if file.identity is not None:
            self._latest = max(self._latest, file.identity.mtime_ns)
        if file.content != self.memory.written:
            self.witness()  # behind the reading: what wrote it has left its traces by now
        facts = self.facts
        return Observation(
            now=time.monotonic(),
            wall=time.time(),
            file=file,
            behind=self._observe_behind(file),
            pod_file=facts.pod_file,
            found=facts.found,
            records=facts.records,
            bound=facts.bound,
            listening=facts.listening,
            pods=self.look_at_pods(),
            pods_doubt=facts.kubelet_doubt,
            hold=facts.hold,
            traces=facts.traces,
            is_last=facts.is_last,
        )

    def _observe_behind(self, file: FileSeen) -> FileSeen | None:
        """Look where the link leads whose place our file has taken."""
        link = links.taken(file)
        return None if link is None else resolvfile.observe_behind(self._beside(link))

    def _beside(self, link: str) -> Path:
        return self.paths.resolv_conf.parent / link

    @property
    def managed_link(self) -> Path | None:
        """Where the link leads that belongs to resolv.conf's manager, in its place or not."""
        link = None if self.seen is None else links.owned(self.seen.file)
        return None if link is None else self._beside(link)

    def give_link_back(self) -> None:
        """Put the link back whose place our file has taken, wherever it leads: we are leaving."""
        file = resolvfile.observe(self.paths.resolv_conf)
        link = links.taken(file)
        if link is not None:
            outcome = resolvfile.put_link(self.paths.resolv_conf, link, file)
            self.failure = None if outcome.error is None else str(outcome.error)
            self._unsynced.add(self.paths.resolv_conf)

    def look_at_pods(self) -> PodsFile | None:
        """Return the file that kubelet hands to pods, as it is now."""
        kubelet = self.facts.kubelet
        if kubelet is None:
            return None
        found = self._pods.look(kubelet.pods_file)
        return found if kubelet.step is None else replace(found, remedy=kubelet.step)

    def settle(self) -> None:
        """Do and tell what could wait until resolv.conf was safe. Never raises OSError."""
        news, self._news = self._news, []
        for event in news:
            self.tell(event)
        # Of each kind the newest counts; what fails is tried again at the next look.
        actions = {type(action): action for action in self._later}.values()
        self._later = []
        for action in actions:
            try:
                self._apply(action)
            except OSError as error:
                self._later.append(action)
                self._not_applied(action, str(error))
            else:
                self._unwritten.pop(type(action), None)

    def _not_applied(self, action: Action, error: str) -> None:
        """Say so, once for each reason."""
        if self._unwritten.get(type(action)) != error:
            self._unwritten[type(action)] = error
            details = (("what", action.describe()), ("error", error))
            self.tell(Event(name="state_not_written", level=Level.ERROR, details=details))

    def _apply(self, action: Action) -> None:
        match action:
            case ReplacePodFile():
                self._write(self.paths.pod_file, action.content)
                self.facts = replace(self.facts, pod_file=action.content)
                self.tell(Event(name="pod_file_written", details=_servers(action.wanted)))
            case KeepForeign():
                # Never more readable than the file it was read from.
                self._write(self.paths.foreign, action.content, mode=atomic.PRIVATE)
            case Remember():
                if self._is_state_damaged:
                    store.set_aside(self.paths.state)
                    self._is_state_damaged = False
                self._write(self.paths.state, store.dump(action))
            case EndHold():
                self.pin(None)
                self.tell(Event(name="hold_expired", details=(("hold", action.hold.describe()),)))
            case ReplaceFile() | RestoreLink():
                raise AssertionError("resolv.conf is never written late")

    def _write(self, path: Path, content: bytes, mode: int = atomic.PUBLIC) -> None:
        atomic.write(path, content, mode)
        self._unsynced.add(path)

    def _wrote(self, wanted: tuple[IPAddress, ...], outcome: Replacement, plan: Plan) -> None:
        if outcome.result is Replaced.CHANGED:
            return
        path = self.paths.resolv_conf
        if outcome.result is Replaced.FAILED:
            self.counters.failed_writes += 1
            delay = min(RETRY_LATEST, RETRY_FIRST * 2.0 ** min(self._failures, 16))
            self._failures, self.retry_at = self._failures + 1, time.monotonic() + delay
            self._failed(path, outcome.error)
            return
        self.failure = None
        self._tell_lost(outcome.lost)
        self._unsynced.add(path)
        details = (*_servers(wanted), ("result", outcome.result), *plan.because)
        if outcome.aside is not None:
            details = (*details, ("set_aside", str(outcome.aside)))
        is_usual = outcome.result in (Replaced.DONE, Replaced.LINK_RESTORED)
        level = Level.INFO if is_usual else Level.WARNING
        self._news.append(Event(name="resolv_conf_written", level=level, details=details))

    def _tell_lost(self, lost: tuple[str, ...]) -> None:
        """Say once what the new file could not have of the old one."""
        if lost and lost != self._lost:
            self._lost = lost
            details = (("lost", ", ".join(lost)),)
            event = Event(name="attributes_not_kept", level=Level.WARNING, details=details)
            self._news.append(event)

    def _failed(self, path: Path, error: OSError | None) -> None:
        number = error.errno if error is not None and error.errno is not None else 0
        remedy = _REMEDIES.get(number, "see dnsguard(8), TROUBLE").format(path=path)
        failure = f"{path} could not be written: {error.strerror if error else ''}: {remedy}"
        if failure != self.failure:
            details = (("why", failure),)
            event = Event(name="resolv_conf_not_written", level=Level.ERROR, details=details)
            self._news.append(event)
        self.failure = failure

    def stand_down(self) -> None:
        """Leave real upstreams behind: nobody will watch NodeLocalDNS any more.

        What is held is so again for the next daemon.
        """
        self.facts = replace(self.facts, hold=None, is_last=True)
        self.look()
        self.settle()
        self.sync()
        self.spare.discard()

    def take_questions(self) -> tuple[Query, ...]:
        """Return what is to be asked since the last call."""
        questions, self._questions = self._questions, []
        return tuple(questions)

    def take_informs(self) -> tuple[HeldLease, ...]:
        """Return whose DHCP servers are to be asked since the last call."""
        informs, self._informs = self._informs, []
        return tuple(informs)

    def sweep(self) -> None:
        """Remove what a killed process has left of its writing."""
        paths = self.paths
        resolv_conf = (paths.resolv_conf, Path(os.path.realpath(paths.resolv_conf)))
        atomic.sweep((*resolv_conf, paths.state, paths.foreign, paths.pod_file, paths.hold))

    @property
    def is_unsynced(self) -> bool:
        return bool(self._unsynced)

    def take_unsynced(self) -> tuple[Path, ...]:
        """Return the files written since the last call; the caller syncs them."""
        written, self._unsynced = self._unsynced, set()
        return tuple(sorted(written))

    def sync(self) -> None:
        """Bring what was written to the disk."""
        resolvfile.sync(self.take_unsynced())


def _servers(addresses: tuple[IPAddress, ...]) -> tuple[tuple[str, str], ...]:
    return (("nameservers", " ".join(str(address) for address in addresses) or "none"),)
