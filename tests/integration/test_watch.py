"""Changes of real files, seen through the real inotify."""

import asyncio
import errno
import fcntl
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import needs
from lab.mounts import bound
from lab.wait import readable

from dnsguard.host.watch import FileEvents, Watch, parse, places

pytestmark = pytest.mark.integration

NOTHING = FileEvents()
POISON = "nameserver 169.254.25.10\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a directory with a resolv.conf and somebody's new version of it."""
    made = tmp_path / "etc"
    made.mkdir()
    (made / "resolv.conf").write_text("nameserver 10.0.2.3\n")
    (made / "resolv.conf.new").write_text(POISON)
    return made


@pytest.fixture
def watch(etc: Path) -> Iterator[Watch]:
    """Return a watch on that directory."""
    made = Watch()
    assert made.cover([etc])
    yield made
    made.close()


# What is seen


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


# What is watched


def test_covering_the_same_again_changes_nothing(watch: Watch, etc: Path) -> None:
    """It says so, loses no event that waits, and makes none."""
    (etc / "resolv.conf").touch()
    assert not watch.cover([etc, etc])
    assert watch.drain().paths == {etc / "resolv.conf"}
    assert not watch.cover([etc])
    assert not readable(watch, within=0)


def test_what_is_no_longer_covered_is_no_longer_seen(
    watch: Watch, etc: Path, tmp_path: Path
) -> None:
    """Not even what waits in the queue."""
    (etc / "resolv.conf").touch()
    assert watch.cover([tmp_path])
    (etc / "resolv.conf").touch()
    assert watch.drain() == NOTHING


def test_a_missing_directory_is_reported_and_seen_once_it_is_there(watch: Watch, etc: Path) -> None:
    """Its parent gives the hint, and covering again says that there is something new to see."""
    hooks = etc / "dhclient-enter-hooks.d"
    assert not watch.cover([etc, hooks])
    assert watch.unwatched == ((hooks, errno.ENOENT),)
    hooks.mkdir()
    assert hooks in watch.drain().paths
    assert watch.cover([etc, hooks])
    assert watch.unwatched == ()
    (hooks / "resolv").touch()
    assert hooks / "resolv" in watch.drain().paths


@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_a_directory_replaced_is_watched_anew(watch: Watch, etc: Path, how: str) -> None:
    """The old watch is dead, or follows the old directory to where it went."""
    hooks = etc / "hooks"
    hooks.mkdir()
    watch.cover([etc, hooks])
    watch.drain()
    if how == "removed":
        hooks.rmdir()
    else:
        hooks.rename(etc / "hooks.old")
    hooks.mkdir()
    assert hooks in watch.drain().paths
    assert watch.cover([etc, hooks])
    watch.drain()
    (hooks / "new").touch()
    assert watch.drain().paths == {hooks / "new"}


def test_a_parent_replaced_is_found_without_an_event(tmp_path: Path) -> None:
    """Nothing tells of it, so covering looks at each path again."""
    hooks = tmp_path / "dhcp" / "hooks"
    hooks.mkdir(parents=True)
    watch = Watch()
    watch.cover([hooks])
    (tmp_path / "dhcp").rename(tmp_path / "dhcp.old")
    hooks.mkdir(parents=True)
    assert not readable(watch, within=0)
    assert watch.cover([hooks])
    watch.drain()
    (hooks / "new").touch()
    assert watch.drain().paths == {hooks / "new"}
    watch.close()


def test_two_names_of_one_directory_are_both_told(watch: Watch, etc: Path, tmp_path: Path) -> None:
    """The kernel has one watch for both; whoever waits for either hears of it."""
    alias = tmp_path / "alias"
    alias.symlink_to(etc)
    watch.cover([etc, alias])
    (etc / "resolv.conf").touch()
    assert watch.drain().paths == {etc / "resolv.conf", alias / "resolv.conf"}
    watch.cover([etc])
    (etc / "resolv.conf").touch()
    assert watch.drain().paths == {etc / "resolv.conf"}


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


# Where to look


def test_of_a_plain_file_the_directory_is_watched(etc: Path, tmp_path: Path) -> None:
    """A watch on the file would die at its first replacement."""
    assert places(Path("/etc/resolv.conf"), root=tmp_path) == (etc,)


