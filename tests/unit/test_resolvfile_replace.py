"""resolv.conf as a real file: replaced in one step."""

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnsguard.core.observation import MAX_FILE
from dnsguard.host.resolvfile import Replaced, observe, replace
from unit.test_resolvfile import NEW, OLD, put_no_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a resolv.conf in a directory of its own."""
    path = tmp_path / "resolv.conf"
    path.write_bytes(OLD)
    return path


def _names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


class TestReplacing:
    """What a replacement does and leaves."""

    def test_a_file(self, path: Path) -> None:
        """Another inode with the new text, and nothing else in the directory."""
        before = path.stat().st_ino
        outcome = replace(path, NEW, observe(path))
        assert (outcome.result, outcome.error, outcome.aside) == (Replaced.DONE, None, None)
        assert path.read_bytes() == NEW
        assert path.stat().st_ino != before
        assert _names(path) == ["resolv.conf"]

    def test_a_reader_keeps_the_old_file(self, path: Path) -> None:
        """Who has it open reads on in what it opened."""
        with path.open("rb") as reader:
            replace(path, NEW, observe(path))
            assert reader.read() == OLD

    @pytest.mark.parametrize(
        "how", ["in place", "renamed", "gone", "touched", "linked", "same text"]
    )
    def test_what_has_changed_is_refused(self, path: Path, how: str) -> None:
        """Compare and swap: what somebody wrote after the look is not overwritten."""
        seen = observe(path)
        match how:
            case "in place":
                path.write_bytes(b"search other.example\n")
            case "renamed":
                _rename_over(path, b"search other.example\n")
            case "same text":
                _rename_over(path, OLD)
            case "gone":
                path.unlink()
            case "touched":
                os.utime(path, (1, 1))
            case _:
                path.rename(path.with_name("moved"))
                path.symlink_to("elsewhere")
        after = path.read_bytes() if path.exists() else None
        assert replace(path, NEW, seen).result is Replaced.CHANGED
        assert (path.read_bytes() if path.exists() else None) == after
        assert not [name for name in _names(path) if "dnsguard" in name]

    def test_what_was_missing_is_made(self, tmp_path: Path) -> None:
        """In one step, with nothing left beside it."""
        path = tmp_path / "resolv.conf"
        assert replace(path, NEW, observe(path)).result is Replaced.DONE
        assert path.read_bytes() == NEW
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert _names(path) == ["resolv.conf"]

    def test_what_was_missing_and_is_there_now_is_refused(self, tmp_path: Path) -> None:
        """Somebody was faster: link(2) doesn't overwrite."""
        path = tmp_path / "resolv.conf"
        seen = observe(path)
        path.write_bytes(OLD)
        assert replace(path, NEW, seen).result is Replaced.CHANGED
        assert path.read_bytes() == OLD

    @pytest.mark.parametrize(
        ("before", "after"), [(0o644, 0o644), (0o600, 0o644), (0o664, 0o664), (0o4755, 0o755)]
    )
    @pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
    def test_the_mode_is_kept_and_readable_to_all(
        self, path: Path, before: int, after: int, umask: int
    ) -> None:
        """Whatever the umask says: a resolver that can't be read is none."""
        path.chmod(before)
        with _umask(umask):
            replace(path, NEW, observe(path))
        assert stat.S_IMODE(path.stat().st_mode) == after

    def test_a_link_is_kept_and_its_target_replaced(self, path: Path) -> None:
        """/etc/resolv.conf may lead to /run: there it is written, and leads on."""
        target = path.parent / "run" / "resolv.conf"
        target.parent.mkdir()
        path.rename(target)
        middle = path.with_name("middle")
        middle.symlink_to("run/resolv.conf")
        path.symlink_to("middle")
        assert replace(path, NEW, observe(path)).result is Replaced.DONE
        assert (path.is_symlink(), middle.is_symlink(), target.is_symlink()) == (True, True, False)
        assert target.read_bytes() == path.read_bytes() == NEW

    def test_a_dangling_link_to_a_place_that_is_there(self, path: Path) -> None:
        """The file is made where the link wants it."""
        path.unlink()
        path.symlink_to("target")
        assert replace(path, NEW, observe(path)).result is Replaced.DONE
        assert path.is_symlink()
        assert path.with_name("target").read_bytes() == NEW

    def test_a_dangling_link_to_nowhere_becomes_a_file(self, path: Path) -> None:
        """systemd-resolved was removed, its directory too; the link is kept aside."""
        path.unlink()
        path.symlink_to("nowhere/stub-resolv.conf")
        outcome = replace(path, NEW, observe(path))
        assert outcome.result is Replaced.LINK_REPLACED
        assert outcome.error is not None
        assert not path.is_symlink()
        assert path.read_bytes() == NEW
        assert outcome.aside is not None
        assert outcome.aside.readlink() == Path("nowhere/stub-resolv.conf")

    @pytest.mark.parametrize("kind", ["directory", "fifo", "socket"])
    def test_what_is_no_file_is_set_aside(self, path: Path, kind: str) -> None:
        """Nothing foreign is deleted: it has another name now."""
        put_no_file(kind, path)
        before = path.lstat().st_ino
        outcome = replace(path, NEW, observe(path))
        assert outcome.result is Replaced.DONE
        assert path.read_bytes() == NEW
        assert outcome.aside is not None
        assert outcome.aside.lstat().st_ino == before

    def test_what_is_too_big_is_set_aside(self, path: Path) -> None:
        """With every byte, and under a new name each time."""
        asides = []
        for number in range(3):
            path.write_bytes(b"%d" % number * (MAX_FILE + 1))
            outcome = replace(path, NEW, observe(path))
            assert outcome.aside is not None
            asides.append(outcome.aside)
        contents = [aside.read_bytes()[:1] for aside in asides]
        assert contents == [b"0", b"1", b"2"]

    def test_files_set_aside_do_not_fill_the_disk(self, path: Path) -> None:
        """However often it happens, their number has a limit."""
        for _ in range(30):
            path.write_bytes(b"#" * (MAX_FILE + 1))
            assert replace(path, NEW, observe(path)).result is Replaced.DONE
        assert len(_names(path)) <= 10

    def test_a_directory_that_is_gone_is_said(self, tmp_path: Path) -> None:
        """No exception, an outcome."""
        path = tmp_path / "etc" / "resolv.conf"
        outcome = replace(path, NEW, observe(path))
        assert outcome.result is Replaced.FAILED
        assert isinstance(outcome.error, FileNotFoundError)

    def test_a_file_size_limit_is_said(self, path: Path) -> None:
        """What can't be written leaves the old file as it was."""
        seen = observe(path)
        with _file_size(0):
            outcome = replace(path, NEW, seen)
        assert outcome.result is Replaced.FAILED
        assert path.read_bytes() == OLD
        assert _names(path) == ["resolv.conf"]

    def test_a_stale_temporary_file_is_in_nobodys_way(self, path: Path) -> None:
        """A daemon that was killed in the middle left it; the same process number came back."""
        stale = path.with_name(f".resolv.conf.dnsguard-{os.getpid()}")
        stale.write_bytes(b"#" * 1000)
        stale.chmod(0o600)
        assert replace(path, NEW, observe(path)).result is Replaced.DONE
        assert path.read_bytes() == NEW
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def test_a_temporary_name_that_leads_away_is_not_followed(self, path: Path) -> None:
        """A link in its place is refused, and what it leads to is untouched."""
        victim = path.with_name("victim")
        victim.write_bytes(b"precious")
        path.with_name(f".resolv.conf.dnsguard-{os.getpid()}").symlink_to(victim.name)
        outcome = replace(path, NEW, observe(path))
        assert victim.read_bytes() == b"precious"
        assert (outcome.result is Replaced.DONE) is (path.read_bytes() == NEW)

    def test_the_kernel_is_asked_anew_after_a_change(self, path: Path) -> None:
        """Refused, looked at again, replaced: the daemon's own loop."""
        stale = observe(path)
        path.write_bytes(OLD + OLD)
        assert replace(path, NEW, stale).result is Replaced.CHANGED
        assert replace(path, NEW, observe(path)).result is Replaced.DONE


def _rename_over(path: Path, content: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(content)
    other.rename(path)


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _file_size(limit: int) -> Iterator[None]:
    """Let write(2) fail with EFBIG beyond the limit (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
