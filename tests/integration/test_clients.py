"""What programs on the node see of the file: the C library in order, Go when it looks again."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lab import gobin, needs
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.wait import until

from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.host.watch import Watch

pytestmark = pytest.mark.integration

ROTATING = (
    f"nameserver {NODELOCAL}\nnameserver {UPSTREAM}\noptions timeout:1 rotate attempts:1\n".encode()
)
TRIES = 30
"""New processes; with ``rotate`` each begins with a server of its own choice."""
_ASK = """
mount --make-rprivate / && mount --bind "$0" /etc && for _ in $(seq "$1"); do
    getent ahostsv4 kubernetes.default.svc.cluster.local. >/dev/null && echo found
done
true
"""


def _found(guard: Node, etc: Path) -> int:
    """Return how many new processes find the cluster's name with glibc and this /etc."""
    command = ["unshare", "--mount", "sh", "-c", _ASK, str(etc), str(TRIES)]
    with guard.where.inside():
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.count("found")


def test_rotate_loses_no_cluster_name_while_nodelocal_shares_the_file(
    guard: Node, tmp_path: Path
) -> None:
    """Handed over, every process finds the cluster; the control is the file with ``rotate``."""
    guard.file.write_bytes(ROTATING)
    control = tmp_path / "control"
    control.mkdir()
    (control / "resolv.conf").write_bytes(ROTATING)
    with guard.guarded():
        guard.where.bridge("nodelocal", NODELOCAL)
        with nameserver(guard.where, NODELOCAL):
            guard.wait_for(NODELOCAL, UPSTREAM)
            until(lambda: not resolvconf.rotates(guard.file.read_bytes()))
            assert "; held back: options rotate" in guard.run("status").stdout
            assert b"\noptions timeout:1 attempts:1\n" in guard.file.read_bytes()
            assert _found(guard, guard.root / "etc") == TRIES
            assert _found(guard, control) < TRIES
        guard.wait_for(UPSTREAM)
        assert guarded_resolvconf.unguard(guard.file.read_bytes()) == ROTATING


GO_LOOKS = 5.0
"""Seconds between two looks of Go's resolver at the file's mtime (src/net/dnsclient_unix.go)."""
GOOD = f"nameserver {UPSTREAM}\n".encode()
_BIND = 'mount --make-rprivate / && mount --bind "$0" /etc && exec "$@"'


class Go:
    """A program with Go's resolver, that runs on and on."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def resolves(self) -> bool:
        """Ask for a name that no cache can have."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{time.monotonic_ns()}.example.\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the Go program has died"
        return not answer.startswith("failed")


@pytest.fixture
def whole_seconds(guard: Node, tmp_path: Path) -> Iterator[None]:
    """Put the node's /etc on a filesystem whose stamps have whole seconds (ext2, small inodes).

    There a write and its repair carry the same one as a matter of course; elsewhere it takes
    the luck of one tick of the kernel's clock, 4 ms.
    """
    needs.require("root", "namespaces")
    disk, etc = tmp_path / "disk", guard.root / "etc"
    with disk.open("wb") as file:
        file.truncate(1 << 22)
    subprocess.run(["mkfs.ext2", "-q", "-I", "128", disk], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", disk, etc], capture_output=True, check=False)
    if done.returncode:
        needs.leave_out(f"loop devices: {done.stderr.decode().strip()}")
    try:
        (etc / "dnsguard").mkdir()
        (etc / "resolv.conf.bak").write_bytes(GOOD)
        guard.file.write_bytes(GOOD)
        yield
    finally:
        subprocess.run(["umount", "--lazy", etc], check=True)


@pytest.fixture
def go(guard: Node, whole_seconds: None) -> Iterator[Go]:
    """Run the program with the node's /etc for its own; it has read the good file."""
    del whole_seconds
    command = ["unshare", "--mount", "sh", "-c", _BIND, str(guard.root / "etc")]
    with guard.where.spawn([*command, str(gobin.lookup())]) as process:
        try:
            made = Go(process)
            until(made.resolves)
            yield made
        finally:
            process.kill()


def _poison(guard: Node, go: Go, text: bytes) -> int:
    """Poison the file, let Go see that, and return once the clock says the file's own mtime."""
    stamp = int(time.time()) + 2 * int(GO_LOOKS)
    guard.file.write_bytes(text)
    os.utime(guard.file, (stamp, stamp))
    until(lambda: not go.resolves(), within=2 * GO_LOOKS)
    until(lambda: time.time() >= stamp, within=3 * GO_LOOKS)
    return stamp


@gobin.needed
def test_go_never_sees_a_repair_with_the_mtime_of_the_poison(guard: Node, go: Go) -> None:
    """The control: the file says who answers, and Go asks nobody but the one it has read of."""
    stamp = _poison(guard, go, POISON)
    new = guard.root / "etc/new"
    new.write_bytes(GOOD)
    os.utime(new, (stamp, stamp))
    new.rename(guard.file)
    with pytest.raises(TimeoutError):
        until(go.resolves, within=2 * GO_LOOKS + 1)


@gobin.needed
@pytest.mark.parametrize("more", [b"", b"options ndots:2\n"], ids=["known", "new"])
def test_go_sees_our_repair_of_the_same_second(guard: Node, go: Go, more: bytes) -> None:
    """Its mtime is later than the poison's, though the clock's is the same."""
    guard.file.write_bytes(POISON)
    with guard.guarded() as daemon:
        guard.wait_for(UPSTREAM)
        until(go.resolves, within=2 * GO_LOOKS)
        daemon.send_signal(signal.SIGSTOP)
        try:
            stamp = _poison(guard, go, POISON + more)
        finally:
            daemon.send_signal(signal.SIGCONT)
        guard.wait_for(UPSTREAM)
        until(go.resolves, within=2 * GO_LOOKS)
        assert guard.file.stat().st_mtime > stamp


@pytest.mark.usefixtures("whole_seconds")
def test_what_can_not_lie_ready_is_not_tried_again(guard: Node) -> None:
    """A later mtime than the poison's can't be set there beforehand; no look writes in vain."""
    guard.file.write_bytes(POISON)
    etc = guard.root / "etc"
    with guard.guarded() as daemon, closing(Watch()) as watch:
        guard.wait_for(UPSTREAM)
        until(lambda: not guard.status()["degraded"])
        until(lambda: not list(etc.glob(".resolv.conf.dnsguard-*")))
        watch.cover([etc])
        for _ in range(3):
            behind = guard.log.stat().st_size
            daemon.send_signal(signal.SIGHUP)  # which leads to a look
            guard.wait_for_line("reloaded", behind=behind)
        guard.status()
        assert not [one for one in watch.drain().paths if ".dnsguard-" in one.name]
