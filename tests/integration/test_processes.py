"""Processes as a real /proc lists them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import needs, wait

from dnsguard.host import processes
from dnsguard.host.processes import Process

pytestmark = pytest.mark.integration

PROC = Path("/proc")
NAME = f"dg-{os.getpid()}-kubelet"
NAMES = frozenset({NAME})

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a way to start a process that lives as long as the test, by any name."""
    started: list[subprocess.Popen[bytes]] = []

    def start_it(*arguments: str, user: int | None = None) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [arguments[0], "-c", "read x", "sh", *arguments[1:]],
            executable="/bin/sh",
            stdin=subprocess.PIPE,
            user=user,
        )
        started.append(process)
        _wait_for(process)
        return process

    yield start_it
    for process in started:
        process.kill()
        process.communicate()


def _wait_for(process: "subprocess.Popen[bytes]") -> None:
    """Wait for its arguments: they come a moment after execve(2) has closed our pipe."""
    wait.until(lambda: bool(processes.read_arguments(PROC, process.pid)))


def _only(found: list[Process]) -> Process:
    assert len(found) == 1
    return found[0]


def test_it_is_found_by_the_name_it_was_started_with(start: Start) -> None:
    """The last part of argv[0], with its arguments, its start and its owner."""
    before = time.time()
    started = start(f"/usr/local/bin/{NAME}", "--config=/etc/a b", "--empty=", "")
    found = _only(processes.find_running(PROC, NAMES))
    assert found.pid == started.pid
    assert found.arguments[-3:] == ("--config=/etc/a b", "--empty=", "")
    assert before - 0.1 < found.started < time.time() + 0.1
    assert (found.uid, found.is_nested) == (0, False)
    assert processes.read_start(PROC, found.pid) == found.ticks


def test_it_is_found_by_the_kernels_name_of_it(tmp_path: Path) -> None:
    """Where argv[0] says something else; the kernel keeps 15 characters."""
    program = tmp_path / NAME
    program.symlink_to("/bin/sleep")
    with subprocess.Popen(["something else", "60"], executable=program) as started:
        _wait_for(started)
        found = [one.pid for one in processes.find_running(PROC, NAMES)]
        started.kill()
    assert found == [started.pid]


def test_the_owner_is_not_what_a_command_line_says(start: Start) -> None:
    """Anybody may call a process ``kubelet``."""
    start(NAME, user=65534)
    assert _only(processes.find_running(PROC, NAMES)).uid == 65534


def test_a_search_finds_roots_alone(start: Start) -> None:
    """In slices of any size, and whatever others call theirs."""
    theirs = [start(NAME, user=65534).pid for _ in range(5)]
    mine = start(NAME).pid
    assert {*theirs, mine} <= {one.pid for one in processes.find_running(PROC, NAMES)}
    search = processes.Search(PROC, NAMES)
    slices = 1
    while search.go_on(0.0):
        slices += 1
    assert [one.pid for one in search.found] == [mine]
    assert slices > 5
    assert not search.go_on(0.0)


def test_a_search_without_proc(tmp_path: Path) -> None:
    """It has ended before it began."""
    search = processes.Search(tmp_path / "proc", NAMES)
    assert not search.go_on(1.0)
    assert search.found == []


def test_a_containers_process_is_told_from_the_nodes() -> None:
    """It lives in a PID namespace of its own."""
    needs.require("root", "namespaces")
    inside = f"exec -a {NAME} sleep 60"
    command = ["unshare", "--pid", "--fork", "--kill-child", "bash", "-c", inside]
    with subprocess.Popen(command) as outside:
        wait.until(lambda: bool(processes.find_running(PROC, NAMES)))
        found = processes.find_running(PROC, NAMES)
        outside.kill()
    assert _only(found).is_nested


def test_what_has_ended_is_not_there(start: Start) -> None:
    """Neither a zombie nor a pid that nobody has."""
    started = start(NAME)
    started.kill()
    os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT)
    assert processes.read_process(PROC, started.pid) is None
    assert processes.read_start(PROC, started.pid) is None
    started.communicate()
    assert processes.read_process(PROC, started.pid) is None
    assert processes.find_running(PROC, NAMES) == []


def test_no_proc_at_all(tmp_path: Path) -> None:
    """A root without /proc has no processes."""
    assert processes.find_running(tmp_path / "proc", NAMES) == []


@pytest.mark.parametrize("user", [0, 65534])
def test_the_units_sandbox_sees_it(start: Start, tmp_path: Path, user: int) -> None:
    """ProtectProc=invisible, ProcSubset=pid, no capability: group root sees everybody."""
    needs.require("root", "namespaces")
    started = start(NAME, user=user)
    look = (
        "import sys; from pathlib import Path; from dnsguard.host import processes\n"
        f"where = Path({str(tmp_path)!r}), frozenset([{NAME!r}])\n"
        "found, = processes.find_running(*where)\n"
        "search = processes.Search(*where)\n"
        "assert not search.go_on(60)\n"
        "assert [one.pid for one in search.found] == [found.pid] * (found.uid == 0)\n"
        "assert (where[0] / str(found.pid) / 'cgroup').read_bytes()\n"
        "print(found.pid, found.uid, found.arguments[0])"
    )
    mount = f"mount -t proc -o hidepid=invisible,subset=pid proc {tmp_path}"
    drop = "exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs"
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            f'{mount} && {drop} "$@"',
            "sh",
            sys.executable,
            "-c",
            look,
        ],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(started.pid), str(user), NAME]
