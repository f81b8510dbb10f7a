"""The processes of a bench: who watches the file, who plays systemd, the daemon."""

import os
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench_tree import DEADLINE_S, CannotMeasureError, Tree


class Probe:
    """restore_probe.c, which see: it writes as a stranger, and sees the repair."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def poison(self, kind: str, tree: Tree, *, timeout_s: float) -> float | None:
        """Seconds until the file was safe again; None when that didn't happen in time."""
        answer = self._ask(f"poison {kind} {tree.root} {round(timeout_s * 1000)}")
        if answer == "unsafe":
            raise CannotMeasureError(f"{tree.resolv_conf} was unsafe before it was poisoned")
        return None if answer == "never" else int(answer) / 1e9

    def await_safe(self, tree: Tree, pid: int) -> tuple[float, float]:
        """When the file was safe (as time.monotonic()), and the CPU seconds of ``pid`` by then."""
        answer = self._ask(f"await {tree.root} {pid} {round(DEADLINE_S * 1000)}")
        if answer == "never":
            raise CannotMeasureError(f"{tree.resolv_conf} was not safe after {DEADLINE_S:g} s")
        moment, cpu = answer.split()
        return int(moment) / 1e9, int(cpu) / 1e9

    def _ask(self, command: str) -> str:
        if self._process.stdin is None or self._process.stdout is None:
            raise CannotMeasureError("the probe has no pipes")
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise CannotMeasureError(f"the probe ended at: {command}")
        return answer


class Notifications(threading.Thread):
    """What systemd is to the daemon: it reads every message and remembers when READY came.

    It reads to the end: a full queue would block the daemon.
    """

    def __init__(self, address: Path) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._ready = threading.Event()
        self._ready_at = 0.0

    def run(self) -> None:
        while True:
            message = self._socket.recv(4096)
            if not self._ready.is_set() and b"READY=1" in message.split(b"\n"):
                self._ready_at = time.monotonic()
                self._ready.set()

    def ready_at(self) -> float:
        if not self._ready.wait(DEADLINE_S):
            raise CannotMeasureError(f"no READY=1 within {DEADLINE_S:g} s")
        return self._ready_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A running dnsguard; times are those of time.monotonic()."""

    process: subprocess.Popen[bytes]
    started_at: float
    notifications: Notifications

    @property
    def pid(self) -> int:
        return self.process.pid


def environment() -> dict[str, str]:
    """About what systemd gives a service; nothing of the caller's that steers Python."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def give_probe_a_cpu(probe: Probe) -> None:
    """Put the spinning probe on one CPU, this process and all it will start on the others.

    Left to the scheduler, one repair in five waited a whole tick (4 ms) behind the spinning
    reader; and where a tool's process pushes the probe aside on the same CPU, the repair is
    done before the probe can even start its clock.
    """
    cpus = os.sched_getaffinity(0)
    if len(cpus) < 2:
        raise CannotMeasureError("two CPUs are needed: one for the reader that spins")
    own = max(cpus)
    os.sched_setaffinity(probe.pid, {own})
    os.sched_setaffinity(0, cpus - {own})
