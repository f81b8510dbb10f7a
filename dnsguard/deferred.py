"""What can wait until resolv.conf is safe: the file for pods, the memory on the disk, the sync."""

from collections.abc import Callable, Iterable
from pathlib import Path

from dnsguard.core.memory import Cure, Memory
from dnsguard.core.plan import (
    Action,
    CureResolved,
    EndHold,
    KeepForeign,
    Remember,
    ReplaceFile,
    ReplacePodFile,
    RestoreLink,
)
from dnsguard.host import atomic, store, trust
from dnsguard.paths import Paths
from dnsguard.reporting.events import Event, Level, list_nameservers
from dnsguard.surroundings import Surroundings


class DeferredActions:
    """Applies them, each until it is done, and keeps what is to be synced."""

    def __init__(
        self, paths: Paths, surroundings: Surroundings, emit: Callable[[Event], None]
    ) -> None:
        self._paths, self._surroundings = paths, surroundings
        self.emit = emit
        self._actions: list[Action] = []
        self._failures: dict[type[Action], str] = {}
        self._is_state_damaged = False
        self.unsynced: set[Path] = set()

    def load(self) -> Memory:
        """Return what an earlier daemon has left."""
        state = store.load(self._paths.state, self._paths.foreign)
        self._is_state_damaged = state.complaint is not None
        if state.complaint is not None:
            details = (("why", state.complaint),)
            self.emit(Event(name="state_unreadable", level=Level.WARNING, details=details))
        return Memory(
            remembered=trust.filter_believed(self._paths.root, state.remembered),
            cluster_resolvers=state.convicts,
            kubernetes=state.kubernetes,
            deleted=state.deleted,
            cure=Cure(links_bring=state.links_bring),
            foreign=state.foreign,
        )

    def add(self, actions: Iterable[Action]) -> None:
        self._actions += actions

    def apply(self) -> None:
        """Do them now. Never raises OSError: what fails is told, and tried at the next call."""
        # Of each kind the newest counts.
        actions = {type(action): action for action in self._actions}.values()
        self._actions = []
        for action in actions:
            try:
                self._apply(action)
            except OSError as error:
                self._actions.append(action)
                self._tell_failure(action, str(error))
            else:
                self._failures.pop(type(action), None)

    def _tell_failure(self, action: Action, error: str) -> None:
        """Say so, once for each reason."""
        if self._failures.get(type(action)) != error:
            self._failures[type(action)] = error
            details = (("what", action.describe()), ("error", error))
            self.emit(Event(name="state_not_written", level=Level.ERROR, details=details))

    def _apply(self, action: Action) -> None:
        match action:
            case ReplacePodFile():
                self._write(self._paths.pod_file, action.content)
                self._surroundings.set_pod_file(action.content)
                details = list_nameservers(action.wanted)
                self.emit(Event(name="pod_file_written", details=details))
            case CureResolved():
                self._cure_resolved(action)
            case KeepForeign():
                # Never more readable than the file it was read from.
                self._write(self._paths.foreign, action.content, mode=atomic.PRIVATE)
            case Remember():
                if self._is_state_damaged:
                    store.set_aside(self._paths.state)
                    self._is_state_damaged = False
                self._write(self._paths.state, store.dump(action))
            case EndHold():
                self._surroundings.set_hold(None)
                self.emit(Event(name="hold_expired", details=(("hold", action.hold.describe()),)))
            case ReplaceFile() | RestoreLink():
                raise AssertionError("resolv.conf is never written late")

    def _cure_resolved(self, action: CureResolved) -> None:
        """Write our part, or take it away; it lies in memory, so there is nothing to be synced."""
        if action.content is None:
            atomic.remove(self._paths.resolved_drop_in)
        else:
            atomic.write(self._paths.resolved_drop_in, action.content)
        details = (("told", action.told), *list_nameservers(action.wanted))
        self.emit(Event(name="resolved_told", details=details))

    def _write(self, path: Path, content: bytes, mode: int = atomic.PUBLIC) -> None:
        atomic.write(path, content, mode)
        self.unsynced.add(path)

    def take_unsynced(self) -> tuple[Path, ...]:
        """Return the files written since the last call; the caller syncs them."""
        written, self.unsynced = self.unsynced, set()
        return tuple(sorted(written))
