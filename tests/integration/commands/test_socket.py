"""Who may command the real daemon, and its socket under abuse."""

import os
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from lab.guard import POISON, UPSTREAM, Node, environment

pytestmark = pytest.mark.integration


NOBODY = 65534


def _as_nobody(guard: Node, tree: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    command = ["setpriv", *who, *guard.command(*arguments)]
    with guard.where.inside():
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment() | {"PYTHONPATH": str(tree)},
        )


@pytest.mark.parametrize("command", [["doctor"], ["kubelet", "adopt"]])
def test_what_only_root_may_is_77_without_a_daemon_too(
    guard: Node, readable_tree: Path, command: list[str]
) -> None:
    """One line, and not the status of what was found."""
    done = _as_nobody(guard, readable_tree, *command)
    assert (done.returncode, done.stderr.count("\n")) == (os.EX_NOPERM, 1)
    assert "root" in done.stderr


def test_what_only_root_can_read_is_not_judged(guard: Node, readable_tree: Path) -> None:
    """Whoever can't read kubelet's files is not told that pods get the node's own."""
    config = guard.root / "var/lib/kubelet/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("resolvConf: /var/lib/dnsguard/resolv.conf\n")
    pod_file = guard.root / "var/lib/dnsguard/resolv.conf"
    pod_file.parent.mkdir(parents=True, exist_ok=True)
    pod_file.write_text(f"nameserver {UPSTREAM}\n")
    assert _as_nobody(guard, readable_tree, "kubelet").returncode == 0
    config.parent.chmod(0o700)
    assert guard.run("kubelet").returncode == 0
    done = _as_nobody(guard, readable_tree, "kubelet")
    assert done.returncode == 1
    assert done.stdout.startswith("Nobody can tell which resolv.conf pods get: ")
    assert "Permission denied; run it as root" in done.stdout


def test_only_root_commands_and_anyone_asks(guard: Node, readable_tree: Path) -> None:
    """The kernel says who is at the other end of the socket (SO_PEERCRED)."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert _as_nobody(guard, readable_tree, "status").returncode == 0
        for command in (["hold", "upstream"], ["release"]):
            done = _as_nobody(guard, readable_tree, *command)
            assert done.returncode == os.EX_NOPERM
            assert done.stderr == f"dnsguard: {command[0]} refused: only root may: use sudo\n"
        assert guard.status()["mode"] == "guarding"
        guard.wait_for_line("client_refused", "may not hold", f"uid={NOBODY}")


def test_the_socket_takes_anything(guard: Node) -> None:
    """Garbage, half a line, a mebibyte, a thousand idle ones: told once, and served on."""
    path = str(guard.root / "run/dnsguard/control.sock")

    def connected() -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(path)
        return made

    with guard.guarded() as daemon, ExitStack() as stack:
        guard.wait_for(UPSTREAM)
        for noise in (b"\xff\x00{\n", b'{"version": 1, "requ', b"#" * (1 << 20)):
            for _ in range(5):
                client = stack.enter_context(connected())
                client.settimeout(5)
                with suppress(BrokenPipeError, ConnectionResetError):  # cut off in the middle
                    client.sendall(noise)
        for _ in range(900):
            stack.enter_context(connected())
        assert guard.status()["mode"] == "guarding"
        assert len(list(Path(f"/proc/{daemon.pid}/fd").iterdir())) < 100
        guard.file.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
    lines = guard.log.read_text().splitlines()
    refused = [line for line in lines if "client_refused" in line]
    assert 1 <= len(refused) <= 3, refused
