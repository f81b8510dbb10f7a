"""The daemon: hints come in, each leads to a look; one loop, no policy.

inotify, netlink, answers, signals and a timer all end in a look of the guard's. A hint carries
no truth, so a lost one costs at most the slow re-read; and it is acted on once.

One answer is no hint: NodeLocalDNS's "all is well", once a second for years. It is taken in
(:meth:`Daemon._take_in`) and the next question asked (:meth:`Daemon._on_time`) without a look,
as long as stat(2) finds the files that a look reads as they were.
"""

import asyncio
import gc
import math
import signal
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from dnsguard import __version__, config
from dnsguard.background import Background, prepare_repair, sync
from dnsguard.control import Control
from dnsguard.core.answers import Answer, ProbeTarget
from dnsguard.core.model import CurrentLease, Mode, UpstreamState
from dnsguard.core.plan import Plan
from dnsguard.dhclient import Dhclient
from dnsguard.errors import ConfigError
from dnsguard.exporter import Destinations, Exporter
from dnsguard.file_hints import FileHints
from dnsguard.guard import Guard
from dnsguard.heartbeat import Heartbeat
from dnsguard.hints import REFRESH, open_source, tell_unavailable
from dnsguard.host import dhcp_query
from dnsguard.host.addresses import Addresses
from dnsguard.host.listeners import Listeners
from dnsguard.host.queues import Queues
from dnsguard.host.selector import PromptSelector
from dnsguard.host.watch import Watch
from dnsguard.log import Journal
from dnsguard.network_hints import Addressing, NetworkHints
from dnsguard.prober import Prober
from dnsguard.reporting.events import Event, Level, name_servers
from dnsguard.reporting.problem import Problem
from dnsguard.reporting.survey import headline
from dnsguard.requests import Requests
from dnsguard.service import Service

REREAD = 30.0
"""The same, of the files that name servers, while nothing is out of order: they are watched."""
HINTED = 1.0
"""Seconds between two readings of those at most: networkd keeps a file a link, so a file a pod."""
AWAITED = 0.05
"""The same while nobody is known to answer: NetworkManager's device file was written 20 ms after such a
reading, and kubelet had asked in vain before the second was over."""
SOON = 0.02
"""Seconds: what is due by then is done now, for each time that the loop is woken costs more."""
EARLY = REFRESH / 10
"""Seconds that the refresh comes early where there is a look anyway."""
SLICE = 0.001
"""Seconds of a search through all processes that the loop is held up for."""


