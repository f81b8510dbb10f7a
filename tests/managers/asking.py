"""The ways in which programs on a node resolve names, asked inside it.

Each question is for a name that nobody has asked for before: no cache answers it.
"""

import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from lab import gobin

from managers.outside import ZONE

PATIENCE = 12.0
"""Seconds for an answer: more than glibc takes with one dead server before a live one."""
CLUSTER_ZONE = "ask.svc.cluster.local"
LIBRARY = "/usr/local/lib/lab"

_names = count(1)
_run = uuid4().hex[:6]


class Way(StrEnum):
    """A way to ask."""

    GLIBC = "glibc"
    """getaddrinfo by resolv.conf."""
    NSS_RESOLVE = "nss"
    """getaddrinfo by nsswitch.conf as Debian has it where systemd-resolved is installed."""
    RESOLVECTL = "resolvectl"
    GO = "go"
    MUSL = "musl"
    DBUS = "dbus"
    """systemd-resolved's ResolveHostname."""


BY_FILE = frozenset({Way.GLIBC, Way.GO, Way.MUSL})
BY_RESOLVED = frozenset({Way.NSS_RESOLVE, Way.RESOLVECTL, Way.DBUS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking one way."""

    way: Way
    name: str
    resolved: bool
    seconds: float
    said: str

    def __str__(self) -> str:
        return f"{self.seconds * 1000:.0f} ms" if self.resolved else f"DEAD {self.seconds:.1f} s"


class _Runs(Protocol):
    def try_(self, *command: str) -> "subprocess.CompletedProcess[str]": ...


def new_name(zone: str = ZONE) -> str:
    return f"n{next(_names)}-{_run}.{zone}"


def ask(node: _Runs, way: Way, name: str) -> Answer:
    """Ask one way, once."""
    start = time.monotonic()
    done = node.try_("timeout", f"{PATIENCE}", f"{LIBRARY}/ask", way, name)
    return Answer(
        way=way,
        name=name,
        resolved=done.returncode == 0,
        seconds=time.monotonic() - start,
        said=(done.stdout + done.stderr).strip(),
    )


def ask_all(node: _Runs, ways: Iterable[Way], *, zone: str = ZONE) -> dict[Way, Answer]:
    """Ask all ways at once, each for a name of its own."""
    chosen = sorted(ways)
    with ThreadPoolExecutor(len(chosen)) as pool:
        answers = pool.map(lambda way: ask(node, way, new_name(zone)), chosen)
        return dict(zip(chosen, answers, strict=True))


def dead(answers: dict[Way, Answer]) -> dict[Way, str]:
    """Return the ways that did not resolve, and what they said."""
    return {way: one.said for way, one in answers.items() if not one.resolved}


def programs(directory: Path) -> dict[str, Path]:
    """Return the programs that ask, by the name that they have in the node.

    :raises MissingError: there is no Go.
    """
    musl = directory / "musl-lookup"
    source = Path(__file__).with_name("lookup.c")
    subprocess.run(["musl-gcc", "-static", "-O1", "-o", musl, source], check=True)
    return {
        "ask": Path(__file__).with_name("ask.sh"),
        "musl-lookup": musl,
        "go-lookup": gobin.lookup(),
    }
