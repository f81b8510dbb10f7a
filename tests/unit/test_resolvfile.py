"""resolv.conf as a real file: looked at in one piece."""

import os
import socket
from pathlib import Path

import pytest

from dnsguard.core.observation import MAX_FILE, Trouble
from dnsguard.host.resolvfile import chain, observe, sync

OLD, NEW = b"nameserver 169.254.25.10\n", b"nameserver 10.0.0.2\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a resolv.conf in a directory of its own."""
    path = tmp_path / "resolv.conf"
    path.write_bytes(OLD)
    return path


class TestLooking:
    """What a look sees."""

    def test_a_file(self, path: Path) -> None:
        """Content and identity, and nothing wrong."""
        seen = observe(path)
        assert (seen.content, seen.trouble, seen.link, seen.being_written) == (
            OLD,
            None,
            None,
            False,
        )
        assert seen.identity is not None
        assert seen.identity.inode == path.stat().st_ino

    def test_every_change_is_another_identity(self, path: Path) -> None:
        """Another text, another inode, another mode: no longer what was seen."""
        seen = [observe(path).identity]
        path.write_bytes(OLD + OLD)
        seen.append(observe(path).identity)
        other = path.with_name("other")
        other.write_bytes(OLD + OLD)
        other.rename(path)
        seen.append(observe(path).identity)
        assert len(set(seen)) == len(seen)

    def test_nothing(self, tmp_path: Path) -> None:
        """A missing file has a name for it and no identity."""
        seen = observe(tmp_path / "resolv.conf")
        assert (seen.trouble, seen.identity, seen.link) == (Trouble.MISSING, None, None)
        assert seen.detail == "No such file or directory"

    def test_a_dangling_link(self, path: Path) -> None:
        """Missing, but somebody means it to be elsewhere."""
        path.unlink()
        path.symlink_to("run/nowhere")
        seen = observe(path)
        assert (seen.trouble, seen.identity, seen.link) == (Trouble.MISSING, None, "run/nowhere")

    def test_a_link_is_followed(self, path: Path) -> None:
        """The content is the target's, and that it is a link is known."""
        target = path.rename(path.with_name("target"))
        path.symlink_to(target.name)
        assert (observe(path).content, observe(path).link) == (OLD, "target")

    @pytest.mark.parametrize("kind", ["directory", "fifo", "socket"])
    def test_what_is_no_file(self, path: Path, kind: str) -> None:
        """Neither read nor waited for: a FIFO would block for ever."""
        put_no_file(kind, path)
        seen = observe(path)
        assert seen.trouble in (Trouble.NOT_A_FILE, Trouble.UNREADABLE)
        assert seen.identity is not None
        assert seen.detail

    @pytest.mark.parametrize("size", [MAX_FILE, MAX_FILE + 1, 3 * MAX_FILE])
    def test_the_size_has_a_limit(self, path: Path, size: int) -> None:
        """Up to 64 KiB are taken, more is set aside."""
        path.write_bytes(b"#" * size)
        seen = observe(path)
        assert (seen.trouble is Trouble.TOO_BIG) is (size > MAX_FILE)
        assert len(seen.content) == (size if size <= MAX_FILE else 0)

    def test_links_that_lead_nowhere_but_round(self, path: Path) -> None:
        """A loop can't be read, and is said to be one."""
        path.unlink()
        path.symlink_to(path.name)
        seen = observe(path)
        assert (seen.trouble, seen.link) == (Trouble.UNREADABLE, "resolv.conf")
        assert "symbolic links" in seen.detail

    @pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND])
    def test_a_writer_is_seen(self, path: Path, flags: int) -> None:
        """As long as somebody has the file open for writing, and not a moment longer."""
        descriptor = os.open(path, flags)
        try:
            assert observe(path).being_written
        finally:
            os.close(descriptor)
        assert not observe(path).being_written

    def test_a_reader_is_no_writer(self, path: Path) -> None:
        """cat(1) is not waited for."""
        with path.open("rb"):
            assert not observe(path).being_written

    def test_looking_changes_nothing(self, path: Path) -> None:
        """Neither the file nor its times, and no lease stays on it."""
        before = path.stat()
        observe(path)
        after = path.stat()
        assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # EAGAIN under a lease
        os.close(descriptor)


def put_no_file(kind: str, path: Path) -> None:
    """Put something in the file's place that is no file."""
    path.unlink()
    match kind:
        case "directory":
            path.mkdir()
            (path / "inside").write_bytes(OLD)
        case "fifo":
            os.mkfifo(path)
        case _:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))


def test_the_chain_of_links(path: Path) -> None:
    """Every name that must be watched, from the path to the file itself."""
    target = path.rename(path.with_name("target"))
    middle = path.with_name("middle")
    middle.symlink_to("target")
    path.symlink_to(middle)
    names = chain(path)
    assert names[0] == path
    assert names[-1] == target
    assert set(names) == {path, middle, target}


def test_a_chain_that_goes_round_ends(path: Path) -> None:
    """At the kernel's own limit."""
    path.unlink()
    path.symlink_to(path.name)
    assert len(chain(path)) <= 42


def test_syncing_what_is_gone_is_no_error(path: Path) -> None:
    """What was written may have been replaced by somebody since."""
    sync((path, path.with_name("gone"), path.parent / "no" / "where"))
