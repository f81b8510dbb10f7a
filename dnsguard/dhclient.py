"""dhclient under guard: the enter hook's lock, and what its files would do at the next lease."""

from collections.abc import Callable
from dataclasses import asdict

from dnsguard.core.address import IPAddress
from dnsguard.core.event import Event, Level
from dnsguard.core.hazards import DhclientFiles, Hazard, judge
from dnsguard.host import dhclient
from dnsguard.host.hook import Hook
from dnsguard.paths import Paths


class Dhclient:
    """The daemon's side of dhclient."""

    def __init__(self, paths: Paths, journal: Callable[[Event], None]) -> None:
        self._paths = paths
        self._journal = journal
        self._hook: Hook | None = None
        self._hazards: tuple[Hazard, ...] = ()
        self._judged: tuple[DhclientFiles, frozenset[IPAddress], bool] | None = None
        """What they were found in."""

    def hold(self, *, takes_hook: bool) -> None:
        """Have dhclient kept from resolv.conf, or not."""
        if self._hook is not None and not takes_hook:
            self._hook.close()
            self._hook = None
        elif self._hook is None and takes_hook:
            try:
                self._hook = Hook(self._paths.hook_lock, self._paths.hook_records)
            except OSError as error:
                means = "dhclient writes resolv.conf itself; what it writes is guarded"
                details = (("error", str(error)), ("means", means))
                self._journal(Event(name="hook_unavailable", level=Level.WARNING, details=details))

    def judge(self, cluster: frozenset[IPAddress]) -> None:
        """Judge what dhclient reads at the next lease; say what is new about it, once."""
        found = dhclient.look(self._paths.root), cluster, self._hook is not None
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

    def report(self) -> dict[str, object]:
        """Return what ``status`` says of it."""
        hook = "at rest" if self._hook is None else "active"
        return {
            "hook": hook if self._paths.hook.exists() else "not installed",
            "hazards": [asdict(hazard) for hazard in self._hazards],
        }

    def release(self) -> None:
        """Let dhclient write resolv.conf again."""
        self.hold(takes_hook=False)
