"""A node's files, and what may be found of them after whatever went wrong.

resolv.conf is the old text or a new one, whole, for all to read. A new one is a text that
turns back into the old one, byte for byte, when what dnsguard added is taken out, and that
names a real server.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.guard import NODELOCAL, POISON, UPSTREAM
from lab.netns import Namespace

from dnsguard.formats import resolvconf
from dnsguard.formats.guarded_resolvconf import unguard
from dnsguard.host import hold, store
from hostile.calls import normal

OTHER = "192.0.2.54"
"""A second upstream: the one that is remembered."""
REAL = frozenset({UPSTREAM, OTHER})
FIRST = f"# as it was\nnameserver {OTHER}\n".encode()
"""What stood in resolv.conf when the node was well."""
READY = 12.0
"""Seconds that a start may take on a busy machine, under strace(1)."""
END = 10.0
"""Seconds that systemd gives a daemon to stop (TimeoutStopSec=)."""
HEAL = 8.0
"""Seconds after which a daemon that runs must have made up for one failed call."""
STEP = 0.002
_MISSING = b"<missing>"


@dataclass(frozen=True, slots=True)
class Lab:
    """What all scenes share: a network with two nameservers, and a compiled dnsguard."""

    where: Namespace
    package: Path
    shim: Path
    work: Path


@dataclass(repr=False)
class Scene:
    """A root directory of its own, and the texts that may stand in its resolv.conf."""

    root: Path
    lab: Lab
    olds: set[bytes] = field(default_factory=lambda: {POISON})
    """The texts that somebody else has written."""
    problems: list[str] = field(default_factory=list)
    judged: set[bytes] = field(default_factory=set)
    is_strict: bool = True
    """Whether what a reader sees while something is done counts, too."""
    poison: bytes = POISON
    """The last of them."""

    @property
    def file(self) -> Path:
        return self.root / "etc/resolv.conf"

    @property
    def lib(self) -> Path:
        return self.root / "var/lib/dnsguard"

    @property
    def log(self) -> Path:
        return self.root / "log"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dnsguard", "--root", str(self.root), *arguments]

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
        return kept | {
            "PYTHONPATH": str(self.lab.package),
            "PYTHONHASHSEED": "0",  # the same calls at each run
            "SHORT_ROOT": str(self.root),
            "SHORT_CONTROL": str(self.root / "short"),
        }

    def spawn(self, command: list[str], **extra: str) -> "subprocess.Popen[bytes]":
        """Start a program on the node, its words in the log."""
        with self.log.open("ab") as log, self.lab.where.inside():
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=self.environment() | extra,
                start_new_session=True,
            )

    def said(self, word: str) -> bool:
        return word.encode() in self.log.read_bytes()

    # Looking

    def look(self) -> bytes:
        """Read resolv.conf as any reader does, and hold what was read against the rules."""
        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            content = _MISSING
        if self.is_strict:
            self._judge(content)
        return content

    def _judge(self, content: bytes) -> None:
        if content in self.judged:
            return
        self.judged.add(content)
        if why := self.fault_in(content):
            short = content if len(content) < 400 else content[:200] + b" ... " + content[-200:]
            self.problems.append(f"a reader saw resolv.conf {why}: {short!r}")

    def fault_in(self, content: bytes) -> str | None:
        """Return what is wrong with a text of resolv.conf, None for a good one."""
        if content in self.olds:
            return None
        if content == _MISSING:
            return "missing"
        # Blank lines mean nothing: where only writing in place is left, they stand there a moment.
        texts = (content, content.rstrip(b"\n") + b"\n")
        if not any(unguard(text) in self.olds for text in texts):
            return "half, or not what it was"
        named = servers(content)
        if not named:
            return "without a nameserver"
        if not set(named) & REAL or not set(named) <= REAL | {NODELOCAL}:
            return f"with {named}"
        return None

    def is_safe(self) -> bool:
        """Tell whether the file names a real server now, and is whole."""
        content = self.look()
        return self.fault_in(content) is None and bool(set(servers(content)) & REAL)

    def watch(self, condition: Callable[[], bool], within: float) -> bool:
        """Read resolv.conf again and again until something is so; say whether it came."""
        deadline = time.monotonic() + within
        while not condition():
            self.look()
            if time.monotonic() > deadline:
                return False
            time.sleep(STEP)
        self.look()
        return True

    def inspect(self) -> None:
        """Hold every file that is read by others against the rules."""
        self._judge(self.look())
        mode = self.file.lstat().st_mode if self.file.exists() else 0
        if mode and (not stat.S_ISREG(mode) or stat.S_IMODE(mode) & 0o444 != 0o444):
            self.problems.append(f"resolv.conf has mode {mode:o}")
        self._inspect_pods()
        self._inspect_memory()

    def _inspect_pods(self) -> None:
        path = self.lib / "resolv.conf"
        if not path.exists():
            self.problems.append("the file for pods is gone")
            return
        content = path.read_bytes()
        named = servers(content)
        if not named or not set(named) <= REAL or not content.endswith(b"\n"):
            self.problems.append(f"the file for pods says {content!r}")
        if path.stat().st_mode & 0o444 != 0o444:
            self.problems.append(f"the file for pods has mode {path.stat().st_mode:o}")

    def _inspect_memory(self) -> None:
        foreign = self.lib / "resolv.conf.foreign"
        if foreign.exists() and foreign.read_bytes() not in {*self.olds, FIRST}:
            self.problems.append(f"the foreign text that is kept says {foreign.read_bytes()!r}")
        state = store.load(self.lib / "state.json", foreign)
        if state.complaint or not state.remembered:
            self.problems.append(f"the state is damaged: {state.complaint or 'empty'}")
        pinned = self.root / "run/dnsguard/hold.json"
        if pinned.exists():
            try:
                hold.load(pinned.read_bytes())
            except ValueError as error:
                self.problems.append(f"hold.json is damaged: {error}")

    # What a run leaves

    def names(self) -> set[str]:
        """Return every name below the node's root; numbers and random parts are out."""
        found = set()
        for top in ("etc", "var", "run"):
            for path in (self.root / top).rglob("*"):
                found.add(normal("/" + str(path.relative_to(self.root))))
        return found

    def digest(self) -> str:
        """Return all that the next start can know: names, kinds, modes, what files say."""
        lines = []
        for top in ("etc", "var", "run"):
            for path in sorted((self.root / top).rglob("*")):
                mode = path.lstat().st_mode
                said = path.read_bytes() if stat.S_ISREG(mode) else b""
                said = re.sub(rb"\d+\.\d{2,}\b", b"T", said) if path.suffix == ".json" else said
                lines.append(f"{normal(str(path.relative_to(self.root)))} {mode:o} {said!r}")
        return "\n".join(lines)

    # The daemon

    @contextmanager
    def guarded(self, **extra: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the daemon; it is killed at the end if it is still there."""
        self.log.write_bytes(b"")
        process = self.spawn(self.command("run"), **extra)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def await_ready(self, process: "subprocess.Popen[bytes]") -> bool:
        """Wait until the daemon says that it has started, or has ended."""

        def is_over() -> bool:
            return self.said(" started ") or process.poll() is not None

        return self.watch(is_over, READY) and process.poll() is None

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """End the daemon as systemd does, and see that it ends."""
        process.terminate()
        if not self.watch(lambda: process.poll() is not None, END):
            self.problems.append("did not stop within systemd's time")
            process.kill()
        process.wait()


def servers(content: bytes) -> list[str]:
    """Return what glibc would use."""
    return [str(server.address) for server in resolvconf.read_nameservers(content) if server.glibc]


def copy(template: Path, to: Path, lab: Lab) -> Scene:
    """Set a scene: the template's files, their times kept."""
    if to.exists():
        shutil.rmtree(to)
    shutil.copytree(template, to, symlinks=True)
    (to / "log").write_bytes(b"")
    return Scene(to, lab)


def next_start(scene: Scene) -> None:
    """Start and stop the daemon as if nothing had happened, and look at what is left."""
    with scene.guarded() as process:
        if not scene.await_ready(process):
            scene.problems.append(f"the next start failed: {scene.log.read_text()[-2000:]}")
            return
        if not scene.watch(scene.is_safe, HEAL):
            scene.problems.append(f"not safe after the next start: {scene.look()!r}")
        scene.stop(process)
    scene.inspect()
    if not scene.is_safe() or NODELOCAL in servers(scene.look()):
        scene.problems.append(f"not safe after the next stop: {scene.look()!r}")


def make_template(to: Path, lab: Lab) -> None:
    """Make the node as it stands when things go wrong: well once, then poisoned."""
    for name in ("etc/dnsguard", "var/lib", "run"):
        (to / name).mkdir(parents=True)
    scene = Scene(to, lab, olds={FIRST})
    scene.file.write_bytes(FIRST)
    with scene.guarded() as process:
        assert scene.await_ready(process), scene.log.read_text()
        state = scene.lib / "state.json"
        assert scene.watch(lambda: OTHER in _text(state), HEAL), scene.log.read_text()
        scene.stop(process)
    assert not scene.problems, scene.problems
    (to / "etc/resolv.conf.bak").write_text(f"nameserver {UPSTREAM}\n")
    # So that there is something to do about it at the next look.
    (scene.lib / "resolv.conf").write_text(f"nameserver {UPSTREAM}\n")
    scene.file.write_bytes(POISON)
    (to / "log").unlink()


def pin_nodelocal(root: Path) -> None:
    """Have an operator's hold on NodeLocalDNS lie there, so that a stop has to write."""
    kept = {"version": hold.VERSION, "serves": "nodelocal", "by": "root"}
    path = root / "run/dnsguard/hold.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**kept, "since": time.time(), "until": None}) + "\n")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
