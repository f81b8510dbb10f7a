"""The daemon: hints come in, each leads to a look; one loop, no policy.

inotify, netlink, answers, signals and a timer all end in :meth:`Daemon.look`. A hint
carries no truth, so a lost one costs at most the slow re-read.

One answer is no hint: NodeLocalDNS's "all is well", once a second for years. It is taken in
(:meth:`Daemon._hear`) and the next question asked (:meth:`Daemon._on_time`) without a look, as
long as stat(2) finds the files that a look reads as they were.
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
from dnsguard.core.answers import Answer, Outcome, Query
from dnsguard.core.event import Event, Level, named
from dnsguard.core.model import HeldLease, Mode, Plan
from dnsguard.core.report import headline
from dnsguard.cycle import Cycle
from dnsguard.desk import Desk
from dnsguard.dhclient import Dhclient
from dnsguard.errors import ConfigError
from dnsguard.exporter import Exporter, Wish
from dnsguard.host import inform, resolvfile
from dnsguard.host.addresses import Addresses, Unknown
from dnsguard.host.listeners import Listeners
from dnsguard.host.notify import Notifier, watchdog_interval
from dnsguard.host.watch import Touched, Watch, places
from dnsguard.log import Journal
from dnsguard.query import ask

QUIET = 0.02
"""Seconds after a look before what was written is synced: other writes may follow."""
READY_LATEST = 3.0
"""Seconds after which systemd hears READY though the file is not settled: no upstream
is known and NodeLocalDNS can't be judged. A guard that runs beats one restarted."""
INFORM_TIMEOUT = 2.0
"""Seconds that a DHCP server has to answer; a healthy one takes milliseconds."""
REFRESH = 5.0
"""Seconds after which everything is looked up again, hints or none."""
SOON = 0.02
"""Seconds: what is due by then is done now, for each time that the loop is woken costs more."""
GATHER = 0.005
"""Seconds that an answer is kept for those that were asked for with it, unless it is a failure."""
EARLY = REFRESH / 10
"""Seconds that the refresh comes early where there is a look anyway."""
SLICE = 0.001
"""Seconds of a search through all processes that the loop is held up for."""
_Source = TypeVar("_Source")
_NO_HINTS_REMEDY = {
    "Watch": "raise fs.inotify.max_user_watches or max_user_instances (sysctl)",
    "Addresses": "allow AF_NETLINK sockets (RestrictAddressFamilies= of the unit)",
}


