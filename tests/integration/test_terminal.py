"""What every command writes, wherever it goes: terminals, pipes without a reader, full disks."""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import needs
from lab.guard import NODELOCAL, UPSTREAM, Node, environment
from lab.terminal import Terminal
from lab.wait import until

from dnsguard import cli

pytestmark = pytest.mark.integration

BAD = "\x1b[2J\x1b]0;owned\x07\r\x08\x7f\u009b2J\u202e\u2028"
RAW = BAD.encode() + b"\x9b2J\xff"
"""Clears the screen, names the window, goes back, turns the line around; no UTF-8 at its end."""
OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?(?:1049|25)[hl]|\x1b\[[HKJ]")

COMMANDS: dict[str, list[list[str]]] = {
    "status": [["status"], ["status", "--json"], ["status", "--wait", "safe", "--timeout", "2s"]],
    "watch": [],
    "check": [["check"]],
    "wait": [["wait", "--timeout", "2s"]],
    "hold": [["hold", "upstream", "--for", "1h"], ["hold", BAD]],
    "release": [["release"]],
    "forget": [["forget", "192.0.2.99"], ["forget", BAD]],
    "events": [["events", "--since", BAD]],
    "metrics": [["metrics"]],
    "restore": [["restore"], ["restore", "--yes"]],
    "plan": [["plan"], ["plan", "--json"]],
    "upstreams": [["upstreams"], ["upstreams", "--json"]],
    "forecast": [["forecast"], ["forecast", "--json"]],
    "kubelet": [
        ["kubelet"],
        ["kubelet", "--json"],
        ["kubelet", "adopt", "--dry-run"],
        ["kubelet", "adopt"],
        ["kubelet", "adopt", "--undo"],
    ],
    "doctor": [["doctor"], ["doctor", "--json"]],
    "secure": [["secure"]],
    "check-config": [["check-config"], ["check-config", f"/no{BAD}"]],
    "run": [],
}
"""Every command, with what is tried of it; the rest have tests of their own."""
ALL = [arguments for each in COMMANDS.values() for arguments in each]
SPEAKING = [["--version"], ["--help"], ["hold", "--help"], *ALL]


def test_every_command_is_here() -> None:
    """So that a new one is tried, too."""
    parser = cli._make_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands.choices) == set(COMMANDS)


@pytest.fixture
def hostile(guard: Node) -> Node:
    """Return a node with such bytes in every file that a command shows."""

    def write(name: bytes | str, content: bytes) -> None:
        path = guard.root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    write("etc/resolv.conf", b"# %b\nsearch a%b\nnameserver %b\n" % (RAW, RAW, NODELOCAL.encode()))
    write(b"etc/resolv.conf.%b.bak" % RAW, f"nameserver {UPSTREAM}\n".encode())
    write(
        "etc/dhcp/dhclient.conf",
        b'supersede domain-name "%b";\nsupersede domain-name-servers 169.254.25.10;\n' % RAW,
    )
    write(
        b"etc/dhcp/dhclient-exit-hooks.d/%b" % RAW.replace(b"/", b""),
        b'echo "nameserver 169.254.25.10 %b" > /etc/resolv.conf\n' % RAW,
    )
    write(
        "var/lib/dhcp/dhclient.eth0.leases",
        b'lease {\n interface "eth0%b";\n option domain-name "%b";\n'
        b" option domain-name-servers 192.0.2.7;\n expire never;\n}\n" % (RAW, RAW),
    )
    write("var/lib/kubelet/config.yaml", f'resolvConf: "/x{BAD.translate(ESCAPED)}"\n'.encode())
    origin = [{"address": "192.0.2.8", "origin": BAD, "seen": 1.0, "interface": BAD}]
    write("var/lib/dnsguard/state.json", json.dumps({"version": 2, "remembered": origin}).encode())
    write("var/lib/dnsguard/resolv.conf", b"nameserver 192.0.2.53\n# %b\n" % RAW)
    write(
        "run/dnsguard/dhclient/eth0",
        b"dnsguard-dhclient 1\nreason BOUND\ninterface eth0\ndomain %b\nnameservers 192.0.2.9\n"
        % RAW,
    )
    write(b"etc/netplan/%b.yaml" % RAW, b"network: {ethernets: {e: {nameservers: 192.0.2.6}}}\n")
    return guard


ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in BAD if not c.isprintable()}
"""As YAML has them in a double-quoted text."""


