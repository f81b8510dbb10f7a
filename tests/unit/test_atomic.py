"""The one writer: whole, under a name that nobody can guess, in a place of root's own."""

import os
import stat
from pathlib import Path

import pytest

from dnsguard.host import atomic
from dnsguard.host.attributes import Attributes, read_attributes
from dnsguard.host.path_walk import ForeignPlaceError

OTHER = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes files of another user")


def _names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


@pytest.mark.parametrize("umask", [0o077, 0o022, 0])
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_has_the_mode_it_is_given(tmp_path: Path, umask: int, mode: int) -> None:
    """Whatever the caller's umask."""
    before = os.umask(umask)
    try:
        atomic.write(tmp_path / "new/file", b"text", mode)
    finally:
        os.umask(before)
    assert (tmp_path / "new/file").read_bytes() == b"text"
    assert stat.S_IMODE((tmp_path / "new/file").stat().st_mode) == mode
    assert _names(tmp_path / "new") == ["file"]


@pytest.mark.parametrize("kind", ["link", "fifo", "file", "dangling"])
def test_what_waits_at_the_name_is_replaced_and_not_written_through(
    tmp_path: Path, kind: str
) -> None:
    """A link's victim keeps its text, a FIFO is not waited for."""
    path, victim = tmp_path / "file", tmp_path / "victim"
    victim.write_bytes(b"precious")
    match kind:
        case "link":
            path.symlink_to(victim)
        case "dangling":
            path.symlink_to("nowhere")
        case "fifo":
            os.mkfifo(path)
        case _:
            path.write_bytes(b"old")
    atomic.write(path, b"new")
    assert (path.read_bytes(), path.is_symlink()) == (b"new", False)
    assert victim.read_bytes() == b"precious"
    assert _names(tmp_path) == ["file", "victim"]


def test_a_directory_at_the_name_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    """Nothing foreign is deleted."""
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        atomic.write(tmp_path / "file", b"new")
    assert _names(tmp_path) == ["file"]


@as_root
def test_nothing_is_written_where_another_user_could_turn_it_round(tmp_path: Path) -> None:
    """The attack: Debian's /var/lib/prometheus is prometheus's, and node-exporter below it root's.

    Its control: what the user puts there does lead root's plain write to the victim.
    """
    theirs, victim = tmp_path / "prometheus", tmp_path / "victim"
    (theirs / "node-exporter").mkdir(parents=True)
    os.chown(theirs, OTHER, -1)
    victim.write_bytes(b"precious")
    path = theirs / "node-exporter/dnsguard.prom"
    (theirs / f"node-exporter/.{path.name}.{os.getpid()}").symlink_to(victim)
    path.symlink_to(victim)
    with pytest.raises(ForeignPlaceError, match="belongs to nobody"):
        atomic.write(path, b"new")
    assert victim.read_bytes() == b"precious"
    assert path.is_symlink()
    path.write_bytes(b"control")
    assert victim.read_bytes() == b"control"


