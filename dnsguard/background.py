"""What goes on beside the looks: questions, the next repair laid ready, what is written synced."""

import asyncio
from collections.abc import Callable, Coroutine

from dnsguard.deferred import DeferredActions
from dnsguard.host import resolvfile
from dnsguard.host.prepared_file import PreparedFile

QUIET = 0.02
"""Seconds after a look before what was written is synced: other writes may follow."""


class Background:
    """Tasks of the loop, each with a key."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[object, asyncio.Task[None]] = {}

    def start(self, key: object, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do this, unless what has this key is being done."""
        if key in self._tasks and not self._tasks[key].done():
            return
        task = self._loop.create_task(work())
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def _forget(self, key: object, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    def cancel(self) -> None:
        """End all that goes on."""
        for task in self._tasks.values():
            task.cancel()


async def prepare_repair(prepared: PreparedFile) -> None:
    """Have the repair of the poison that is now held back ready on the disk."""
    loop = asyncio.get_running_loop()
    while prepared.is_stale:
        prepared.discard()
        if (wanted := prepared.wanted) is not None:
            if not await loop.run_in_executor(None, prepared.prepare, wanted):
                return  # tried again after the next look
            prepared.repair = wanted


async def sync(deferred: DeferredActions) -> None:
    """Sync what was written: milliseconds, in a thread, behind every repair."""
    await asyncio.sleep(QUIET)
    while written := deferred.take_unsynced():
        await asyncio.get_running_loop().run_in_executor(None, resolvfile.sync, written)