def test_every_link_on_the_way_is_watched(etc: Path, tmp_path: Path) -> None:
    """Absolute and relative, of files and of directories, up to the last directory."""
    real = tmp_path / "real"
    (real / "resolvconf").mkdir(parents=True)
    (real / "resolvconf" / "resolv.conf").touch()
    (tmp_path / "run").symlink_to("/real")
    (tmp_path / "mid").symlink_to("../../run/resolvconf/./resolv.conf")
    (etc / "resolv.conf").unlink()
    (etc / "resolv.conf").symlink_to("/mid")
    found = places(Path("/etc/resolv.conf"), root=tmp_path)
    assert found == (etc, tmp_path, real / "resolvconf")


def test_a_dangling_link_is_watched_where_its_target_is_to_come(etc: Path, tmp_path: Path) -> None:
    """systemd-resolved's directory is not there before systemd-resolved is."""
    (etc / "resolv.conf").unlink()
    (etc / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (tmp_path / "run").mkdir()
    assert places(Path("/etc/resolv.conf"), root=tmp_path) == (etc, tmp_path / "run")


def test_a_missing_file_is_watched_in_its_directory(tmp_path: Path, etc: Path) -> None:
    """And a missing directory in its parent."""
    (etc / "resolv.conf").unlink()
    assert places(Path("/etc/resolv.conf"), root=tmp_path) == (etc,)
    assert places(Path("/gone/resolv.conf"), root=tmp_path) == (tmp_path,)


def test_a_loop_of_links_ends(etc: Path, tmp_path: Path) -> None:
    """After as many links as the kernel follows; where they are is watched."""
    (etc / "resolv.conf").unlink()
    (etc / "resolv.conf").symlink_to("/loop")
    (tmp_path / "loop").symlink_to("etc/resolv.conf")
    assert places(Path("/etc/resolv.conf"), root=tmp_path) == (etc, tmp_path)


def test_a_directory_in_the_files_place_is_watched_from_outside(etc: Path, tmp_path: Path) -> None:
    """Where a file should be and none is, its name is still what counts."""
    (etc / "resolv.conf").unlink()
    (etc / "resolv.conf").mkdir()
    assert places(Path("/etc/resolv.conf"), root=tmp_path) == (etc,)


def test_a_replaced_link_is_followed(tmp_path: Path, etc: Path) -> None:
    """The link's directory tells of the new link, and then its target's directory is covered."""
    (tmp_path / "run").mkdir()
    target = tmp_path / "run" / "resolv.conf"
    target.touch()
    watch = Watch()
    watch.cover(places(Path("/etc/resolv.conf"), root=tmp_path))
    (etc / "new").symlink_to("../run/resolv.conf")
    (etc / "new").rename(etc / "resolv.conf")
    assert etc / "resolv.conf" in watch.drain().paths
    assert watch.cover(places(Path("/etc/resolv.conf"), root=tmp_path))
    target.write_text(POISON)
    assert watch.drain().paths == {target}
    watch.close()


def test_a_bind_mounted_file_is_watched_itself(tmp_path: Path, etc: Path) -> None:
    """As in a container: what happens to it never shows in the directory it is mounted in."""
    source = tmp_path / "source"
    source.touch()
    file = etc / "resolv.conf"
    with bound(source, file):
        found = places(Path("/etc/resolv.conf"), root=tmp_path)
        assert found == (etc, file)
        watch = Watch()
        watch.cover(found)
        file.write_text(POISON)
        assert watch.drain().paths == {file}
        source.write_text(POISON)
        assert watch.drain().paths == {file}
        watch.close()
    assert places(Path("/etc/resolv.conf"), root=tmp_path) == (etc,)


def _drain_all(watch: Watch) -> FileEvents:
    """Drain as the loop does, until nothing is left."""
    paths: frozenset[Path] = frozenset()
    overflowed = False
    while select.select([watch], [], [], 0)[0]:
        touched = watch.drain()
        paths |= touched.paths
        overflowed |= touched.overflowed
    return FileEvents(paths=paths, overflowed=overflowed)
