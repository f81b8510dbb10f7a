"""resolv.conf where somebody means harm, or the disk does."""

import errno
import os
import resource
import stat
from pathlib import Path

import pytest

from dnsguard.core.observation import MAX_FILE, Trouble
from dnsguard.host.resolvfile import Replaced, observe, replace

OLD, NEW = b"nameserver 169.254.25.10\n", b"nameserver 10.0.0.2\n"
SECRET = b"apiVersion: v1\nusers:\n- token: precious\n"
OTHER = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes files of another user")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a directory like /etc with root's own secret in it."""
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "admin.conf").write_bytes(SECRET)
    (etc / "admin.conf").chmod(0o600)
    return etc


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Return a directory like /run/systemd/resolve, of a user that is not root."""
    theirs = tmp_path / "resolve"
    theirs.mkdir()
    os.chown(theirs, OTHER, OTHER)
    return theirs


def _is_untouched(secret: Path) -> bool:
    return secret.read_bytes() == SECRET and stat.S_IMODE(secret.stat().st_mode) == 0o600


class TestAnotherUsersPlace:
    """On every node with systemd-resolved that user owns where resolv.conf leads."""

    @as_root
    @pytest.mark.parametrize("kind", ["link", "directory link", "private", "hard link"])
    def test_roots_secret_is_neither_read_nor_written(
        self, etc: Path, theirs: Path, kind: str
    ) -> None:
        """Whatever the user makes of the name: the first link gives way."""
        secret, path, file = etc / "admin.conf", etc / "resolv.conf", theirs / "resolv.conf"
        match kind:
            case "link":
                file.symlink_to(secret)
            case "directory link":
                (theirs / "way").symlink_to(etc)
                file = theirs / "way/admin.conf"
            case "hard link":  # where fs.protected_hardlinks is off
                os.link(secret, file)
            case _:
                file.write_bytes(SECRET)
                file.chmod(0o600)
        path.symlink_to(file)
        assert path.read_bytes() == SECRET, "control: the way is open to root"
        seen = observe(path)
        assert SECRET not in seen.content
        assert seen.trouble is Trouble.UNREADABLE
        outcome = replace(path, NEW, seen)
        assert outcome.result is Replaced.LINK_REPLACED
        assert _is_untouched(secret)
        assert (path.is_symlink(), path.read_bytes()) == (False, NEW)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    @as_root
    def test_what_everybody_may_read_there_is_read_and_not_written(
        self, etc: Path, theirs: Path
    ) -> None:
        """As systemd-resolved keeps it: the healthy node."""
        path, file = etc / "resolv.conf", theirs / "stub-resolv.conf"
        file.write_bytes(OLD)
        file.chmod(0o644)
        os.chown(file, OTHER, OTHER)
        path.symlink_to(file)
        seen = observe(path)
        assert (seen.content, seen.trouble) == (OLD, None)
        assert replace(path, NEW, seen).result is Replaced.LINK_REPLACED
        assert file.read_bytes() == OLD


class TestWhatALinkLeadsTo:
    """Is never set aside nor replaced unless it is a regular file, and a resolv.conf."""

    @as_root
    def test_a_device_stays_a_device(self, etc: Path) -> None:
        """resolv.conf -> /dev/null: a device of the test's own takes the part of the system's."""
        null = etc / "null"
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        path = etc / "resolv.conf"
        path.symlink_to("null")
        seen = observe(path)
        # In a container /tmp may be mounted nodev, and no device can be opened there.
        assert seen.trouble in (Trouble.NOT_A_FILE, Trouble.UNREADABLE)
        outcome = replace(path, NEW, seen)
        assert outcome.result is Replaced.LINK_REPLACED
        assert stat.S_ISCHR(null.lstat().st_mode)
        assert sorted(one.name for one in etc.iterdir()) == [
            "admin.conf",
            "null",
            "resolv.conf",
            "resolv.conf.dnsguard-aside.1",
        ]

    @pytest.mark.parametrize("kind", ["fifo", "directory"])
    def test_nothing_else_is_touched_either(self, etc: Path, kind: str) -> None:
        """A FIFO is not waited for."""
        place, path = etc / "place", etc / "resolv.conf"
        os.mkfifo(place) if kind == "fifo" else place.mkdir()
        before = place.lstat()
        path.symlink_to("place")
        assert replace(path, NEW, observe(path)).result is Replaced.LINK_REPLACED
        assert place.lstat().st_ino == before.st_ino
        assert path.read_bytes() == NEW

    @pytest.mark.parametrize("content", [SECRET, b"\0nameserver 192.0.2.1\n", b"x" * MAX_FILE * 5])
    def test_a_text_that_is_no_resolv_conf_is_none(self, etc: Path, content: bytes) -> None:
        """Root's own link by mistake: its text is not taken over, and stays."""
        (etc / "admin.conf").write_bytes(content)
        path = etc / "resolv.conf"
        path.symlink_to("admin.conf")
        seen = observe(path)
        assert seen.trouble in (Trouble.NOT_RESOLV_CONF, Trouble.TOO_BIG)
        assert seen.content == b""
        assert replace(path, NEW, seen).result is Replaced.LINK_REPLACED
        assert (etc / "admin.conf").read_bytes() == content

    @pytest.mark.parametrize(
        "content",
        [OLD, b"", b"# nothing yet\n\n", b"search lab.test\n", b"  nameserver 192.0.2.1\r\n"],
    )
    def test_a_resolv_conf_is_one(self, etc: Path, content: bytes) -> None:
        """Also an empty one: Debian's resolvconf makes it so before the first lease."""
        target, path = etc / "target", etc / "resolv.conf"
        target.write_bytes(content)
        path.symlink_to("target")
        assert observe(path).trouble is None
        assert replace(path, NEW, observe(path)).result is Replaced.DONE
        assert target.read_bytes() == NEW


