"""What is watched, and where to look: directories that come and go, links on the way."""

import errno
from pathlib import Path

import pytest
from lab.mounts import bound
from lab.wait import readable

from dnsguard.host.watch import FileEvents, Watch, places

pytestmark = pytest.mark.integration

NOTHING = FileEvents()
POISON = "nameserver 169.254.25.10\n"


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
