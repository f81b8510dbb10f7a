"""One operation, all its faults, within a time: what was covered, and what went wrong."""

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hostile.calls import KILL, Circle, Fault, circle, urgency
from hostile.operation import Operation, Outcome
from hostile.scene import Scene, next_start

LATE = frozenset({"did not stop within systemd's time", "neither ready nor dead"})


@dataclass
class Report:
    """The figures of one operation."""

    name: str
    planned: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    near: Counter[tuple[Circle, bool]] = field(default_factory=Counter)
    """Faults by where they are, planned and, of these, met."""
    others: int = 0
    """Faults that met another call than the one meant: the run was not the recorded one."""
    missed: int = 0
    """Faults that the run never came to."""
    ends: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    late: list[str] = field(default_factory=list)
    """Faults after which something took too long at the first try."""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        kinds = ", ".join(
            f"{kind} {self.met[kind]}/{self.planned[kind]}" for kind in sorted(self.planned)
        )
        ends = ", ".join(f"{end}: {number}" for end, number in sorted(self.ends.items()))
        return (
            f"{self.name}: {self._part(Circle.OWN)} faults met in calls on its own files,"
            f" {self._part(Circle.NODE)} on the node's others and its traffic,"
            f" {self._part(Circle.INTERPRETER)} on the interpreter's\n"
            f"    {kinds}\n"
            f"    besides {self.others} met another call and {self.missed} none; ended {ends};"
            f" {self.starts} different remains started anew; {len(self.problems)} problems;"
            f" {self.seconds:.0f} s" + "".join(f"\n    late at first: {one}" for one in self.late)
        )

    def _part(self, where: Circle) -> str:
        return f"{self.near[where, True]} of {self.near[where, False]}"


class Campaign:
    """Runs faults side by side, those on the node's files first, until its time is up."""

    def __init__(self, operation: Operation, work: Path, *, seconds: float, seed: int) -> None:
        self._operation, self._work, self._seed = operation, work, seed
        self._began = time.monotonic()
        self._deadline = self._began + seconds
        self._lock = threading.Lock()
        self._expected: set[str] = set()
        self._known: dict[str, list[str]] = {}
        self.report = Report(operation.name)

    def run(self, *, workers: int = 2, only: Callable[[Fault], bool] = lambda _: True) -> Report:
        recording = self._operation.record(self._work / "record")
        for scene in recording.scenes:
            self._learn_what_is_left(scene)
        faults = queue.SimpleQueue[Fault]()
        for fault in self._in_order([one for one in recording.faults if only(one)]):
            self.report.planned[fault.kind] += 1
            self.report.near[circle(fault.call), False] += 1
            faults.put(fault)
        with ThreadPoolExecutor(workers) as pool:
            places = [self._work / f"{number}" for number in range(workers)]
            jobs = [pool.submit(self._work_through, faults, at) for at in places]
        self._operation.close()
        for job in jobs:
            job.result()
        self.report.seconds = time.monotonic() - self._began
        return self.report

    def _in_order(self, faults: list[Fault]) -> list[Fault]:
        """Put its own files first, and there what has most to tell."""
        dice = random.Random(self._seed)  # noqa: S311 -- a sample, no secret
        dice.shuffle(faults)
        return sorted(faults, key=lambda fault: (circle(fault.call), urgency(fault)))

    def _learn_what_is_left(self, scene: Scene) -> None:
        """Note the names that a start and a stop leave where nothing has failed."""
        scene.problems = []
        next_start(scene)
        assert not scene.problems, scene.problems
        self._expected |= scene.names()

    def _work_through(self, faults: "queue.SimpleQueue[Fault]", at: Path) -> None:
        while time.monotonic() < self._deadline:
            try:
                outcome = self._run(faults.get_nowait(), at)
            except queue.Empty:
                return
            if outcome.scene is not None:
                outcome.problems = [*outcome.problems, *self._aftermath(outcome.scene)]
            with self._lock:
                self._count(outcome)

    def _run(self, fault: Fault, at: Path) -> Outcome:
        """Have it go wrong; what took too long, and nothing else, is tried once more.

        On a busy machine a traced process may wait for its tracer. It is told all the same.
        """
        outcome = self._operation.run(fault, at)
        if outcome.problems and all(one in LATE for one in outcome.problems):
            with self._lock:
                self.report.late.append(str(fault))
            outcome = self._operation.run(fault, at)
        return outcome

    def _aftermath(self, scene: Scene) -> list[str]:
        """Start it anew, once for all runs that left just the same."""
        key = scene.digest()
        with self._lock:
            if key in self._known:
                return self._known[key]
        scene.problems = []
        next_start(scene)
        left = scene.names() - self._expected
        found = [*scene.problems, *(f"left behind after the next start: {name}" for name in left)]
        with self._lock:
            self._known[key] = found
            self.report.starts += 1
        return found

    def _count(self, outcome: Outcome) -> None:
        report, fault = self.report, outcome.fault
        if outcome.met is None:
            report.missed += 1
        elif outcome.met.signature != fault.call.signature:
            report.others += 1
        else:
            report.met[fault.kind] += 1
            report.near[circle(fault.call), True] += 1
        if fault.kind != KILL and outcome.ended is not None:
            report.ends[f"with {outcome.ended}"] += 1
        report.problems += [f"{fault}: {one}" for one in outcome.problems]
