"""The lock that our enter hook looks at, and the records that it leaves."""

import fcntl
import os
from pathlib import Path

import pytest

from dnsguard.host.hook import MOST_RECORDS, HookLock, read_records

TEXT = b"dnsguard-dhclient 1\nreason BOUND\ninterface eth0\nnameservers 10.0.0.2\n"


def _is_free(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_the_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    """Only root may open it, so that nobody else can hold it."""
    lock = tmp_path / "run/dhclient.lock"
    hook = HookLock(lock, tmp_path / "run/dhclient")
    assert lock.stat().st_mode & 0o777 == 0o600
    assert not _is_free(lock)
    hook.close()
    assert _is_free(lock)


def test_two_daemons_do_not_share_it(tmp_path: Path) -> None:
    """The second one is refused, and leaves no descriptor behind."""
    lock, directory = tmp_path / "dhclient.lock", tmp_path / "dhclient"
    first = HookLock(lock, directory)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names suffice
    with pytest.raises(BlockingIOError):
        HookLock(lock, directory)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    first.close()


def test_records_are_read_and_what_is_none_is_left_out(tmp_path: Path) -> None:
    """Half-written ones, garbage, FIFOs and directories name nothing."""
    (tmp_path / "4.eth0").write_bytes(TEXT)
    (tmp_path / ".4.eth1.77").write_bytes(TEXT)
    (tmp_path / "garbage").write_bytes(b"\xff" * 99)
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (found,) = read_records(tmp_path)
    assert (found.told.interface, str(found.told.nameservers[0])) == ("eth0", "10.0.0.2")
    assert found.written == (tmp_path / "4.eth0").stat().st_mtime


def test_records_are_bounded(tmp_path: Path) -> None:
    """No node has that many interfaces."""
    for number in range(2 * MOST_RECORDS):
        (tmp_path / f"4.eth{number}").write_bytes(TEXT.replace(b"eth0", b"eth%d" % number))
    assert len(read_records(tmp_path)) == MOST_RECORDS
    assert read_records(tmp_path / "nowhere") == ()
