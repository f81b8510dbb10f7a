"""One look after another: observe, decide, apply. No policy, no library, no waiting.

The same cycle runs before anything heavy is imported (``secure``), in the daemon, and
for ``plan``. Only the standard library is behind it, so that the very first look
comes 50 ms after the process starts.
"""

import errno
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dnsguard.core import hold as holds
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Answer, Query
from dnsguard.core.counters import Counters
from dnsguard.core.decide import decide
from dnsguard.core.effective import effective
from dnsguard.core.event import Event, Level, changes
from dnsguard.core.health import Health
from dnsguard.core.hold import Hold
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
)
from dnsguard.core.writers import RECENT, Trace
from dnsguard.host import hook, resolvfile, store
from dnsguard.host.files import read_bounded, read_whole
from dnsguard.host.kubelet import Lookout
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


@dataclass(frozen=True, slots=True)
class Facts:
    """What is looked up now and then, and reused by the looks between."""

    found: Found = field(default_factory=Found)
    records: tuple[Record, ...] = ()
    kubelet: Kubelet | None = None
    pod_file: bytes | None = None
    bound: frozenset[IPAddress] | None = None
    listening: frozenset[IPAddress] | None = None
    hold: Hold | None = None
    traces: tuple[Trace, ...] = ()


class Cycle:
    """The guard's working memory and the hands it has on the files."""

    def __init__(self, paths: Paths, policy: Policy, tell: Callable[[Event], None]) -> None:
        self.paths = paths
        self.facts = Facts()
        self.configure(policy)
        self._kubelet = Lookout(paths.root)
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
        self.memory = Memory(remembered=state.remembered, foreign=state.foreign)
        self.spare = Spare(paths.resolv_conf)
        self._struck = (FileSeen(), b"")
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
            store.write(self.paths.hold, holds.dump(hold))
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
        self.facts = replace(self.facts, kubelet=self._kubelet.look())
        self.configure(self._configured)

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
        ready = self.spare.remedy
        struck = self.spare.strike()
        if struck is None or ready is None:
            return False
        self.counters.repaired(time.monotonic() - self._woken)
        self._struck = (struck, ready.content)
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
        if answers:
            # An answer may hand the node over: not on what kubelet did seconds ago.
            self._look_at_kubelet()
        for _ in range(_TRIES):
            seen = replace(self.observe(), answers=answers, informed=informed)
            plan, replacement = self._turn(seen)
            answers, informed = (), ()  # each counts once
            if replacement is None or replacement.result is not Replaced.CHANGED:
                break
        return plan

    def _turn(self, seen: Observation) -> tuple[Plan, Replacement | None]:
        before, plan = self.plan, self._decide(seen)
        replacement = None
        for action in plan.actions:
            if isinstance(action, ReplaceFile):
                replacement = resolvfile.replace(self.paths.resolv_conf, action.content, seen.file)
                if before is not None and replacement.result is Replaced.DONE:
                    self._count_repair(before, plan)
                self._wrote(action.wanted, replacement, plan)
        self._news += changes(before, plan)
        return plan, replacement

    def _count_repair(self, before: Plan, plan: Plan) -> None:
        """Count the write, unless it is a handover or the way back."""
        if before.mode is plan.mode and before.hold == plan.hold:
            self.counters.repaired(time.monotonic() - self._woken)

    def _decide(self, seen: Observation) -> Plan:
        self.memory, plan = decide(self.memory, seen, self.policy)
        self.counters.turned(self.plan, plan)
        self.plan, self.seen = plan, seen
        self._later += [action for action in plan.actions if not isinstance(action, ReplaceFile)]
        self._questions += plan.questions
        self._informs += plan.informs
        return plan

    def observe(self) -> Observation:
        """Return everything there is to see now, but for what was asked."""
        file = resolvfile.observe(self.paths.resolv_conf)
        if file.content != self.memory.written:
            self.witness()  # behind the reading: what wrote it has left its traces by now
        facts = self.facts
        return Observation(
            now=time.monotonic(),
            wall=time.time(),
            file=file,
            pod_file=facts.pod_file,
            found=facts.found,
            records=facts.records,
            bound=facts.bound,
            listening=facts.listening,
            pods_read=None if facts.kubelet is None else facts.kubelet.pods_file,
            hold=facts.hold,
            traces=facts.traces,
        )

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
                self.tell(
                    Event(
                        name="state_not_written",
                        level=Level.ERROR,
                        details=(("what", action.describe()), ("error", str(error))),
                    )
                )

    def _apply(self, action: Action) -> None:
        match action:
            case ReplacePodFile():
                self._write(self.paths.pod_file, action.content)
                self.facts = replace(self.facts, pod_file=action.content)
                self.tell(Event(name="pod_file_written", details=_servers(action.wanted)))
            case KeepForeign():
                self._write(self.paths.foreign, action.content)
            case Remember():
                if self._is_state_damaged:
                    store.set_aside(self.paths.state)
                    self._is_state_damaged = False
                self._write(self.paths.state, store.dump(action.candidates))
            case EndHold():
                self.pin(None)
                self.tell(Event(name="hold_expired", details=(("hold", action.hold.describe()),)))
            case ReplaceFile():
                raise AssertionError("resolv.conf is never written late")

    def _write(self, path: Path, content: bytes) -> None:
        store.write(path, content)
        self._unsynced.add(path)

    def _wrote(self, wanted: tuple[IPAddress, ...], outcome: Replacement, plan: Plan) -> None:
        if outcome.result is Replaced.CHANGED:
            return
        path = self.paths.resolv_conf
        if outcome.result is Replaced.FAILED:
            self.counters.failed_writes += 1
            self._failed(path, outcome.error)
            return
        self.failure = None
        self._unsynced.add(path)
        details = (*_servers(wanted), ("result", outcome.result), *plan.because)
        if outcome.aside is not None:
            details = (*details, ("set_aside", str(outcome.aside)))
        level = Level.INFO if outcome.result is Replaced.DONE else Level.WARNING
        self._news.append(Event(name="resolv_conf_written", level=level, details=details))

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
        self.memory = replace(self.memory, health=Health())
        self.facts = replace(self.facts, hold=None)
        self.bind(None)
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
