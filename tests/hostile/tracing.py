"""A fault put into a process by strace or short_io.c, and what became of it."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostile import calls
from hostile.calls import KILL, SHORT, Call, Fault
from hostile.scene import Scene

ATTACH = 10.0
MOST_OF_A_THREAD = 30
"""Calls of one name that the thread for the disk makes while the daemon starts."""


def strace(log: Path, *options: str) -> list[str]:
    return ["strace", "-q", "-y", "-o", str(log), *options]


def with_fault(scene: Scene, fault: Fault, command: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return how to run a command so that this goes wrong."""
    scene.is_strict = is_strict(fault)
    if fault.kind == SHORT:
        (scene.root / "short").write_text(str(fault.call.nth))
        return command, {"LD_PRELOAD": str(scene.lab.shim)}
    # Not through seccomp: strace 6.1 then forgets the signal on the way into a call.
    # And with -f each thread's N-th call fails: only where no other thread comes so far.
    is_alone = "run" not in command or fault.call.nth > MOST_OF_A_THREAD
    quick = ("-f", "--seccomp-bpf") if is_alone and fault.kind != KILL else ()
    return [*strace(scene.root / "trace", *quick, *fault.options()), *command], {}


def is_strict(fault: Fault) -> bool:
    """Tell whether a reader must see the old file or the new one at every instant.

    On a full disk the text is written in place, and a reader may come in between (dnsguard(8),
    THE FILE); what is there in the end is judged as ever.
    """
    return fault.kind != "ENOSPC"


def find_met(scene: Scene, fault: Fault) -> Call | None:
    if fault.kind == SHORT:
        return next(iter(_shorts(scene, fault.call.nth)), None)
    return calls.hit(read_trace(scene), scene.root, fault)


def _shorts(scene: Scene, first: int = 1) -> Iterator[Call]:
    """Yield what short_io.c told of."""
    log = scene.root / "short.log"
    if log.exists():
        for number, line in enumerate(log.read_text().splitlines(), first):
            name, place, *_ = line.split()
            yield Call(name, calls.normal(place.replace(str(scene.root), "/NODE", 1)), number)


def short_faults(scene: Scene) -> list[Fault]:
    return [Fault(call, SHORT) for call in _shorts(scene)]


@contextmanager
def attached(scene: Scene, thread: int, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Trace one thread of a daemon that runs."""
    words = scene.root / "strace.words"
    words.write_bytes(b"")
    # Not -qq: it says when it is attached.
    command = ["strace", "-y", "-o", str(scene.root / "trace"), *options, "-p", str(thread)]
    with words.open("wb") as file:
        tracer = subprocess.Popen(command, stderr=file)
    try:
        assert scene.watch(lambda: b"attached" in words.read_bytes(), ATTACH), words.read_text()
        yield tracer
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()


def list_threads(process: "subprocess.Popen[bytes]") -> list[int]:
    found = Path(f"/proc/{process.pid}/task").iterdir()
    return sorted(int(path.name) for path in found)


def read_trace(scene: Scene) -> str:
    path = scene.root / "trace"
    return path.read_text(errors="replace") if path.exists() else ""
