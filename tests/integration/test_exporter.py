"""What the exporter writes in a thread, and the daemon that ends or reloads meanwhile."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dnsguard.exporter import Destinations, Exporter

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("wanted", [None, "other"])
def test_what_is_just_being_written_is_not_left_behind(tmp_path: Path, wanted: str | None) -> None:
    """What it says is no longer so, and node-exporter would go on telling it."""
    directory = tmp_path / "node-exporter"
    directory.mkdir()
    complaints: list[str] = []
    exporter = Exporter(list, lambda _, why: complaints.append(why), tmp_path / "own.prom")

    async def write_late() -> None:
        loop, may_write = asyncio.get_running_loop(), threading.Event()
        with ThreadPoolExecutor(1) as thread:
            loop.set_default_executor(thread)
            thread.submit(may_write.wait)
            exporter.configure(Destinations(directory, None))
            writing = loop.create_task(exporter.write())
            await asyncio.sleep(0)
            exporter.configure(Destinations(tmp_path / wanted if wanted else None, None))
            may_write.set()
            await writing

    asyncio.run(write_late())
    assert [*directory.iterdir()] == complaints == []
