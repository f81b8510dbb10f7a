"""The daemon: hints come in, each leads to a look; one loop, no policy.

inotify, netlink, answers, signals and a timer all end in :meth:`Daemon.look`. A hint
carries no truth, so a lost one costs at most the slow re-read.
"""

import asyncio
import errno
import gc
import os
import signal
import time
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dnsguard import __version__, config
from dnsguard.control import Control
from dnsguard.core.answers import Probe
from dnsguard.core.model import CurrentLease, Mode
from dnsguard.core.plan import Plan
from dnsguard.dhclient import Dhclient
from dnsguard.errors import ConfigError
from dnsguard.exporter import Destinations, Exporter
from dnsguard.guard import Guard
from dnsguard.host import dhcp_query, resolvfile
from dnsguard.host.addresses import Addresses, Unknown
from dnsguard.host.listeners import Listeners
from dnsguard.host.notify import Notifier, watchdog_interval
from dnsguard.host.watch import FileEvents, Watch, places
from dnsguard.log import Journal
from dnsguard.prober import ask
from dnsguard.reporting.events import Event, Level
from dnsguard.reporting.survey import headline
from dnsguard.requests import Requests

QUIET = 0.02
"""Seconds after a look before what was written is synced: other writes may follow."""
READY_LATEST = 3.0
"""Seconds after which systemd hears READY though the file is not settled: no upstream
is known and NodeLocalDNS can't be judged. A guard that runs beats one restarted."""
INFORM_TIMEOUT = 2.0
"""Seconds that a DHCP server has to answer; a healthy one takes milliseconds."""
REFRESH = 5.0
"""Seconds after which everything is looked up again, hints or none."""
SLICE = 0.001
"""Seconds of a search through all processes that the loop is held up for."""
_Source = TypeVar("_Source")
_NO_HINTS_REMEDY = {
    "Watch": "raise fs.inotify.max_user_watches or max_user_instances (sysctl)",
    "Addresses": "allow AF_NETLINK sockets (RestrictAddressFamilies= of the unit)",
}


