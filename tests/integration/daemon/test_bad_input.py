"""The real daemon with bad input, what can't be written, and a fault of its own."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from lab import needs
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node, environment
from lab.mounts import bound
from lab.wait import readable, until

from dnsguard.formats.guarded_resolvconf import unguard

pytestmark = pytest.mark.integration


FIRST_LOOK_FAILS = """
import sys
from dnsguard import cli, daemon

look = daemon.Daemon.look

def fail(self):
    daemon.Daemon.look = look
    raise ValueError("a fault that nobody foresaw")

daemon.Daemon.look = fail
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_fault_in_the_first_look_is_survived(guard: Node) -> None:
    """As one in any other: it is told, the daemon stays, and the next hint finds it at work."""
    command = [sys.executable, "-c", FIRST_LOOK_FAILS, "--root", str(guard.root), "run"]
    with guard.log.open("ab") as log:
        process = subprocess.Popen(command, stderr=log, env=environment())
    try:
        guard.wait_for_line("look_failed", "a fault that nobody foresaw")
        guard.file.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("started")
    finally:
        process.terminate()
    assert process.wait(10) == 0


def _make_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _make_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda file: file.write_bytes(b""), "names no nameserver"),
        (lambda file: file.unlink(), "missing"),
        (lambda file: file.write_bytes(b"#" * 70_000), "too-big"),
        (lambda file: file.write_bytes(bytes(range(256)) * 4), "names no nameserver"),
        (_make_directory, "not-a-file"),
        (_make_fifo, "not-a-file"),
    ],
    ids=["empty", "missing", "huge", "binary", "directory", "fifo"],
)
def test_bad_input_is_said_and_survived(guard: Node, spoil: object, says: str) -> None:
    """The daemon stays up, says what it found, and the file resolves names again."""
    assert callable(spoil)
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        spoil(guard.file)
        guard.wait_for_line("resolv_conf_written", says)
        guard.wait_for(UPSTREAM)
        assert guard.status()["degraded"] == []


def test_with_no_upstream_at_all_nothing_is_invented(guard: Node) -> None:
    """The cluster address is held back, the status says what to do, exit 2."""
    (guard.root / "etc/resolv.conf.bak").unlink()
    with guard.guarded():
        guard.wait_for()
        assert unguard(guard.file.read_bytes()) == POISON
        done = guard.run("status")
        assert done.returncode == 2
        assert "set upstream.servers" in done.stdout
        guard.wait_for_line("upstream_changed", "none")


def test_half_a_lease_and_a_damaged_state_are_no_reason_to_stop(guard: Node) -> None:
    """What is whole in the lease is used; the state is kept aside, and said."""
    (guard.root / "etc/resolv.conf.bak").unlink()
    leases = guard.root / "var/lib/dhcp/dhclient.eth0.leases"
    leases.parent.mkdir(parents=True)
    lease = f"lease {{\n  option domain-name-servers {UPSTREAM};\n}}\n"
    leases.write_text(lease + "lease {\n  option domain-name-ser")
    state = guard.root / "var/lib/dnsguard/state.json"
    state.parent.mkdir(parents=True)
    state.write_text('{"version": 99}')
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("state_unreadable", "version 99")
        until((state.parent / "state.json.unreadable").exists)


def test_systemd_is_told_what_is_in_the_file(guard: Node) -> None:
    """Its Status line with an immutable, poisoned file: DEGRADED first, and no upstream."""
    with tempfile.TemporaryDirectory() as short:  # as /etc/resolv.conf is: systemd's line is too
        node = Node(Path(short), guard.where)
        _chattr("+i", node.file)
        where = str(node.root / "notify")
        env = environment() | {"NOTIFY_SOCKET": where}
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
            node.log.open("ab") as log,
        ):
            systemd.bind(where)
            process = subprocess.Popen(node.command("run"), stderr=log, env=env)
            try:
                said = _heard(systemd)
            finally:
                _chattr("-i", node.file)
                process.terminate()
                process.wait(10)
    assert said.startswith("STATUS=DEGRADED: ")
    assert f"; guarding: {NODELOCAL}; " in said
    assert UPSTREAM not in said


def _heard(systemd: socket.socket) -> str:
    """Return the status that comes with READY."""
    while True:
        assert readable(systemd, within=10.0)
        lines = systemd.recv(65536).decode().splitlines()
        if "READY=1" in lines:
            return next(line for line in lines if line.startswith("STATUS="))


def test_an_immutable_file_is_said_with_its_remedy(guard: Node) -> None:
    """Immutable: rename and write are refused even to root; repaired once that ends."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.file.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
    guard.file.write_bytes(POISON)
    _chattr("+i", guard.file)
    try:
        with guard.guarded():
            guard.wait_for_line("resolv_conf_not_written", "chattr -i")
            assert "chattr -i" in guard.run("status").stdout
            # What is so, and not what was wanted; and what failed was no repair.
            guard.wait_for_line("mode_changed", f"nameservers={NODELOCAL}")
            status = guard.status()
            assert status["resolv_conf"]["nameservers"] == [NODELOCAL]
            assert len(status["degraded"]) == 1
            assert status["tramples"]["count"] == 0
            _chattr("-i", guard.file)
            guard.wait_for(UPSTREAM)
            until(lambda: not guard.status()["degraded"])
    finally:
        _chattr("-i", guard.file)


def _chattr(flag: str, path: Path) -> None:
    done = subprocess.run(["chattr", flag, path], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        needs.leave_out(f"immutable files: {done.stderr.strip()}")


def test_a_bind_mounted_file_is_overwritten_in_place(guard: Node) -> None:
    """A rename over a mount is refused (EBUSY): containers and ``ip netns`` have such files."""
    source = guard.root / "source"
    source.write_bytes(POISON)
    with bound(source, guard.file), guard.guarded():
        guard.wait_for(UPSTREAM)
        source.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("resolv_conf_written", "result=in-place")