class Daemon:
    """The loop's side of the guard: descriptors, timers, tasks."""

    def __init__(
        self, guard: Guard, settings: config.Config, journal: Journal, selector: PromptSelector
    ) -> None:
        self._guard = guard
        self._settings = settings
        self._journal = journal
        self._dhclient = Dhclient(guard.paths, journal)
        self._service = Service()
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        watch = open_source(Watch, journal)
        touched = guard.surroundings.record_touched
        self._files = None if watch is None else FileHints(watch, guard.paths, touched)
        if self._files is not None:
            selector.act_first(self._files.fileno(), guard.apply_prepared)
        guard.collect_file_events = self._collect_file_events
        self._is_called_for_files = False
        self._network = NetworkHints(
            open_source(Addresses, journal), open_source(Listeners, journal)
        )
        self._queues = open_source(Queues, journal)
        self._prober = Prober(self._take_in, self._queues)
        self._heartbeat = Heartbeat(self._queues, self._on_hung, self._on_doubt)
        self._timer: asyncio.TimerHandle | None = None
        self._requests = Requests(guard, self._dhclient, self._tell, self.look)
        self._exporter = Exporter(
            self._requests.families, self._on_export_failed, guard.paths.metrics
        )
        self._background = Background()
        self._refresh_at = 0.0
        self._reread_at, self._read_at = 0.0, -math.inf
        """When the files that name servers are read again, and were read last."""
        self._look_by = 0.0
        """When everything that each look reads is read again, hints or none."""
        self._pulse = min(REFRESH, self._service.watchdog_interval or REFRESH)
        self._mode: Mode | None = None
        requests = self._requests
        self._control = Control(
            guard.paths.socket, requests.answers, requests.commands, requests.complain
        )

    async def run(self) -> None:
        """Guard until SIGTERM or SIGINT."""
        self._on_signal(signal.SIGTERM, self._stopped.set)
        self._on_signal(signal.SIGINT, self._stopped.set)
        self._on_signal(signal.SIGHUP, self._reload)
        self._loop.set_exception_handler(self._on_failure)
        try:
            self._control.open()
        except OSError as error:
            self._tell("control_socket_failed", Level.ERROR, error=error, means="no status")
        self._update_dhclient_lock()
        self._serve_metrics()
        self._cover()
        for source, act in self._sources():
            self._loop.add_reader(source.fileno(), act)
        self._loop.call_soon(self.look)  # a fault in it is survived like one in any other
        await self._stopped.wait()
        self._stop()

    def _sources(self) -> tuple[tuple[FileHints | Addresses | Listeners, Callable[[], None]], ...]:
        network = self._network
        sources = (
            (self._files, self._on_files),
            (network.addresses, self._on_addresses),
            (network.listeners, self._on_listeners),
        )
        return tuple((source, act) for source, act in sources if source is not None)

    def _on_signal(self, number: int, act: Callable[[], object]) -> None:
        """Do this on the loop, even if the byte that should wake it is lost.

        CPython writes one byte to asyncio's own socket. Where the kernel has no memory for
        it (ENOBUFS) asyncio never hears of the signal; Python's own handler does.
        """
        self._loop.add_signal_handler(number, lambda: None)  # for the byte, which only wakes
        signal.signal(number, lambda *_: self._loop.call_soon_threadsafe(act))

    # --- Hints

    def _on_files(self) -> None:
        """Tell of what was repaired at once; look, if it is about anything else."""
        assert self._files is not None  # noqa: S101 -- its descriptor called
        self._is_called_for_files = True
        self._account_for_repair()
        hint = self._files.take()
        self._is_called_for_files = False
        if hint.is_about_file:
            # Between that and the events the file may have changed once more.
            self._guard.apply_prepared()
            self._account_for_repair()
        if hint.is_about_records:
            self._guard.surroundings.read_records()
        if hint.is_about_records or (hint.is_about_file and not self._guard.is_as_left()):
            self._follow_up(self._guard.look())
        if hint.is_about_sources or hint.is_about_records:
            self._reread_soon()  # the lease file says more
        if hint.needs_cover:
            self._cover()

    def _account_for_repair(self) -> None:
        plan = self._guard.account_for_repair()
        if plan is not None:
            self._follow_up(plan)

    def _collect_file_events(self) -> None:
        """Read the files' events: they tell who has written what a look has just found."""
        if self._files is not None:
            self._files.collect()
            if self._files.is_waiting and not self._is_called_for_files:
                self._is_called_for_files = True
                self._loop.call_soon(self._on_files)  # nothing else calls it for what is read

    def _on_addresses(self) -> None:
        """Look at once: NodeLocalDNS's address may be gone."""
        assert self._network.addresses is not None  # noqa: S101 -- its descriptor called
        if self._network.addresses.drain():
            self._take_addresses(self._network.list_all(self._guard.policy.nodelocal))
            self._follow_up(self._guard.look())
            # A new address, a new lease: what was unknown may stand in a file now.
            self._reread_at = 0.0
            self._loop.call_soon(self._look_at_everything)

    def _on_listeners(self) -> None:
        """Look at once: a socket on port 53 is gone, and no question need be due."""
        assert self._network.listeners is not None  # noqa: S101 -- its descriptor called
        if self._network.listeners.drain():
            self._take_addresses(self._network.list_listeners(self._guard.policy.nodelocal))
            self._follow_up(self._guard.look())

    def _take_in(self, answers: tuple[Answer, ...]) -> None:
        """Take in the answers that have come; look, if they may tell something new."""
        if self._guard.confirm(answers):
            self._plan_next()
            return
        # Nothing tells of a new listener but its answer.
        self._take_addresses(self._network.list_listeners(self._guard.policy.nodelocal))
        self._follow_up(self._guard.look(answers))

    def _on_hung(self, answer: Answer) -> None:
        """Look at once: NodeLocalDNS reads nothing any more, by the kernel's word."""
        self._take_in((answer,))

    def _on_doubt(self, leg: ProbeTarget) -> None:
        """Ask NodeLocalDNS as ever: a heartbeat was not answered in time."""
        self._guard.doubt_nodelocal(leg)
        self._plan_next()

    def _reread_soon(self) -> None:
        """Read the files that name servers again, if that was not done just now."""
        plan = self._guard.plan
        is_awaited = plan is not None and plan.upstream is not UpstreamState.VERIFIED
        pause = AWAITED if is_awaited else HINTED
        self._reread_at = self._refresh_at = max(0.0, self._read_at + pause)
        if time.monotonic() + pause / 2 >= self._refresh_at:
            self._loop.call_soon(self.look)
        else:
            self._plan_next()

    def _take_addresses(self, listed: Addressing) -> None:
        self._guard.surroundings.set_addresses(*listed)

    def _on_time(self) -> None:
        """Look, unless nothing is due but what NodeLocalDNS is asked all the time."""
        now, is_at_rest = time.monotonic(), self._guard.is_at_rest
        look_at = min(self._guard.look_at, self._look_by, self._refresh_at)
        if is_at_rest and now + SOON < look_at:
            self._guard.probe_nodelocal()
            self._plan_next()
            return
        if is_at_rest and now + REFRESH / 2 > self._refresh_at:
            self._refresh_at = 0.0  # both come every 5 s: together from now on
        self.look()

    # --- Looks

    def look(self) -> None:
        """Look at the file first, and then, when it is due, at everything."""
        is_due = time.monotonic() + EARLY >= self._refresh_at
        if not (is_due and self._guard.is_at_rest):
            self._follow_up(self._guard.look())
        if is_due:
            listed = self._network.list_all(self._guard.policy.nodelocal)
            if self._network.failure is not None:
                self._tell("addresses_not_listed", Level.ERROR, error=self._network.failure)
            self._take_addresses(listed)
            self._look_at_everything()

    def _look_at_everything(self) -> None:
        """Look up what changes seldom, and look."""
        now = time.monotonic()
        is_watched = self._files is not None and not self._files.failures
        is_read = now + EARLY < self._reread_at and is_watched and self._guard.is_at_rest
        if not is_read:
            self._read_at, self._reread_at = now, now + REREAD
        self._refresh_at = min(now + REFRESH, self._reread_at)
        self._update_dhclient_lock()
        if is_read:
            self._guard.refresh_kubelet()
        else:
            self._guard.refresh()
            self._cover()
            self._dhclient.judge(self._guard.policy.cluster)
        self._loop.call_soon(self._search)
        self._follow_up(self._guard.look())

    def _follow_up(self, plan: Plan) -> None:
        """Do what could wait until the file was safe, and plan the next look."""
        guard = self._guard
        guard.apply_deferred()
        if guard.file.prepared.is_stale:
            self._background.start(prepare_repair, partial(prepare_repair, guard.file.prepared))
        if guard.deferred.unsynced:
            self._background.start(sync, partial(sync, guard.deferred))
        for lease in guard.take_dhcp_queries():
            self._background.start(object(), partial(self._ask_dhcp_server, lease))
        self._look_by = self._loop.time() + self._pulse
        self._plan_next()
        self._announce(plan)

    def _plan_next(self) -> None:
        """Ask what is due, and plan the next look."""
        for query in self._guard.take_questions():
            # Never left out: the core counts on an answer to each question.
            self._prober.expect()
            self._background.start(object(), partial(self._prober.ask, query, self._guard.policy))
        if self._timer is not None:
            self._timer.cancel()
        guard = self._guard
        self._heartbeat.attend(guard.healthy_nodelocal, guard.policy)
        due = min(guard.probe_at, guard.look_at, self._look_by, self._refresh_at)
        self._timer = self._loop.call_at(due, self._on_time)

    def _update_dhclient_lock(self) -> None:
        """Keep dhclient from resolv.conf, unless that is a link to what dhclient tells of leases."""
        takes_hook = self._settings.takes_hook and self._guard.takes_hook
        self._dhclient.take_lock(takes_hook=takes_hook)

    def _cover(self) -> None:
        if self._files is None:
            return
        if self._files.cover(self._guard.managed_link):
            # What happened there before the watch gave no event.
            self._reread_soon()
            self._loop.call_soon(self.look)
        for path, error in self._files.failures:
            tell_unavailable(self._journal, path, error)

    def _search(self) -> None:
        """Search the processes for a kubelet; what is due meanwhile is done between slices."""
        if self._guard.search(SLICE):
            self._loop.call_soon(self._search)

    async def _ask_dhcp_server(self, lease: CurrentLease) -> None:
        answer = await dhcp_query.query(lease, timeout=dhcp_query.TIMEOUT)
        self._tell(
            "dhcp_server_asked", interface=lease.interface, lease=lease.origin, said=answer.detail
        )
        self._follow_up(self._guard.look(dhcp=(answer,)))

    def _announce(self, plan: Plan) -> None:
        """Tell systemd, Prometheus and the journal."""
        if plan.mode is not self._mode:
            self._mode = plan.mode
            self._exporter.write_soon()
        status = headline(plan, self._requests.degraded())
        if self._service.announce(status, is_settled=plan.is_settled):
            self._tell("started", version=__version__)
        if self._exporter.is_due(self._loop.time()):
            self._background.start(self._exporter, self._exporter.write)
        self._journal.flush()

    def _reload(self) -> None:
        """SIGHUP: take the new configuration, or keep the old one and say so."""
        with self._service.reloading():
            self._load_config()
            self._refresh_at = self._reread_at = 0.0
            self.look()

    def _load_config(self) -> None:
        path = self._guard.paths.config
        try:
            self._settings = config.load(path)
        except ConfigError as error:
            what = f"the configuration was not reloaded: {error.what}"
            self._requests.trouble = Problem(what, error.remedy)
            self._tell("reload_refused", Level.ERROR, why=error, means="the old one stays")
        else:
            self._requests.trouble = None
            self._guard.configure(self._settings.policy)
            self._journal.set_level(self._settings.log_level)
            self._update_dhclient_lock()
            self._serve_metrics()
            self._tell("reloaded", path=path)

    def _on_failure(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Survive what nobody foresaw: say it, and look again in a while.

        Where looks fail for good, no watchdog is fed, and systemd starts anew.
        """
        error = context.get("exception")
        trace = traceback.format_exception(error) if error else [context["message"]]
        means = f"a fault in dnsguard; looking again in {REFRESH:g} s"
        self._tell("look_failed", Level.ERROR, error="".join(trace), means=means)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(REFRESH, self.look)

    def _stop(self) -> None:
        self._service.stop()
        self._control.close()
        self._background.cancel()
        self._heartbeat.close()
        if self._queues is not None:
            self._queues.close()
        if self._timer is not None:
            self._timer.cancel()
        self._exporter.close()
        self._dhclient.drop_lock()
        self._guard.shut_down()
        self._tell("stopped", nameservers=name_servers(self._guard.plan))
        for source, _ in self._sources():
            self._loop.remove_reader(source.fileno())
        if self._files is not None:
            self._files.close()
        self._network.close()
        self._service.close()

    def _serve_metrics(self) -> None:
        directory = self._settings.textfile
        place = self._guard.paths.root / directory.lstrip("/") if directory else None
        self._exporter.configure(Destinations(directory=place, listen=self._settings.listen))

    def _on_export_failed(self, what: str, why: str) -> None:
        remedy = "see metrics.textfile and metrics.listen in dnsguard.toml(5)"
        self._tell("metrics_failed", Level.WARNING, what=what, why=why, remedy=remedy)

    def _tell(self, name: str, level: Level = Level.INFO, **details: object) -> None:
        self._journal(
            Event(
                name=name,
                level=level,
                details=tuple((key, str(value)) for key, value in details.items()),
            )
        )


def run(guard: Guard, settings: config.Config, early: list[Event]) -> None:
    """Run the daemon after the first look; ``early`` are the lines it could not write yet."""
    journal = Journal(settings.log_level)
    for event in early:
        journal(event)
    guard.deferred.emit = journal

    # What is loaded stays: a full collection over it would be a pause of 10 ms.
    gc.collect()
    gc.freeze()

    selector = PromptSelector()

    async def main() -> None:
        await Daemon(guard, settings, journal, selector).run()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(main())
    journal.close()
    guard.file.prepared.discard()  # a thread may have laid one ready after the stop