def test_a_short_write_goes_on_and_a_refused_one_is_an_error(tmp_path: Path) -> None:
    """A pipe takes what it has room for, and then no more: the whole, or an error."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    room = 65536
    with pytest.raises(BlockingIOError):
        atomic.write_all(writer, b"x" * (room + 5000))
    assert len(os.read(reader, 2 * room)) == room
    os.close(reader)
    os.close(writer)
    with (tmp_path / "file").open("w+b") as file:
        atomic.write_all(file.fileno(), b"whole", at=3)
    assert (tmp_path / "file").read_bytes() == b"\0\0\0whole"


def test_attributes_are_kept(tmp_path: Path) -> None:
    """Mode, owner and group, extended attributes."""
    old = tmp_path / "old"
    old.write_bytes(b"x")
    old.chmod(0o640)
    xattrs = _set_xattr(old)
    if os.geteuid() == 0:
        os.chown(old, OTHER, OTHER)
    with old.open("rb") as file:
        like = read_attributes(file.fileno(), readable=0o444)
    directory = os.open(tmp_path, os.O_RDONLY)
    new = atomic.create(directory, "new", b"y", like)
    new.rename("new")
    os.close(directory)
    made, was = (tmp_path / "new").stat(), old.stat()
    assert new.lost == ()
    assert (made.st_uid, made.st_gid) == (was.st_uid, was.st_gid)
    assert stat.S_IMODE(made.st_mode) == 0o644
    assert xattrs == os.listxattr(tmp_path / "new")


def _set_xattr(path: Path) -> list[str]:
    """Give it one, where the filesystem has any."""
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        return []
    return ["user.note"]


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    """An attribute that no kernel has is told, and the file is made all the same."""
    like = Attributes(extended=(("nosuch.attribute", b"x"),))
    directory = os.open(tmp_path, os.O_RDONLY)
    new = atomic.create(directory, "new", b"y", like)
    os.close(directory)
    assert new.lost == ("xattr nosuch.attribute",)


@pytest.mark.parametrize("later", [0, 1, 10**9, 10**15])
def test_the_mtime_is_later_than_every_one_seen_before(tmp_path: Path, later: int) -> None:
    """Also than one of this very tick, and than one of a clock that was wrong."""
    old = tmp_path / "old"
    old.write_bytes(b"x")
    after = old.stat().st_mtime_ns + later
    directory = os.open(tmp_path, os.O_RDONLY)
    atomic.create(directory, "new", b"y", after=after).rename("new")
    os.close(directory)
    assert (tmp_path / "new").stat().st_mtime_ns > after


def test_a_name_that_is_taken_is_not_taken_away(tmp_path: Path) -> None:
    """renameat2(2): in one step, so there is no instant with two names."""
    (tmp_path / "taken").write_bytes(b"theirs")
    (tmp_path / "mine").write_bytes(b"mine")
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(FileExistsError):
        atomic.rename_to_free(directory, "mine", "taken")
    assert (tmp_path / "taken").read_bytes() == b"theirs"
    atomic.rename_to_free(directory, "mine", "free")
    os.close(directory)
    assert _names(tmp_path) == ["free", "taken"]


OURS = (
    ".resolv.conf.dnsguard-1234",
    ".resolv.conf.dnsguard-spare",
    ".resolv.conf.dnsguard-00112233aabbccdd",
)
FOREIGN = (
    ".resolv.conf.1234",  # somebody's temporary name, in /etc
    ".resolv.conf.swp",
    "resolv.conf.dnsguard-aside.1",
    "resolv.conf.dnsguard-spare",
    ".resolv.conf.dnsguard-x y",
    ".other.dnsguard-1234",
)


def test_what_a_kill_left_is_swept_and_nothing_foreign(tmp_path: Path) -> None:
    """Every name that this version and the ones before use, and no directory."""
    etc, state = tmp_path / "etc", tmp_path / "var/lib/dnsguard"
    for directory in (etc, state):
        directory.mkdir(parents=True)
        for name in (*OURS, *FOREIGN):
            (directory / name).write_bytes(b"x")
    (etc / ".resolv.conf.dnsguard-99").symlink_to("hosts")  # a link on its way back
    (etc / ".resolv.conf.dnsguard-98").mkdir()
    swept = atomic.sweep((etc / "resolv.conf", state / "resolv.conf"))
    assert sorted(p.name for p in swept if p.parent == etc) == sorted(
        (*OURS, ".resolv.conf.dnsguard-99")
    )
    assert sorted(p.name for p in swept if p.parent == state) == sorted((*OURS, FOREIGN[0]))
    assert set(_names(etc)) == {*FOREIGN, ".resolv.conf.dnsguard-98"}


def test_a_file_of_ones_own_is_opened_and_nothing_else(tmp_path: Path) -> None:
    """No link and no FIFO, which would wait for its writer."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "victim").write_bytes(b"x")
    (tmp_path / "link").symlink_to("victim")
    descriptor = atomic.open_own(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    assert os.fstat(descriptor).st_size == 0
    os.close(descriptor)
    for name in ("fifo", "link"):
        with pytest.raises(OSError, match=r"regular|symbolic|device"):
            atomic.open_own(tmp_path / name, os.O_RDWR | os.O_CREAT)
