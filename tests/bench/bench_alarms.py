"""What looks like a hang of NodeLocalDNS and is none: the real chain under trouble, handed over.

NodeLocalDNS is asked every 20 ms from outside, which tells what each of these costs. The file
must name it all the time.
"""

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from bench_report import Bar, percentile
from bench_tree import DEADLINE_S, HERE, NODE_LOCAL, UPSTREAM
from lab.chain import World, chain
from lab.chain_files import INSIDE, OUTSIDE
from lab.chain_server import Server
from lab.guard import Node
from lab.wait import until

from dnsguard.core.answers import Question
from dnsguard.host.probe import write_query

EVERY = 0.02
"""Seconds from one question of the watch to the next."""
LOOK = 0.05
"""Seconds from one look at the file to the next."""
GIVEN_UP = 5.0
BROAD, NARROW = 50, 20
"""Questions that are out at any time: for a whole core, and for a tenth of one."""
TENTH = 0.1
STOPPED = 5.0
CONFIG = '[handover]\nmode = "always"\n'


@dataclass(frozen=True, slots=True)
class Scene:
    """The chain, handed over, and who guards it."""

    world: World
    node: Node
    daemon: subprocess.Popen[bytes]
    load: Path
    """The program dns_load."""

    @contextmanager
    def running(self, *command: str | Path) -> Iterator[None]:
        with self.world.node.inside():
            process = subprocess.Popen(command)
        try:
            yield
        finally:
            process.kill()
            process.wait()


Wait = Callable[[float], None]
"""Lets so many seconds go by, as many as are left at most."""
Trouble = Callable[[Scene, Wait], None]


def _whole_core(scene: Scene, wait: Wait) -> None:
    with scene.running(scene.load, NODE_LOCAL, str(BROAD)):
        wait(float("inf"))


def _tenth(scene: Scene, wait: Wait) -> None:
    scene.world.nodelocal.box.limit(TENTH)
    try:
        with scene.running(scene.load, NODE_LOCAL, str(NARROW)):
            wait(float("inf"))
    finally:
        scene.world.nodelocal.box.limit(None)


def _busy(scene: Scene, wait: Wait) -> None:
    with ExitStack() as stack:
        for _ in range(2 * (os.cpu_count() or 1)):
            stack.enter_context(scene.running("sh", "-c", "while :; do :; done"))
        wait(float("inf"))


def _stopped(scene: Scene, wait: Wait) -> None:
    """Stop the daemon, again and again."""
    while True:
        scene.daemon.send_signal(signal.SIGSTOP)
        try:
            wait(STOPPED)
        finally:
            scene.daemon.send_signal(signal.SIGCONT)
        wait(STOPPED)


def _rolling(scene: Scene, wait: Wait) -> None:
    """Have the secondary instance there before the first one goes, and the other way round."""
    first, second = scene.world.nodelocal, scene.world.second
    try:
        while True:
            _replace(first, second, wait)
            _replace(second, first, wait)
    finally:
        if not first.is_alive:
            _replace(second, first, time.sleep)
        second.kill()


def _replace(goes: Server, comes: Server, wait: Wait) -> None:
    starts = comes.log.count("CoreDNS-")
    comes.start()
    until(lambda: comes.log.count("CoreDNS-") > starts, within=DEADLINE_S)
    wait(1.0)
    goes.stop()
    wait(4.0)


def _silent(scene: Scene, wait: Wait) -> None:
    scene.world.upstream.pause()
    try:
        wait(float("inf"))
    finally:
        scene.world.upstream.resume()


SCENES: dict[str, Trouble] = {
    "a load that uses a whole core": _whole_core,
    f"a tenth of a core, {NARROW} questions at a time": _tenth,
    "both cores busy with something else": _busy,
    "dnsguard stopped for 5 s, again and again": _stopped,
    "a rolling update after the other": _rolling,
    "the upstream silent": _silent,
}


class Over(Exception):  # noqa: N818 -- no error
    """Raised when the time of a scene is over."""