def _see_that_it_is_harmless(said: bytes) -> None:
    text = OURS.sub("", said.decode())
    odd = {c for c in text.replace("\r\n", "\n") if not (c.isprintable() or c == "\n")}
    assert not odd, (odd, text)


def _said(guard: Node, *arguments: str) -> bytes:
    with guard.where.inside():
        done = subprocess.run(
            guard.command(*arguments),
            capture_output=True,
            check=False,
            env=environment(),
            timeout=30,
        )
    assert b"Traceback" not in done.stderr, done.stderr.decode("utf-8", "replace")
    return done.stdout + done.stderr


def test_nothing_from_a_file_reaches_a_pipe_raw(hostile: Node) -> None:
    """With a daemon and without one, in text and as JSON; cat of the same files does it."""
    with pytest.raises(UnicodeDecodeError):
        _see_that_it_is_harmless(hostile.file.read_bytes())
    assert b"\x1b[2J" in hostile.file.read_bytes()
    for arguments in ALL:
        _see_that_it_is_harmless(_said(hostile, *arguments))
    with hostile.guarded():
        for arguments in ALL:
            said = _said(hostile, *arguments)
            _see_that_it_is_harmless(said)
    _see_that_it_is_harmless(hostile.log.read_bytes())
    assert "\\x1b[2J" in hostile.log.read_text() + _said(hostile, "forecast").decode()


def test_nothing_from_a_file_reaches_a_terminal_raw(hostile: Node) -> None:
    """Folded and coloured it is the same."""
    with hostile.guarded():
        for arguments in (["status"], ["plan"], ["upstreams"], ["forecast"], ["kubelet"]):
            _see_that_it_is_harmless(Terminal(hostile, 80, *arguments).read().encode())
        terminal = Terminal(hostile, 80, "watch")
        terminal.wait_for("guarding")
        terminal.type(b"q")
        _see_that_it_is_harmless(terminal.read().encode())


def test_a_bad_configuration_is_shown_and_not_obeyed(hostile: Node) -> None:
    """The error names the line, whatever is in it."""
    (hostile.root / "etc/dnsguard/dnsguard.toml").write_text(f'"{BAD.translate(ESCAPED)}" = 1\n')
    for arguments in (["check-config"], ["run"], ["secure"], ["plan"], ["forecast"]):
        said = _said(hostile, *arguments)
        assert b"\\x1b[2J" in said, arguments
        _see_that_it_is_harmless(said)


# --- pipes, full disks, closed descriptors


