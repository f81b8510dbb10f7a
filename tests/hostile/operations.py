"""What dnsguard does, done once more with one fault in it: secure, start, stop, repair.

Each operation records the calls of a run in which nothing fails, and is then run once for
each call and each kind of fault. ``secure`` and the start are the real command below
strace(1); for a stop and a repair strace is attached to one thread of a daemon that runs.
"""

import itertools
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from lab.guard import POISON

from hostile import calls
from hostile.calls import KILL, SHORT, Call, Fault
from hostile.scene import END, HEAL, Lab, Scene, copy, pin_nodelocal

SETTLE = 0.5
"""Seconds after a repair in which the rest is done: foreign text, prepared file, sync."""
ATTACH = 10.0
MOST_OF_A_THREAD = 30
"""Calls of one name that the thread for the disk makes while the daemon starts."""


@dataclass
class Outcome:
    """What came of one fault."""

    fault: Fault
    met: Call | None = None
    """The call that failed; None where the run never came to it."""
    problems: list[str] = field(default_factory=list)
    ended: int | None = None
    """The exit status, where the program ended."""
    scene: Scene | None = None
    """What it left, for the next start; None where it still runs."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A run in which nothing failed."""

    faults: list[Fault]
    scenes: list[Scene]
    """What it left."""


class Operation(Protocol):
    """One thing that dnsguard does."""

    name: str

    def record(self, at: Path) -> "Recording":
        """Return all that can go wrong in it."""

    def run(self, fault: Fault, at: Path) -> Outcome:
        """Have it go wrong."""

    def close(self) -> None:
        """End what still runs."""


def _strace(log: Path, *options: str) -> list[str]:
    return ["strace", "-q", "-y", "-o", str(log), *options]


