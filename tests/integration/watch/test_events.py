"""Changes of real files, seen through the real inotify."""

import asyncio
import errno
import fcntl
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from lab import needs
from lab.wait import readable

from dnsguard.host.watch import FileEvents, Watch, parse

pytestmark = pytest.mark.integration

NOTHING = FileEvents()
POISON = "nameserver 169.254.25.10\n"


def test_a_replaced_file_is_seen_by_name(watch: Watch, etc: Path) -> None:
    """rename(2) over it, as careful programs do."""
    (etc / "resolv.conf.new").rename(etc / "resolv.conf")
    assert watch.drain().paths == {etc / "resolv.conf", etc / "resolv.conf.new"}
    assert watch.drain() == NOTHING


def test_a_file_written_in_place_is_seen_when_the_writer_is_done(watch: Watch, etc: Path) -> None:
    """As dhclient does, ``cat > file``: nothing between its truncate and its close."""
    with (etc / "resolv.conf").open("w") as file:
        file.write(POISON)
        file.flush()
        assert not readable(watch, within=0)
    assert watch.drain().paths == {etc / "resolv.conf"}


def test_reading_is_not_seen(watch: Watch, etc: Path) -> None:
    """Every lookup on the node opens the file: that must not wake anybody."""
    (etc / "resolv.conf").read_bytes()
    assert not readable(watch, within=0)


def test_a_file_moved_out_delays_nothing(watch: Watch, etc: Path, tmp_path: Path) -> None:
    """Watchdog's Observer waits half a second for where it went, and so for all behind it."""
    (etc / "resolv.conf.new").rename(tmp_path / "elsewhere")
    (etc / "resolv.conf").write_text(POISON)
    assert readable(watch, within=0)
    assert watch.drain().paths == {etc / "resolv.conf.new", etc / "resolv.conf"}


def test_removal_and_change_of_mode_are_seen(watch: Watch, etc: Path) -> None:
    """A file nobody can read any more is as bad as one that is gone."""
    (etc / "resolv.conf").chmod(0)
    assert watch.drain().paths == {etc / "resolv.conf"}
    (etc / "resolv.conf").unlink()
    assert watch.drain().paths == {etc / "resolv.conf"}


def test_a_name_that_is_no_text_is_seen(watch: Watch, etc: Path) -> None:
    """Any bytes can be a name; they come back as Python spells such names."""
    odd = etc / os.fsdecode(b"\xff\xfe odd\n")
    odd.touch()
    assert watch.drain().paths == {odd}


def test_the_descriptor_wakes_the_loop(watch: Watch, etc: Path) -> None:
    """A Watch goes into add_reader as it is."""

    async def wait() -> FileEvents:
        loop = asyncio.get_running_loop()
        hint = asyncio.Event()
        loop.add_reader(watch, hint.set)
        (etc / "resolv.conf.new").rename(etc / "resolv.conf")
        async with asyncio.timeout(2):
            await hint.wait()
        loop.remove_reader(watch)
        return watch.drain()

    assert etc / "resolv.conf" in asyncio.run(wait()).paths


def test_a_full_queue_is_a_hint(watch: Watch, etc: Path) -> None:
    """When the kernel drops events the drain says so, and later events come as ever."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    passing = etc / "passing"
    for _ in range(limit // 2 + 1):
        passing.touch()
        passing.unlink()
    assert _drain_all(watch) == FileEvents(paths=frozenset({passing}), overflowed=True)
    (etc / "resolv.conf").write_text(POISON)
    assert watch.drain() == FileEvents(paths=frozenset({etc / "resolv.conf"}))


def test_a_flood_does_not_hold_the_loop(watch: Watch, etc: Path) -> None:
    """One drain reads a bounded number of events; the descriptor stays readable for more."""
    name = "x" * 250
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(limit // 4):
        (etc / name).touch()
        (etc / name).unlink()
    assert watch.drain().paths == {etc / name}
    assert readable(watch, within=0)


@pytest.mark.parametrize(
    ("limit", "check"),
    [
        (
            "max_inotify_watches",
            "w = Watch(); w.cover([Path('/etc'), Path('/usr')]); print(w.unwatched[0][1])",
        ),
        ("max_inotify_instances", "a = Watch()\ntry: Watch()\nexcept OSError as e: print(e.errno)"),
    ],
)
def test_the_kernels_limits_are_reported(limit: str, check: str) -> None:
    """No watch left is a report, no instance left an OSError; both are sysctls of inotify."""
    needs.require("user-namespaces")
    code = f"from pathlib import Path\nfrom dnsguard.host.watch import Watch\n{check}"
    script = f'echo 1 >/proc/sys/user/{limit} && exec "$0" -c "$1"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script, sys.executable, code]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    expected = errno.ENOSPC if limit == "max_inotify_watches" else errno.EMFILE
    assert (told.stdout, told.stderr) == (f"{expected}\n", "")


def test_the_descriptor_is_private_and_never_blocks(watch: Watch) -> None:
    """A child must not inherit it, and an empty read must not stop the loop."""
    assert fcntl.fcntl(watch.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert fcntl.fcntl(watch.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK
    assert watch.drain() == NOTHING


def test_a_closed_watch_is_quiet(watch: Watch) -> None:
    """Closing twice, and draining afterwards, does nothing."""
    watch.close()
    watch.close()
    assert watch.drain() == NOTHING


def test_odd_data_is_read_as_far_as_it_goes(etc: Path) -> None:
    """Cut at any byte, filled with anything: no exception, and an end."""
    raw = Watch()
    raw.cover([etc])
    (etc / "resolv.conf").touch()
    buffer = os.read(raw.fileno(), 4096)
    raw.close()
    whole = list(parse(buffer))
    assert {name for _, _, name in whole} == {b"resolv.conf"}
    for cut in range(len(buffer)):
        assert len(list(parse(buffer[:cut]))) <= len(whole)
    assert len(list(parse(b"\xff" * 1000))) == 1
    assert len(list(parse(bytes(1600)))) == 100


def _drain_all(watch: Watch) -> FileEvents:
    """Drain as the loop does, until nothing is left."""
    paths: frozenset[Path] = frozenset()
    overflowed = False
    while select.select([watch], [], [], 0)[0]:
        touched = watch.drain()
        paths |= touched.paths
        overflowed |= touched.overflowed
    return FileEvents(paths=paths, overflowed=overflowed)