def _shell(guard: Node, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in bash; "$@" is the command."""
    with guard.where.inside():
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {script}", "bash", *guard.command(*arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
            timeout=60,
        )


@contextmanager
def _quiet_pipe() -> Iterator[int]:
    """Yield the end of a pipe that nobody reads any more."""
    read, write = os.pipe()
    os.close(read)
    try:
        yield write
    finally:
        os.close(write)


def test_a_reader_that_has_gone_is_no_error(guard: Node) -> None:
    """Quiet, and the status a shell gives for SIGPIPE; cat(1) ends the same way."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        for arguments in SPEAKING:
            with _quiet_pipe() as nowhere, guard.where.inside():
                done = subprocess.run(
                    guard.command(*arguments),
                    stdout=nowhere,
                    stderr=subprocess.PIPE,
                    check=False,
                    env=environment(),
                    timeout=30,
                )
            assert b"Broken" not in done.stderr, (arguments, done.stderr)
            assert b"Traceback" not in done.stderr, (arguments, done.stderr)
            assert done.returncode != 120, arguments
            if not done.stderr and arguments[0] not in ("wait", "secure"):
                assert done.returncode == 141, arguments
    assert _shell(guard, "cat /dev/zero | true").returncode == 141


def test_stdout_that_cannot_be_written_is_one_clear_line(guard: Node) -> None:
    """A full disk and a closed descriptor: an error, as from coreutils, and never a traceback."""
    ends = {">/dev/full": "No space left on device", ">&-": "Bad file descriptor"}
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        for arguments in SPEAKING:
            for end, why in ends.items():
                if arguments == ["release"]:
                    guard.run("hold", "upstream")
                done = _shell(guard, f'"$@" {end}', *arguments)
                assert "Traceback" not in done.stderr, (arguments, end, done.stderr)
                if done.returncode == os.EX_IOERR:
                    last = done.stderr.splitlines()[-1]
                    assert last == f"dnsguard: standard output: {why}", (arguments, done.stderr)
                else:
                    assert not guard.run(*arguments).stdout, (arguments, end, done)


def test_stderr_that_cannot_be_written_changes_nothing(guard: Node) -> None:
    """The exit status tells, and what is done is done."""
    for end in ("2>&-", "2>/dev/full", "<&- 2>&-", "<&- >&- 2>&-"):
        for arguments in (["status"], ["check-config", "/no/such"], ["restore"], ["nonsense"]):
            plain = guard.run(*arguments).returncode
            done = _shell(guard, f'"$@" {end}', *arguments)
            assert done.returncode in (plain, os.EX_IOERR), (arguments, end, done)
            assert "Traceback" not in done.stdout
        guard.file.write_bytes(b"nameserver 169.254.25.10\n")
        assert _shell(guard, f'"$@" {end}', "secure").returncode == 0
        assert guard.servers() == [UPSTREAM]


@pytest.mark.parametrize("arguments", [["watch"], ["events", "--follow"]])
def test_what_goes_on_ends_with_its_reader(guard: Node, arguments: list[str]) -> None:
    """Though nothing is written that could fail: it waits for what happens next."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        read, write = os.pipe()
        with guard.where.inside():
            process = subprocess.Popen(
                guard.command(*arguments), stdout=write, stderr=subprocess.PIPE, env=environment()
            )
        os.close(write)
        if arguments == ["watch"]:
            assert os.read(read, 10)
        else:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            until(lambda: bool(children.read_text()) or process.poll() is not None)
        os.close(read)
        _, said = process.communicate(timeout=30)
    assert said == b"" or b"journal" in said
    assert process.returncode == 141 or b"journal" in said


def test_the_daemon_outlives_the_reader_of_its_log(guard: Node) -> None:
    """Its log goes to a pipe that nobody reads any more; the file is repaired all the same."""
    guard.log.touch()
    read, write = os.pipe()
    with guard.where.inside():
        process = subprocess.Popen(guard.command("run"), stderr=write, env=environment())
    os.close(write)
    try:
        guard.wait_for(UPSTREAM)
        os.close(read)
        for number in range(3):
            guard.file.write_bytes(b"# %d\nnameserver 169.254.25.10\n" % number)
            guard.wait_for(UPSTREAM)
        assert guard.status()["mode"] == "guarding"
    finally:
        process.terminate()
    assert process.wait(10) == 0


# --- what stands in the place of a file


@pytest.mark.parametrize("what", ["fifo", "directory", "device", "huge", "digits", "brackets"])
def test_odd_files_keep_nobody_from_safety(guard: Node, what: str) -> None:
    """As configuration, state, hold, foreign and pods' file: ``secure`` and the daemon go on."""
    content = {
        "huge": b"#" * (1 << 20),
        "digits": b'{"version": 1' + b"0" * 400 + b"}",
        "brackets": b"[" * 5000,
    }
    names = ("state.json", "resolv.conf.foreign")
    odd = [guard.root / "var/lib/dnsguard" / name for name in names]
    odd += [guard.root / "run/dnsguard/hold.json", guard.root / "etc/dnsguard/dnsguard.toml"]
    for path in odd:
        path.parent.mkdir(parents=True, exist_ok=True)
        if what == "fifo":
            os.mkfifo(path)
        elif what == "directory":
            path.mkdir()
        elif what == "device":
            path.symlink_to("/dev/zero")
        else:
            path.write_bytes(content[what])
    done = guard.run("secure")
    assert "going by the defaults" in done.stderr, done
    assert guard.servers() == [UPSTREAM]
    refused = guard.run("run")
    assert refused.returncode == os.EX_CONFIG
    assert refused.stderr.count("\n") == 1
    assert guard.run("check-config").returncode == os.EX_CONFIG
    odd[-1].rename(odd[-1].with_name("aside"))
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("state_unreadable", "state.json")
        guard.wait_for_line("state_unreadable", "hold.json")


_NO_DEVICE = """\
mount -t tmpfs -o nodev none "$1" && mknod "$1/null" c 1 3 && mount --bind "$1/null" /dev/null || exit 99
shift
cat /dev/null && exit 98
exec "$@"
"""


def test_a_node_whose_dev_null_is_out_of_reach(tmp_path: Path) -> None:
    """Nothing is asked of it while descriptors 0 to 2 are open; the shell is the control.

    kubelet in a container is often given a /dev/kmsg that is a link to /dev/null, and then the
    unit's ProtectKernelLogs= covers that.
    """
    needs.require("root", "namespaces")
    command = (sys.executable, "-m", "dnsguard", "--version")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _NO_DEVICE, "sh", tmp_path, *command],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "dnsguard" in done.stdout