@dataclass
class Watch:
    """What NodeLocalDNS is like from outside, and whether the file names it."""

    scene: Scene
    times: list[float] = field(default_factory=list)
    """Seconds to each answer; a question without one counts as GIVEN_UP."""
    breaks: int = 0

    def __post_init__(self) -> None:
        self._is_over = threading.Event()
        self._asker = threading.Thread(target=self._ask)
        self._offset = self.scene.node.log.stat().st_size

    def __enter__(self) -> Self:
        self._asker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._asker.join()
        lines = self.scene.node.log.read_bytes()[self._offset :].decode().splitlines()
        self.breaks += sum("mode=guarding" in line for line in lines)

    def look(self) -> None:
        """See who serves the node, by the file."""
        if self.scene.node.servers()[:1] != [NODE_LOCAL]:
            self.breaks += 1

    def _ask(self) -> None:
        message = write_query(Question(name=INSIDE))[2:]
        asked: dict[int, float] = {}
        number = 0
        with self.scene.world.node.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.connect((NODE_LOCAL, 53))
            while not self._is_over.is_set():
                number = (number + 1) % (1 << 16)
                asked[number] = due = time.monotonic()
                self._try(partial(sock.send, struct.pack("!H", number) + message))
                while (left := due + EVERY - time.monotonic()) > 0:
                    sock.settimeout(left)
                    reply = self._try(partial(sock.recv, 512))
                    if reply and (began := asked.pop(int.from_bytes(reply[:2], "big"), None)):
                        self.times.append(time.monotonic() - began)
                for one in [one for one, began in asked.items() if due - began > GIVEN_UP]:
                    del asked[one]
                    self.times.append(GIVEN_UP)

    @staticmethod
    def _try(act: Callable[[], object]) -> bytes:
        """Do it; nobody may listen for the moment, and nothing come."""
        try:
            done = act()
        except OSError:
            return b""
        return done if isinstance(done, bytes) else b""


@dataclass(frozen=True, slots=True)
class Found:
    """What one scene came to."""

    name: str
    seconds: float
    watch: Watch

    def row(self) -> list[str]:
        times = self.watch.times
        cells = [f"{1000 * percentile(times, share):.1f}" for share in (0.5, 0.99, 1.0)]
        return [self.name, f"{self.seconds:.0f}", *cells, str(len(times)), str(self.watch.breaks)]

    def bar(self) -> Bar:
        return Bar(name=f"breaks: {self.name}", value=self.watch.breaks, limit=0, unit="")


HEADER = ["", "", "answered in", "", "", "", ""]
BELOW = ["what looks like a hang", "s", "p50 ms", "p99 ms", "longest ms", "asked", "breaks"]


def measure_alarms(root: Path, seconds: float, only: str) -> Iterator[Found]:
    load = root / "dns_load"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(load), str(HERE / "dns_load.c")], check=True)
    with chain(root / "chain") as world, ExitStack() as stack:
        node = world.guard(config=CONFIG)
        world.serve()
        daemon = stack.enter_context(node.guarded())
        scene = Scene(world, node, daemon, load)
        for name, trouble in SCENES.items():
            if only in name:
                world.nodelocal.wait_until_serves(OUTSIDE)
                node.wait_for(NODE_LOCAL, UPSTREAM, within=DEADLINE_S)
                yield Found(name, seconds, _watch(scene, trouble, seconds))


def _watch(scene: Scene, trouble: Trouble, seconds: float) -> Watch:
    end = time.monotonic() + seconds
    with Watch(scene) as watch:

        def wait(share: float) -> None:
            """Look, until it is over.

            :raises Over: so it is.
            """
            until_when = min(end, time.monotonic() + share)
            while time.monotonic() < until_when:
                watch.look()
                time.sleep(LOOK)
            if until_when == end:
                raise Over

        try:
            trouble(scene, wait)
        except Over:
            watch.look()
    return watch