class Daemon:
    """The loop's side of the guard."""

    def __init__(self, cycle: Cycle, settings: config.Config, journal: Journal) -> None:
        self._cycle = cycle
        self._settings = settings
        self._journal = journal
        self._dhclient = Dhclient(cycle.paths, journal)
        self._notifier = Notifier()
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._watch = _opened(Watch, journal)
        self._addresses = _opened(Addresses, journal)
        self._listeners = _opened(Listeners, journal)
        self._timer: asyncio.TimerHandle | None = None
        self._desk = Desk(cycle, self._dhclient, self._tell, self.look)
        self._exporter = Exporter(self._desk.families, self._cannot_export, cycle.paths.metrics)
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._names: frozenset[str] = frozenset()
        self._covered: frozenset[Path] = frozenset()
        self._touched = Touched()
        """What the files' events named, and nobody has looked into yet."""
        cycle.witness = self._witness
        self._refresh_at = 0.0
        self._look_by = 0.0
        """When everything that each look reads is read again, hints or none."""
        self._under_way = 0
        """Questions that have not brought an answer yet."""
        self._answers: list[Answer] = []
        """What was answered and not taken in yet."""
        self._gathering: asyncio.TimerHandle | None = None
        self._is_ready = False
        self._pulse = min(REFRESH, watchdog_interval() or REFRESH)
        self._status = ""
        self._mode: Mode | None = None
        self._started = time.monotonic()
        self._control = Control(
            cycle.paths.socket, self._desk.answers, self._desk.commands, self._desk.complain
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
        self._hold_dhclient()
        self._serve_metrics()
        self._cover()
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
        began = time.monotonic()
        is_due = began + EARLY >= self._refresh_at
        if not (is_due and self._cycle.is_at_rest):
            self._after(self._cycle.look())
        if is_due:
            self._refresh()
            self._refresh_at = began + REFRESH
            self._after(self._cycle.look())

    def _on_time(self) -> None:
        """Look, unless nothing is due but what NodeLocalDNS is asked all the time."""
        now, is_at_rest = time.monotonic(), self._cycle.is_at_rest
        look_at = min(self._cycle.look_at, self._look_by, self._refresh_at)
        if is_at_rest and now + SOON < look_at:
            self._cycle.ask_nodelocal()
            self._go_on()
            return
        if is_at_rest and now + REFRESH / 2 > self._refresh_at:
            self._refresh_at = 0.0  # both come every 5 s: together from now on
        self.look()

    def _go_on(self) -> None:
        """Ask what is due, and plan the next look."""
        for query in self._cycle.take_questions():
            # Never left out: the core counts on an answer to each question.
            self._under_way += 1
            self._start(object(), partial(self._ask, query))
        if self._timer is not None:
            self._timer.cancel()
        due = min(self._cycle.ask_at, self._cycle.look_at, self._look_by, self._refresh_at)
        self._timer = self._loop.call_at(due, self._on_time)

    def _after(self, plan: Plan) -> None:
        """Do what could wait until the file was safe, and plan the next look."""
        self._cycle.settle()
        if plan.remedy != self._cycle.spare.remedy:
            self._start("spare", self._lay_spare)
        if self._cycle.is_unsynced:
            self._start("sync", self._sync)
        for lease in self._cycle.take_informs():
            self._start(object(), partial(self._inform, lease))
        self._look_by = self._loop.time() + self._pulse
        self._go_on()
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
        has_struck = self._cycle.strike()
        self._witness()
        touched, self._touched = self._touched, Touched()
        if has_struck:
            self._reckon()
        hooks = self._cycle.paths.dhclient_hooks
        read = (*hooks, *self._cycle.paths.leases)
        changed = any(path in read or path.parent in read for path in touched.paths)
        if touched.overflowed or changed:
            self._refresh_at = 0.0
            self._loop.call_soon(self.look)
        is_about_it = any(path.name in self._names for path in touched.paths)
        if is_about_it or touched.overflowed:
            # Between the strike and the drain the file may have changed once more.
            if self._cycle.strike():
                self._reckon()
            self.look()
        records = self._cycle.paths.hook_records
        if touched.overflowed or any(path.parent == records for path in touched.paths):
            self._cycle.read_records()
            self._refresh_at = 0.0  # the lease file says more
            self.look()
        if is_about_it or touched.overflowed or changed or touched.paths & self._covered:
            self._cover()

    def _witness(self) -> None:
        """Read the files' events: they tell who has written what a look has just found."""
        if self._watch is None:
            return
        new, known = self._watch.drain(), self._touched
        if new != Touched():
            self._cycle.note(new.paths)
            self._touched = Touched(
                paths=known.paths | new.paths, overflowed=known.overflowed or new.overflowed
            )
            self._loop.call_soon(self._on_files)  # nothing else calls it for what is read

    def _reckon(self) -> None:
        self._cycle.reckon()
        if self._cycle.plan is not None:
            self._after(self._cycle.plan)

    def _on_addresses(self) -> None:
        assert self._addresses is not None  # noqa: S101 -- its descriptor called
        if self._addresses.drain():
            self._list_addresses()
            self._after(self._cycle.look())
            # A new address, a new lease: what was unknown may stand in a file now.
            self._refresh_at = 0.0
            self._loop.call_soon(self.look)

    def _on_listeners(self) -> None:
        """Look at once: a socket on port 53 is gone, and no question need be due."""
        assert self._listeners is not None  # noqa: S101 -- its descriptor called
        if self._listeners.drain():
            self._list_listeners()
            self._after(self._cycle.look())

    def _list_listeners(self) -> None:
        cycle = self._cycle
        if self._listeners is not None:
            listening = self._listeners.listening(cycle.policy.nodelocal)
            cycle.bind(cycle.facts.bound, listening)

    def _list_addresses(self) -> None:
        bound = None if self._addresses is None else self._addresses.bound()
        if isinstance(bound, Unknown):
            self._tell("addresses_not_listed", Level.ERROR, error=bound)
            bound = None
        self._cycle.bind(bound)
        self._list_listeners()

    def _refresh(self) -> None:
        self._hold_dhclient()
        self._list_addresses()
        self._cycle.refresh()
        self._loop.call_soon(self._search)
        self._cover()
        self._dhclient.judge(self._cycle.policy.cluster)

    def _hold_dhclient(self) -> None:
        """Keep dhclient from resolv.conf, unless that is a link to what dhclient tells of leases.

        Our hook would come in the way of resolvconf's and resolved's own.
        """
        is_managed = self._cycle.managed_link is not None
        self._dhclient.hold(takes_hook=self._settings.takes_hook and not is_managed)

    def _cover(self) -> None:
        """Watch what resolv.conf is made of now, and what dhclient will read next."""
        if self._watch is None:
            return
        paths = self._cycle.paths
        chain = resolvfile.chain(paths.resolv_conf)
        taken = self._cycle.managed_link
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
        if self._watch.cover(wanted):
            # What happened there before the watch gave no event.
            self._loop.call_soon(self.look)
        for path, number in self._watch.uncovered:
            if number not in (errno.ENOENT, errno.ENOTDIR):
                _tell_no_hints(self._journal, str(path), os.strerror(number))

    def _search(self) -> None:
        """Search the processes for a kubelet; what is due meanwhile is done between slices."""
        if self._cycle.search(SLICE):
            self._loop.call_soon(self._search)

    async def _ask(self, query: Query) -> None:
        try:
            answer = await ask(query, self._cycle.policy)
        finally:
            self._under_way -= 1
        self._answers.append(answer)
        if answer.outcome is not Outcome.ANSWERED or not self._under_way:
            self._hear()
        elif self._gathering is None:
            self._gathering = self._loop.call_later(GATHER, self._hear)

    def _hear(self) -> None:
        """Take in the answers that have come; look, if they may tell something new."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        answers, self._answers = tuple(self._answers), []
        if self._cycle.hear(answers):
            self._go_on()
            return
        self._list_listeners()  # nothing tells of a new one but its answer
        self._after(self._cycle.look(answers))

    async def _inform(self, lease: HeldLease) -> None:
        informed = await inform.ask(lease, timeout=INFORM_TIMEOUT)
        self._tell(
            "dhcp_server_asked", interface=lease.interface, lease=lease.origin, said=informed.detail
        )
        self._after(self._cycle.look(informed=(informed,)))

    def _announce(self, plan: Plan) -> None:
        """Tell systemd. The watchdog is fed only here, after a completed look."""
        status = headline(plan, self._desk.degraded())
        if plan.mode is not self._mode:
            self._mode = plan.mode
            self._exporter.hurry()
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

    async def _lay_spare(self) -> None:
        """Have the remedy for the poison now held back ready on the disk."""
        cycle = self._cycle
        while cycle.plan is not None and cycle.plan.remedy != cycle.spare.remedy:
            remedy = cycle.plan.remedy
            cycle.spare.discard()
            if remedy is not None:
                if not await self._loop.run_in_executor(None, cycle.spare.prepare, remedy):
                    return  # tried again after the next look
                cycle.spare.remedy = remedy

    async def _sync(self) -> None:
        """Sync what was written: milliseconds, in a thread, behind every repair."""
        await asyncio.sleep(QUIET)
        while written := self._cycle.take_unsynced():
            await self._loop.run_in_executor(None, resolvfile.sync, written)

    def _reload(self) -> None:
        """SIGHUP: take the new configuration, or keep the old one and say so."""
        self._notifier.reloading()
        path = self._cycle.paths.config
        try:
            self._settings = config.load(path)
        except ConfigError as error:
            self._desk.trouble = f"the configuration was not reloaded: {error}"
            self._tell("reload_refused", Level.ERROR, why=error, means="the old one stays")
        else:
            self._desk.trouble = None
            self._cycle.configure(self._settings.policy)
            self._journal.set_level(self._settings.log_level)
            self._hold_dhclient()
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
        self._dhclient.release()
        self._cycle.stand_down()
        self._tell("stopped", nameservers=named(self._cycle.plan))
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
        place = self._cycle.paths.root / directory.lstrip("/") if directory else None
        self._exporter.take(Wish(directory=place, listen=self._settings.listen))

    def _cannot_export(self, what: str, why: str) -> None:
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


def _opened(open_it: type[_Source], journal: Journal) -> _Source | None:
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


def run(cycle: Cycle, settings: config.Config, early: list[Event]) -> None:
    """Run the daemon after the first look; ``early`` are the lines it could not write yet."""
    journal = Journal(settings.log_level)
    for event in early:
        journal(event)
    cycle.tell = journal

    # What is loaded stays: a full collection over it would be a pause of 10 ms.
    gc.collect()
    gc.freeze()

    async def main() -> None:
        await Daemon(cycle, settings, journal).run()

    asyncio.run(main())
    journal.close()
    cycle.spare.discard()  # a thread may have laid one ready after the stop
