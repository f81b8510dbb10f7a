"""What dnsguard does, done once more with one fault in it: secure, start, stop, hold."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostile import calls
from hostile.calls import SHORT, Fault
from hostile.operation import SETTLE, Outcome, Recording
from hostile.scene import END, HEAL, Lab, Scene, copy, pin_nodelocal
from hostile.tracing import ATTACH, attached, find_met, read_trace, short_faults, strace, with_fault


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
        self._finish(scene, scene.spawn([*strace(trace), *self._line(scene)]))
        found = list(calls.parse(trace.read_text(errors="replace"), scene.root))
        scene = copy(self._template, at, self._lab)
        (scene.root / "short").write_text("0")
        self._finish(scene, scene.spawn(self._line(scene), LD_PRELOAD=str(self._lab.shim)))
        faults = calls.faults_of(filter(calls.is_any, found)) + short_faults(scene)
        return Recording(faults, [scene])

    @staticmethod
    def _finish(scene: Scene, process: subprocess.Popen[bytes]) -> int:
        if not scene.watch(lambda: process.poll() is not None, END):
            scene.problems.append("did not end")
            process.kill()
        return process.wait()

    def run(self, fault: Fault, at: Path) -> Outcome:
        scene = copy(self._template, at, self._lab)
        command, extra = with_fault(scene, fault, self._line(scene))
        ended = self._finish(scene, scene.spawn(command, **extra))
        scene.inspect()
        return Outcome(fault, find_met(scene, fault), scene.problems, ended, scene)

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
        process = scene.spawn(["strace", "-D", *strace(trace)[1:], *scene.command("run")])
        assert scene.await_ready(process), scene.log.read_text()
        assert scene.watch(scene.is_safe, HEAL), scene.log.read_text()
        found = list(calls.parse(trace.read_text(errors="replace"), scene.root))
        scene.stop(process)
        scene = copy(self._template, at, self._lab)
        (scene.root / "short").write_text("0")
        process = scene.spawn(scene.command("run"), LD_PRELOAD=str(self._lab.shim))
        assert scene.await_ready(process), scene.log.read_text()
        shorts = short_faults(scene)
        scene.stop(process)
        return Recording(calls.faults_of(filter(calls.is_any, found)) + shorts, [scene])

    def run(self, fault: Fault, at: Path) -> Outcome:
        scene = copy(self._template, at, self._lab)
        command, extra = with_fault(scene, fault, scene.command("run"))
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
            scene.watch(lambda: "+++" in read_trace(scene), ATTACH)  # -D: the tracer ends behind it
        scene.inspect()
        return Outcome(fault, find_met(scene, fault), scene.problems, ended, scene)

    def close(self) -> None:
        pass


class Stop:
    """SIGTERM to a daemon that has the node handed to NodeLocalDNS: it has to write."""

    name = "stop"

    def __init__(self, lab: Lab, template: Path) -> None:
        self._lab, self._template = lab, template

    @contextmanager
    def _running(self, at: Path, **extra: str) -> Iterator[tuple[Scene, subprocess.Popen[bytes]]]:
        scene = copy(self._template, at, self._lab)
        pin_nodelocal(scene.root)
        with scene.guarded(**extra) as process:
            assert scene.await_ready(process), scene.log.read_text()
            assert scene.watch(scene.is_safe, HEAL), scene.log.read_text()
            scene.watch(_never, SETTLE)
            yield scene, process

    def _act(self, scene: Scene, process: subprocess.Popen[bytes]) -> None:
        scene.stop(process)

    def record(self, at: Path) -> Recording:
        with self._running(at) as (scene, process):
            with attached(scene, process.pid):
                self._act(scene, process)
            found = list(calls.parse(read_trace(scene), scene.root))
        with self._running(at, LD_PRELOAD=str(self._lab.shim)) as (scene, process):
            (scene.root / "short").write_text("0")
            self._act(scene, process)
            shorts = short_faults(scene)
            scene.stop(process)
        return Recording(calls.faults_of(filter(calls.is_any, found)) + shorts, [scene])

    def run(self, fault: Fault, at: Path) -> Outcome:
        extra = {"LD_PRELOAD": str(self._lab.shim)} if fault.kind == SHORT else {}
        with self._running(at, **extra) as (scene, process):
            if fault.kind == SHORT:
                (scene.root / "short").write_text(str(fault.call.nth))
                self._act(scene, process)
            else:
                with attached(scene, process.pid, *fault.options()):
                    self._act(scene, process)
            met = find_met(scene, fault)
            scene.stop(process)
            scene.inspect()
            return Outcome(fault, met, scene.problems, process.returncode, scene)

    def close(self) -> None:
        pass


class Hold(Stop):
    """An operator's command to a daemon on which another hold lies: both files are written."""

    name = "hold"

    def _act(self, scene: Scene, process: subprocess.Popen[bytes]) -> None:
        command = scene.spawn(scene.command("hold", "upstream"))
        if not scene.watch(lambda: command.poll() is not None, END):
            scene.problems.append("hold hangs")
            command.kill()
        command.wait()
        scene.watch(lambda: process.poll() is not None, SETTLE)


def _never() -> bool:
    return False
