"""A repair, done once more with one fault in it."""

import itertools
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.guard import POISON

from hostile import calls
from hostile.calls import SHORT, Fault
from hostile.operation import SETTLE, Outcome, Recording
from hostile.scene import HEAL, Lab, Scene, copy
from hostile.tracing import attached, find_met, is_strict, list_threads, read_trace, short_faults


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
        for thread in range(len(list_threads(process))):
            self._poison(scene)
            with attached(scene, list_threads(process)[thread]):
                self._poison(scene, is_same=self._kind is Poison.PREPARED)
            text = read_trace(scene)
            found = [call for call in calls.parse(text, scene.root) if calls.is_any(call)]
            faults += [_Threaded(call, kind, thread) for call in found for kind in call.kinds()]
        self._end(at, is_short=False)
        scene, process = self._daemon(at, is_short=True)
        self._poison(scene)
        (scene.root / "short").write_text("0")
        self._poison(scene, is_same=self._kind is Poison.PREPARED)
        shorts = short_faults(scene)
        self._end(at, is_short=True)
        return Recording([*faults, *shorts], [*scenes, scene])

    def run(self, fault: Fault, at: Path) -> Outcome:
        is_short = fault.kind == SHORT
        scene, process = self._daemon(at, is_short=is_short)
        scene.problems = []
        scene.is_strict = is_strict(fault)
        if self._kind is Poison.PREPARED:
            self._poison(scene)
        before = scene.names()
        thread = fault.thread if isinstance(fault, _Threaded) else 0
        threads = list_threads(process)
        if thread >= len(threads):
            return Outcome(fault)
        if is_short:
            (scene.root / "short.log").unlink(missing_ok=True)
            (scene.root / "short").write_text(str(fault.call.nth))
            self._poison(scene, process, is_same=self._kind is Poison.PREPARED)
        else:
            with attached(scene, threads[thread], *fault.options()):
                self._poison(scene, process, is_same=self._kind is Poison.PREPARED)
        met = find_met(scene, fault)
        scene.inspect()
        outcome = Outcome(fault, met, scene.problems, process.poll())
        if outcome.ended is not None or scene.problems or scene.names() != before:
            self._end(at, is_short=is_short)
            outcome.ended, outcome.scene = process.returncode, scene
        return outcome

    def _daemon(self, at: Path, *, is_short: bool) -> tuple[Scene, subprocess.Popen[bytes]]:
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
        process: subprocess.Popen[bytes] | None = None,
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
