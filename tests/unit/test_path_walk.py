"""Where a path leads, and whether root alone decides that."""

import os
from pathlib import Path

import pytest

from dnsguard.host import path_walk

OTHER = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes files of another user")


def _foreign(path: Path) -> str | None:
    with path_walk.end_of(path) as end:
        return end.foreign


def test_what_root_alone_can_change_is_its_own(tmp_path: Path) -> None:
    """A file, a missing one, and both behind links."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "far").symlink_to(tmp_path / "link")
    (tmp_path / "dangling").symlink_to("missing")
    for name in ("file", "missing", "link", "far", "dangling"):
        assert _foreign(tmp_path / name) is None, name


def test_the_end_is_the_files_own_name(tmp_path: Path) -> None:
    """Behind all links, with its directory, whether it is there or not."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below/file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("below/../below/file")
    (tmp_path / "dangling").symlink_to("below/missing")
    with path_walk.end_of(tmp_path / "link") as end:
        assert end.status is not None
        assert end.status.st_ino == (tmp_path / "below/file").stat().st_ino
        assert os.stat(end.name, dir_fd=end.directory).st_ino == end.status.st_ino
    with path_walk.end_of(tmp_path / "dangling") as end:
        assert (end.name, end.status) == ("missing", None)


@pytest.mark.parametrize("mode", [0o757, 0o775, 0o1777])
def test_a_directory_that_others_can_write_is_foreign(tmp_path: Path, mode: int) -> None:
    """A sticky bit is no help where a name is still to be had."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    assert _foreign(shared / "file") is not None
    (shared / "own").mkdir(mode=0o755)
    assert (_foreign(shared / "own/file") is None) is (mode == 0o1777)
    with pytest.raises(path_walk.ForeignPlaceError, match="can be written by others"):
        _open(shared)


@as_root
def test_a_directory_of_another_user_is_foreign_and_so_is_all_below(tmp_path: Path) -> None:
    """The parent's owner can put another directory in the place of root's."""
    theirs = tmp_path / "theirs"
    (theirs / "roots").mkdir(parents=True)
    os.chown(theirs, OTHER, -1)
    for place in (theirs, theirs / "roots"):
        assert _foreign(place / "file") == f"{theirs} belongs to nobody"
    with pytest.raises(path_walk.ForeignPlaceError, match="belongs to nobody"):
        _open(theirs / "roots")


@as_root
def test_no_link_of_another_user_is_followed(tmp_path: Path) -> None:
    """Neither at the end nor on the way; its own end is the link."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    (secret / "file").write_bytes(b"x")
    (theirs / "file").symlink_to(secret / "file")
    (theirs / "way").symlink_to(secret)
    os.chown(theirs, OTHER, -1)
    (tmp_path / "link").symlink_to(theirs / "file")
    with path_walk.end_of(tmp_path / "link") as end:
        assert (end.name, end.foreign is None) == ("file", False)
        assert end.status is not None
        assert end.status.st_ino == (theirs / "file").lstat().st_ino
    with pytest.raises(path_walk.ForeignPlaceError, match="a link that root can change"):
        _foreign(theirs / "way/file")


@as_root
def test_a_link_of_another_user_in_a_sticky_directory_is_not_followed(tmp_path: Path) -> None:
    """As in tmp: everybody may have put it there, only its owner can take it away."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "link").symlink_to(tmp_path)
    os.chown(shared / "link", OTHER, -1, follow_symlinks=False)
    with pytest.raises(path_walk.ForeignPlaceError, match="a link that nobody can change"):
        _foreign(shared / "link/file")


def test_links_that_go_round_end(tmp_path: Path) -> None:
    """At the kernel's own limit."""
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="Too many levels"):
        _foreign(tmp_path / "round")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Whatever comes of it."""
    (tmp_path / "file").write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for name in ("file", "missing", "file/below", "no/such"):
        try:
            _foreign(tmp_path / name)
            _open(tmp_path / name)
        except OSError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def _open(path: Path) -> None:
    with path_walk.directory(path):
        pass