class Daemon:
    """The loop's side of the guard."""

    def __init__(self, guard: Guard, settings: config.Config, journal: Journal) -> None:
        self._guard = guard
        self._settings = settings
        self._journal = journal
        self._dhclient = Dhclient(guard.paths, journal)
        self._notifier = Notifier()
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._watch = _open(Watch, journal)
        self._addresses = _open(Addresses, journal)
        self._listeners = _open(Listeners, journal)
        self._timer: asyncio.TimerHandle | None = None
        self._requests = Requests(guard, self._dhclient, self._tell, self.look)
        self._exporter = Exporter(
            self._requests.families, self._on_export_failed, guard.paths.metrics
        )
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._names: frozenset[str] = frozenset()
        self._covered: frozenset[Path] = frozenset()
        self._touched = FileEvents()
        """What the files' events named, and nobody has looked into yet."""
        guard.collect_file_events = self._collect_file_events
        self._refresh_at = 0.0
        self._is_ready = False
        self._pulse = min(REFRESH, watchdog_interval() or REFRESH)
        self._status = ""
        self._mode: Mode | None = None
        self._started = time.monotonic()
        self._control = Control(
            guard.paths.socket,
            self._requests.answers,
            self._requests.commands,
            self._requests.complain,
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
        self._watch_paths()
        if self._watch is not None:
            self._loop.add_reader(self._watch.fileno(), self._on_files)
        if self._addresses is not None:
            self._loop.add_reader(self._addresses.fileno(), self._on_addresses)
        if self._listeners is not None:
            self._loop.add_reader(self._listeners.fileno(), self._on_listeners)
        self._loop.call_soon(self.look)  # a fault in it is survived like one in any other
        await self._stopped.wait()
        self._stop()

    def _on_signal(self, number: int, act: Callable[[], object]) -> None:
        """Do this on the loop, even if the byte that should wake it is lost.

        CPython writes one byte to asyncio's own socket. Where the kernel has no memory for
        it (ENOBUFS) asyncio never hears of the signal; Python's own handler does.
        """
        self._loop.add_signal_handler(number, lambda: None)  # for the byte, which only wakes
        signal.signal(number, lambda *_: self._loop.call_soon_threadsafe(act))

    def look(self) -> None:
        """Look at the file first, and then, when it is due, at everything."""
        self._follow_up(self._guard.look())
        if time.monotonic() >= self._refresh_at:
            self._refresh()
            self._follow_up(self._guard.look())

    def _follow_up(self, plan: Plan) -> None:
        """Do what could wait until the file was safe, and plan the next look."""
        self._guard.apply_deferred()
        if plan.prepared != self._guard.prepared.repair:
            self._start("spare", self._prepare_repair)
        if self._guard.is_unsynced:
            self._start("sync", self._sync)
        for query in self._guard.take_questions():
            # Never left out: the core counts on an answer to each question.
            self._start(object(), partial(self._ask, query))
        for lease in self._guard.take_informs():
            self._start(object(), partial(self._ask_dhcp_server, lease))
        if self._timer is not None:
            self._timer.cancel()
        latest = self._loop.time() + self._pulse
        due = min(plan.look_at, self._guard.retry_at, latest)
        self._timer = self._loop.call_at(due, self.look)
        self._announce(plan)
        if self._exporter.is_due(self._loop.time()):
            self._start("metrics", self._exporter.write)

    def _start(self, key: object, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do this beside the loop, unless what has this key is being done."""
        if key not in self._tasks:
            task = self._loop.create_task(work())
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def _on_files(self) -> None:
        """Look at once if it is about resolv.conf; everything else comes behind."""
        assert self._watch is not None  # noqa: S101 -- its descriptor called
        has_struck = self._guard.apply_prepared()
        self._collect_file_events()
        touched, self._touched = self._touched, FileEvents()
        if has_struck:
            self._account_for_repair()
        hooks = self._guard.paths.dhclient_hooks
        read = (*hooks, *self._guard.paths.leases)
        changed = any(path in read or path.parent in read for path in touched.paths)
        if touched.overflowed or changed:
            self._refresh_at = 0.0
            self._loop.call_soon(self.look)
        is_about_it = any(path.name in self._names for path in touched.paths)
        if is_about_it or touched.overflowed:
            # Between the strike and the drain the file may have changed once more.
            if self._guard.apply_prepared():
                self._account_for_repair()
            self.look()
        records = self._guard.paths.hook_records
        if touched.overflowed or any(path.parent == records for path in touched.paths):
            self._guard.read_records()
            self._refresh_at = 0.0  # the lease file says more
            self.look()
        if is_about_it or touched.overflowed or changed or touched.paths & self._covered:
            self._watch_paths()

    def _collect_file_events(self) -> None:
        """Read the files' events: they tell who has written what a look has just found."""
        if self._watch is None:
            return
        new, known = self._watch.drain(), self._touched
        if new != FileEvents():
            self._guard.record_touched(new.paths)
            self._touched = FileEvents(
                paths=known.paths | new.paths, overflowed=known.overflowed or new.overflowed
            )
            self._loop.call_soon(self._on_files)  # nothing else calls it for what is read

    def _account_for_repair(self) -> None:
        self._guard.account_for_repair()
        if self._guard.plan is not None:
            self._follow_up(self._guard.plan)

    def _on_addresses(self) -> None:
        assert self._addresses is not None  # noqa: S101 -- its descriptor called
        if self._addresses.drain():
            self._list_addresses()
            self._follow_up(self._guard.look())
            # A new address, a new lease: what was unknown may stand in a file now.
            self._refresh_at = 0.0
            self._loop.call_soon(self.look)

    def _on_listeners(self) -> None:
        """Look at once: a socket on port 53 is gone, and no question need be due."""
        assert self._listeners is not None  # noqa: S101 -- its descriptor called
        if self._listeners.drain():
            self._list_listeners()
            self._follow_up(self._guard.look())

    def _list_listeners(self) -> None:
        guard = self._guard
        if self._listeners is not None:
            listening = self._listeners.listening(guard.policy.nodelocal)
            guard.set_addresses(guard.knowledge.bound, listening)

    def _list_addresses(self) -> None:
        bound = None if self._addresses is None else self._addresses.bound()
        if isinstance(bound, Unknown):
            self._tell("addresses_not_listed", Level.ERROR, error=bound)
            bound = None
        self._guard.set_addresses(bound)
        self._list_listeners()

    def _refresh(self) -> None:
        self._update_dhclient_lock()
        self._list_addresses()
        self._guard.refresh()
        self._loop.call_soon(self._search)
        self._refresh_at = time.monotonic() + REFRESH
        self._watch_paths()
        self._dhclient.judge(self._guard.policy.cluster)

    def _update_dhclient_lock(self) -> None:
        """Keep dhclient from resolv.conf, unless that is a link to what dhclient tells of leases.

        Our hook would come in the way of resolvconf's and resolved's own.
        """
        is_managed = self._guard.managed_link is not None
        self._dhclient.take_lock(takes_hook=self._settings.takes_hook and not is_managed)

    def _watch_paths(self) -> None:
        """Watch what resolv.conf is made of now, and what dhclient will read next."""
        if self._watch is None:
            return
        paths = self._guard.paths
        chain = resolvfile.chain(paths.resolv_conf)
        taken = self._guard.managed_link
        behind = () if taken is None else places(taken)
        self._names = frozenset(path.name for path in (*chain, *(() if taken is None else [taken])))
        hooks = paths.dhclient_hooks
        wanted = (
            *places(Path("/etc/resolv.conf"), root=paths.root),
            *behind,
            hooks[0].parent,
            *hooks[1:],
            *paths.leases,
            paths.hook_records,
        )
        self._covered = frozenset(wanted)
        if self._watch.watch_paths(wanted):
            # What happened there before the watch gave no event.
            self._loop.call_soon(self.look)
        for path, number in self._watch.unwatched:
            if number not in (errno.ENOENT, errno.ENOTDIR):
                _tell_no_hints(self._journal, str(path), os.strerror(number))

    def _search(self) -> None:
        """Search the processes for a kubelet; what is due meanwhile is done between slices."""
        if self._guard.search(SLICE):
            self._loop.call_soon(self._search)

    async def _ask(self, query: Probe) -> None:
        answer = await ask(query, self._guard.policy)
        self._list_listeners()  # nothing tells of a new one but its answer
        self._follow_up(self._guard.look((answer,)))

    async def _ask_dhcp_server(self, lease: CurrentLease) -> None:
        informed = await dhcp_query.query(lease, timeout=INFORM_TIMEOUT)
        self._tell(
            "dhcp_server_asked", interface=lease.interface, lease=lease.origin, said=informed.detail
        )
        self._follow_up(self._guard.look(informed=(informed,)))

    def _announce(self, plan: Plan) -> None:
        """Tell systemd. The watchdog is fed only here, after a completed look."""
        status = headline(plan, self._requests.degraded())
        if plan.mode is not self._mode:
            self._mode = plan.mode
            self._exporter.write_soon()
        is_late = time.monotonic() - self._started > READY_LATEST
        if not self._is_ready and (plan.is_settled or is_late):
            self._is_ready = self._notifier.ready(status)
            if self._is_ready:
                self._tell("started", version=__version__)
        elif status != self._status and not self._notifier.status(status):
            status = ""  # systemd is busy: said again at the next look
        self._status = status
        self._notifier.watchdog()
        self._journal.flush()

    async def _prepare_repair(self) -> None:
        """Have the remedy for the poison now held back ready on the disk."""
        guard = self._guard
        while guard.plan is not None and guard.plan.prepared != guard.prepared.repair:
            remedy = guard.plan.prepared
            guard.prepared.discard()
            if remedy is not None:
                if not await self._loop.run_in_executor(None, guard.prepared.prepare, remedy):
                    return  # tried again after the next look
                guard.prepared.repair = remedy

    async def _sync(self) -> None:
        """Sync what was written: milliseconds, in a thread, behind every repair."""
        await asyncio.sleep(QUIET)
        while written := self._guard.take_unsynced():
            await self._loop.run_in_executor(None, resolvfile.sync, written)

    def _reload(self) -> None:
        """SIGHUP: take the new configuration, or keep the old one and say so."""
        self._notifier.reloading()
        path = self._guard.paths.config
        try:
            self._settings = config.load(path)
        except ConfigError as error:
            self._requests.trouble = f"the configuration was not reloaded: {error}"
            self._tell("reload_refused", Level.ERROR, why=error, means="the old one stays")
        else:
            self._requests.trouble = None
            self._guard.configure(self._settings.policy)
            self._journal.set_level(self._settings.log_level)
            self._update_dhclient_lock()
            self._serve_metrics()
            self._tell("reloaded", path=path)
        self._refresh_at = 0.0
        self.look()
        self._notifier.ready(self._status)

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
        self._notifier.stopping("leaving real upstreams behind")
        self._control.close()
        for task in self._tasks.values():
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._exporter.close()
        self._dhclient.drop_lock()
        self._guard.shut_down()
        self._tell("stopped")
        if self._watch is not None:
            self._loop.remove_reader(self._watch.fileno())
            self._watch.close()
        if self._addresses is not None:
            self._loop.remove_reader(self._addresses.fileno())
            self._addresses.close()
        if self._listeners is not None:
            self._loop.remove_reader(self._listeners.fileno())
            self._listeners.close()
        self._notifier.close()

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


def _open(open_it: type[_Source], journal: Journal) -> _Source | None:
    """Open a source of hints; without it the slow re-read still sees everything."""
    try:
        return open_it()
    except OSError as error:
        _tell_no_hints(journal, open_it.__name__, str(error))
        return None


def _tell_no_hints(journal: Journal, source: str, error: str) -> None:
    details = (
        ("source", source),
        ("error", error),
        ("means", f"its changes are seen only every {REFRESH:g} s"),
        ("remedy", _NO_HINTS_REMEDY.get(source, _NO_HINTS_REMEDY["Watch"])),
    )
    journal(Event(name="hints_unavailable", level=Level.ERROR, details=details))


def run(guard: Guard, settings: config.Config, early: list[Event]) -> None:
    """Run the daemon after the first look; ``early`` are the lines it could not write yet."""
    journal = Journal(settings.log_level)
    for event in early:
        journal(event)
    guard.emit = journal

    # What is loaded stays: a full collection over it would be a pause of 10 ms.
    gc.collect()
    gc.freeze()

    async def main() -> None:
        await Daemon(guard, settings, journal).run()

    asyncio.run(main())
    journal.close()
    guard.prepared.discard()  # a thread may have laid one ready after the stop
