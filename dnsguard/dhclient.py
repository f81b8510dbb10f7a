"""dhclient under guard: the enter hook's lock, and what its files would do at the next lease."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.hazards import Hazard, judge
from dnsguard.host import dhclient
from dnsguard.host.hook import HookLock
from dnsguard.paths import Paths
from dnsguard.reporting.events import Event, Level
from dnsguard.reporting.status import DhclientStatus, HookState

if TYPE_CHECKING:
    from dnsguard.formats.dhclient.files import DhclientFiles


class Dhclient:
    """The daemon's side of dhclient."""

    def __init__(self, paths: Paths, journal: Callable[[Event], None]) -> None:
        self._paths = paths
        self._journal = journal
        self._lock: HookLock | None = None
        self._hazards: tuple[Hazard, ...] = ()
        self._judged: tuple[DhclientFiles, frozenset[IPAddress], bool] | None = None
        """What they were found in."""

    def take_lock(self, *, takes_hook: bool) -> None:
        """Have dhclient kept from resolv.conf, or not."""
        if self._lock is not None and not takes_hook:
            self._lock.close()
            self._lock = None
        elif self._lock is None and takes_hook:
            try:
                self._lock = HookLock(self._paths.hook_lock, self._paths.hook_records)
            except OSError as error:
                means = "dhclient writes resolv.conf itself; what it writes is guarded"
                details = (("error", str(error)), ("means", means))
                self._journal(Event(name="hook_unavailable", level=Level.WARNING, details=details))

    def judge(self, cluster: frozenset[IPAddress]) -> None:
        """Judge what dhclient reads at the next lease; say what is new about it, once."""
        found = dhclient.find_dhclient(self._paths.root), cluster, self._lock is not None
        if found == self._judged:
            return
        before, self._judged = self._hazards, found
        files, _, hook_is_active = found
        self._hazards = judge(files, cluster, hook_is_active=hook_is_active)
        for hazard in self._hazards:
            if hazard not in before:
                place = ("at", f"{hazard.path}:{hazard.line}")
                details = (place, ("what", hazard.what), ("why", hazard.why))
                level = Level.INFO if hazard.defused else Level.WARNING
                self._journal(Event(name="dhclient_hazard_found", level=level, details=details))
        now = {(hazard.path, hazard.what) for hazard in self._hazards}
        for hazard in before:
            if (hazard.path, hazard.what) not in now:
                gone = (("at", hazard.path), ("what", hazard.what))
                self._journal(Event(name="dhclient_hazard_gone", details=gone))

    def report(self) -> DhclientStatus:
        """Return what ``status`` says of it."""
        if not self._paths.hook.exists():
            hook = HookState.NOT_INSTALLED
        else:
            hook = HookState.AT_REST if self._lock is None else HookState.ACTIVE
        return DhclientStatus(hook=hook, hazards=self._hazards)

    def drop_lock(self) -> None:
        """Let dhclient write resolv.conf again."""
        self.take_lock(takes_hook=False)