def _with_fault(scene: Scene, fault: Fault, command: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return how to run a command so that this goes wrong."""
    scene.is_strict = _is_strict(fault)
    if fault.kind == SHORT:
        (scene.root / "short").write_text(str(fault.call.nth))
        return command, {"LD_PRELOAD": str(scene.lab.shim)}
    # Not through seccomp: strace 6.1 then forgets the signal on the way into a call.
    # And with -f each thread's N-th call fails: only where no other thread comes so far.
    is_alone = "run" not in command or fault.call.nth > MOST_OF_A_THREAD
    quick = ("-f", "--seccomp-bpf") if is_alone and fault.kind != KILL else ()
    return [*_strace(scene.root / "trace", *quick, *fault.options()), *command], {}


def _is_strict(fault: Fault) -> bool:
    """Tell whether a reader must see the old file or the new one at every instant.

    On a full disk the text is written in place, and a reader may come in between (dnsguard(8),
    THE FILE); what is there in the end is judged as ever.
    """
    return fault.kind != "ENOSPC"


def _met(scene: Scene, fault: Fault) -> Call | None:
    if fault.kind == SHORT:
        return next(iter(_shorts(scene, fault.call.nth)), None)
    return calls.hit(_trace(scene), scene.root, fault)


def _shorts(scene: Scene, first: int = 1) -> Iterator[Call]:
    """Yield what short_io.c told of."""
    log = scene.root / "short.log"
    if log.exists():
        for number, line in enumerate(log.read_text().splitlines(), first):
            name, place, *_ = line.split()
            yield Call(name, calls.normal(place.replace(str(scene.root), "/NODE", 1)), number)


def _short_faults(scene: Scene) -> list[Fault]:
    return [Fault(call, SHORT) for call in _shorts(scene)]


class Command:
    """A command that does its work and ends: ``secure``, or the naive writer."""

    def __init__(self, name: str, lab: Lab, template: Path, command: list[str] | None) -> None:
        self.name = name
        self._lab, self._template, self._command = lab, template, command

    def _line(self, scene: Scene) -> list[str]:
        if self._command is None:
            return scene.command("secure")
        return [*self._command, str(scene.root)]

    def record(self, at: Path) -> Recording:
        scene = copy(self._template, at, self._lab)
        trace = scene.root / "trace"
        self._finish(scene, scene.spawn([*_strace(trace), *self._line(scene)]))
        found = list(calls.parse(trace.read_text(errors="replace"), scene.root))
        scene = copy(self._template, at, self._lab)
        (scene.root / "short").write_text("0")
        self._finish(scene, scene.spawn(self._line(scene), LD_PRELOAD=str(self._lab.shim)))
        faults = calls.faults_of(filter(calls.is_any, found)) + _short_faults(scene)
        return Recording(faults, [scene])

    @staticmethod
    def _finish(scene: Scene, process: "subprocess.Popen[bytes]") -> int:
        if not scene.watch(lambda: process.poll() is not None, END):
            scene.problems.append("did not end")
            process.kill()
        return process.wait()

    def run(self, fault: Fault, at: Path) -> Outcome:
        scene = copy(self._template, at, self._lab)
        command, extra = _with_fault(scene, fault, self._line(scene))
        ended = self._finish(scene, scene.spawn(command, **extra))
        scene.inspect()
        return Outcome(fault, _met(scene, fault), scene.problems, ended, scene)

    def close(self) -> None:
        pass


class Start:
    """The daemon from its first instruction until it is ready; then it is stopped."""

    name = "start"

    def __init__(self, lab: Lab, template: Path) -> None:
        self._lab, self._template = lab, template

    def record(self, at: Path) -> Recording:
        scene = copy(self._template, at, self._lab)
        trace = scene.root / "trace"
        process = scene.spawn(["strace", "-D", *_strace(trace)[1:], *scene.command("run")])
        assert scene.await_ready(process), scene.log.read_text()
        assert scene.watch(scene.is_safe, HEAL), scene.log.read_text()
        found = list(calls.parse(trace.read_text(errors="replace"), scene.root))
        scene.stop(process)
        scene = copy(self._template, at, self._lab)
        (scene.root / "short").write_text("0")
        process = scene.spawn(scene.command("run"), LD_PRELOAD=str(self._lab.shim))
        assert scene.await_ready(process), scene.log.read_text()
        shorts = _short_faults(scene)
        scene.stop(process)
        return Recording(calls.faults_of(filter(calls.is_any, found)) + shorts, [scene])

    def run(self, fault: Fault, at: Path) -> Outcome:
        scene = copy(self._template, at, self._lab)
        command, extra = _with_fault(scene, fault, scene.command("run"))
        if command[0] == "strace":
            # The tracer is the child, so that what we have started is the daemon itself.
            command.insert(1, "-D")
        process = scene.spawn(command, **extra)
        if scene.await_ready(process):
            if not scene.watch(scene.is_safe, HEAL):
                scene.problems.append(f"runs, and is not safe: {scene.look()!r}")
            scene.stop(process)
        elif process.poll() is None:
            scene.problems.append("neither ready nor dead")
            process.kill()
        ended = process.wait()
        if fault.kind != SHORT:
            scene.watch(lambda: "+++" in _trace(scene), ATTACH)  # -D: the tracer ends behind it
        scene.inspect()
        return Outcome(fault, _met(scene, fault), scene.problems, ended, scene)

    def close(self) -> None:
        pass


@contextmanager
def _attached(scene: Scene, thread: int, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
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


def _threads(process: "subprocess.Popen[bytes]") -> list[int]:
    found = Path(f"/proc/{process.pid}/task").iterdir()
    return sorted(int(path.name) for path in found)


def _trace(scene: Scene) -> str:
    path = scene.root / "trace"
    return path.read_text(errors="replace") if path.exists() else ""


class Stop:
    """SIGTERM to a daemon that has the node handed to NodeLocalDNS: it has to write."""

    name = "stop"

    def __init__(self, lab: Lab, template: Path) -> None:
        self._lab, self._template = lab, template

    @contextmanager
    def _running(self, at: Path, **extra: str) -> Iterator[tuple[Scene, "subprocess.Popen[bytes]"]]:
        scene = copy(self._template, at, self._lab)
        pin_nodelocal(scene.root)
        with scene.guarded(**extra) as process:
            assert scene.await_ready(process), scene.log.read_text()
            assert scene.watch(scene.is_safe, HEAL), scene.log.read_text()
            scene.watch(_never, SETTLE)
            yield scene, process

    def _act(self, scene: Scene, process: "subprocess.Popen[bytes]") -> None:
        scene.stop(process)

    def record(self, at: Path) -> Recording:
        with self._running(at) as (scene, process):
            with _attached(scene, process.pid):
                self._act(scene, process)
            found = list(calls.parse(_trace(scene), scene.root))
        with self._running(at, LD_PRELOAD=str(self._lab.shim)) as (scene, process):
            (scene.root / "short").write_text("0")
            self._act(scene, process)
            shorts = _short_faults(scene)
            scene.stop(process)
        return Recording(calls.faults_of(filter(calls.is_any, found)) + shorts, [scene])

    def run(self, fault: Fault, at: Path) -> Outcome:
        extra = {"LD_PRELOAD": str(self._lab.shim)} if fault.kind == SHORT else {}
        with self._running(at, **extra) as (scene, process):
            if fault.kind == SHORT:
                (scene.root / "short").write_text(str(fault.call.nth))
                self._act(scene, process)
            else:
                with _attached(scene, process.pid, *fault.options()):
                    self._act(scene, process)
            met = _met(scene, fault)
            scene.stop(process)
            scene.inspect()
            return Outcome(fault, met, scene.problems, process.returncode, scene)

    def close(self) -> None:
        pass


class Hold(Stop):
    """An operator's command to a daemon on which another hold lies: both files are written."""

    name = "hold"

    def _act(self, scene: Scene, process: "subprocess.Popen[bytes]") -> None:
        command = scene.spawn(scene.command("hold", "upstream"))
        if not scene.watch(lambda: command.poll() is not None, END):
            scene.problems.append("hold hangs")
            command.kill()
        command.wait()
        scene.watch(lambda: process.poll() is not None, SETTLE)


class Poison(StrEnum):
    """How well a poison is known."""

    DECIDED = "decided"
    ALIKE = "alike"
    PREPARED = "prepared"


class Repair:
    """A daemon that runs, and somebody poisons the file; the next fault meets the same daemon.

    :param poison: one that it has met, for which a repair is prepared; one that differs from
        that in another line; or one that has to be decided.
    """

    def __init__(self, lab: Lab, template: Path, *, poison: Poison) -> None:
        self.name = f"repair, {poison}"
        self._lab, self._template, self._kind = lab, template, poison
        self._daemons: dict[tuple[Path, bool], tuple[Scene, subprocess.Popen[bytes]]] = {}
        self._rounds = itertools.count()

    def record(self, at: Path) -> Recording:
        scene, process = self._daemon(at, is_short=False)
        scenes, faults = [scene], []
        for thread in range(len(_threads(process))):
            self._poison(scene)
            with _attached(scene, _threads(process)[thread]):
                self._poison(scene, is_same=self._kind is Poison.PREPARED)
            text = _trace(scene)
            found = [call for call in calls.parse(text, scene.root) if calls.is_any(call)]
            faults += [_Threaded(call, kind, thread) for call in found for kind in call.kinds()]
        self._end(at, is_short=False)
        scene, process = self._daemon(at, is_short=True)
        self._poison(scene)
        (scene.root / "short").write_text("0")
        self._poison(scene, is_same=self._kind is Poison.PREPARED)
        shorts = _short_faults(scene)
        self._end(at, is_short=True)
        return Recording([*faults, *shorts], [*scenes, scene])

    def run(self, fault: Fault, at: Path) -> Outcome:
        is_short = fault.kind == SHORT
        scene, process = self._daemon(at, is_short=is_short)
        scene.problems = []
        scene.is_strict = _is_strict(fault)
        if self._kind is Poison.PREPARED:
            self._poison(scene)
        before = scene.names()
        thread = fault.thread if isinstance(fault, _Threaded) else 0
        threads = _threads(process)
        if thread >= len(threads):
            return Outcome(fault)
        if is_short:
            (scene.root / "short.log").unlink(missing_ok=True)
            (scene.root / "short").write_text(str(fault.call.nth))
            self._poison(scene, process, is_same=self._kind is Poison.PREPARED)
        else:
            with _attached(scene, threads[thread], *fault.options()):
                self._poison(scene, process, is_same=self._kind is Poison.PREPARED)
        met = _met(scene, fault)
        scene.inspect()
        outcome = Outcome(fault, met, scene.problems, process.poll())
        if outcome.ended is not None or scene.problems or scene.names() != before:
            self._end(at, is_short=is_short)
            outcome.ended, outcome.scene = process.returncode, scene
        return outcome

    def _daemon(self, at: Path, *, is_short: bool) -> tuple[Scene, "subprocess.Popen[bytes]"]:
        """Return the one that runs there, or start it."""
        if (at, is_short) not in self._daemons:
            scene = copy(self._template, at / f"{is_short}", self._lab)
            extra = {"LD_PRELOAD": str(self._lab.shim)} if is_short else {}
            scene.log.write_bytes(b"")
            process = scene.spawn(scene.command("run"), **extra)
            assert scene.await_ready(process), scene.log.read_text()
            assert scene.watch(scene.is_safe, HEAL), scene.log.read_text()
            for _ in range(2):  # until it has all its threads, and a prepared file
                self._poison(scene)
            self._daemons[at, is_short] = scene, process
        return self._daemons[at, is_short]

    def _poison(
        self,
        scene: Scene,
        process: "subprocess.Popen[bytes] | None" = None,
        *,
        is_same: bool = False,
    ) -> None:
        """Write the poison, and wait until it is repaired and all is quiet again."""
        if not is_same:
            number = f"{next(self._rounds):05}".encode()
            is_decided = self._kind is Poison.DECIDED  # by the words behind the address
            before, behind = (b"10\n", b"10 %b\n") if is_decided else (b"\n", b"\n# round %b\n")
            scene.poison = POISON.replace(before, behind % number, 1)
        text = scene.poison
        scene.olds.add(text)
        new = scene.root / "new"
        new.write_bytes(text)
        new.rename(scene.file)

        def is_over() -> bool:
            return scene.is_safe() or (process is not None and process.poll() is not None)

        if not scene.watch(is_over, HEAL):
            scene.problems.append(f"runs, and does not repair: {scene.look()!r}")
        foreign = scene.lib / "resolv.conf.foreign"

        def is_kept() -> bool:
            is_gone = process is not None and process.poll() is not None
            return is_gone or (foreign.exists() and foreign.read_bytes() == text)

        if not scene.watch(is_kept, HEAL):
            scene.problems.append("runs, and does not keep the foreign text")
        scene.watch(lambda: process is not None and process.poll() is not None, SETTLE)

    def _end(self, at: Path, *, is_short: bool) -> None:
        scene, process = self._daemons.pop((at, is_short))
        if process.poll() is None:
            scene.stop(process)
        process.wait()

    def close(self) -> None:
        for at, is_short in list(self._daemons):
            self._end(at, is_short=is_short)


@dataclass(frozen=True, slots=True)
class _Threaded(Fault):
    """A fault in one thread of a daemon, by its rank."""

    thread: int = 0

    def __str__(self) -> str:
        return f"{Fault.__str__(self)} of thread {self.thread}"


def _never() -> bool:
    return False