class TestWhatIsKept:
    """Beside the text."""

    def test_a_file_that_users_cannot_read_is_seen_as_one(self, etc: Path) -> None:
        """Umask 077: right text, and no program but root's resolves."""
        path = etc / "resolv.conf"
        path.write_bytes(OLD)
        path.chmod(0o600)
        assert not observe(path).is_readable
        replace(path, NEW, observe(path))
        assert observe(path).is_readable

    def test_another_name_is_told_of(self, etc: Path) -> None:
        """It keeps the old text, and nobody would know why."""
        path = etc / "resolv.conf"
        path.write_bytes(OLD)
        os.link(path, etc / "second")
        assert replace(path, NEW, observe(path)).lost == ("another name of the same file (1)",)
        assert (etc / "second").read_bytes() == OLD

    @as_root
    def test_owner_group_and_acl_survive(self, etc: Path) -> None:
        """Also an ACL that would take the file from users again."""
        path = etc / "resolv.conf"
        path.write_bytes(OLD)
        os.chown(path, OTHER, OTHER)
        _set_acl(path)
        outcome = replace(path, NEW, observe(path))
        made = path.stat()
        assert (outcome.result, outcome.lost) == (Replaced.DONE, ())
        assert (made.st_uid, made.st_gid) == (OTHER, OTHER)
        assert stat.S_IMODE(made.st_mode) & 0o444 == 0o444
        assert os.listxattr(path) == ["system.posix_acl_access"]


def _set_acl(path: Path) -> None:
    """Give user 1000 the right to read and write, others none (struct posix_acl_xattr_header)."""
    version = (2).to_bytes(4, "little")

    def entry(tag: int, perm: int, who: int = 0xFFFFFFFF) -> bytes:
        return b"".join(
            (tag.to_bytes(2, "little"), perm.to_bytes(2, "little"), who.to_bytes(4, "little"))
        )

    entries = (entry(1, 6), entry(2, 6, 1000), entry(4, 4), entry(0x10, 6), entry(0x20, 0))
    try:
        os.setxattr(path, "system.posix_acl_access", version + b"".join(entries))
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("this filesystem has no ACLs")
        raise


def test_its_own_text_is_not_too_big(etc: Path) -> None:
    """What dnsguard adds to a text of 64 KiB, or holds back of 1,500 lines, is no foreign text."""
    from dnsguard.formats.address import parse_address
    from dnsguard.formats.guarded_resolvconf import guard

    path = etc / "resolv.conf"
    longest = MAX_FILE // 13
    for foreign in (b"#" * MAX_FILE, OLD * 1500, b"nameserver 1\n" * longest):
        guarded = guard(foreign, (parse_address("192.0.2.1"),))
        path.write_bytes(guarded)
        assert (len(guarded) > MAX_FILE, observe(path).content) == (True, guarded)
    path.write_bytes(b"#" * (MAX_FILE + 1))
    assert observe(path).trouble is Trouble.TOO_BIG


def test_one_failed_read_says_nothing_against_the_file(etc: Path) -> None:
    """No descriptor is left (EMFILE): the file is still known to be the one it was."""
    path = etc / "resolv.conf"
    path.write_bytes(OLD)
    before = observe(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        seen = observe(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (seen.trouble, seen.identity) == (Trouble.NOT_READ, before.identity)


def test_what_could_not_be_read_at_first_is_not_lost(tmp_path: Path) -> None:
    """The version that one look failed on is learned from by the next, not taken for known."""
    from dnsguard import config
    from dnsguard.guard import Guard
    from dnsguard.paths import Paths

    paths = Paths(tmp_path)
    (tmp_path / "etc").mkdir()
    foreign = b"# as it was\nnameserver 192.0.2.7\n"
    paths.foreign.parent.mkdir(parents=True)
    paths.foreign.write_bytes(foreign)
    paths.resolv_conf.write_bytes(b"# the new one\n" + OLD)
    node = Guard(paths, config.load(paths.config).policy, lambda _: None)
    node.refresh()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        plan = node.look()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not plan.is_settled
    node.look()
    node.apply_deferred()
    assert b"# the new one" in paths.resolv_conf.read_bytes()
    assert b"# the new one" in paths.foreign.read_bytes()
