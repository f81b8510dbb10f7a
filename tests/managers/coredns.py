"""A real CoreDNS with the file that kubelet gives it, started again and again."""

import os
import re
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from managers import machine
from managers.setup import File

if TYPE_CHECKING:
    from managers.node import ManagedNode

_SECONDS = 10.0
"""For one start: it asks itself at once."""
_LOOP = 'detected for zone "."'
_CAME_BACK = re.compile(r'"HINFO IN \d+\.\d+\. .*?" (NOERROR|NXDOMAIN)')
"""``loop``'s question to itself, answered from outside: this start has not died of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """What became of a number of starts."""

    starts: int
    deaths: int
    """By ``loop``."""
    undecided: int
    """Nobody answered ``loop``'s question."""
    log: str
    """Of the last start that did not live."""

    def __str__(self) -> str:
        return f"{self.deaths} of {self.starts} starts died by loop, {self.undecided} undecided"


def restart(node: "ManagedNode", resolv_conf: str, times: int) -> Starts:
    """Start CoreDNS that often with this resolv.conf, as kubelet would."""
    files = (
        File("/etc/lab/restarted.conf", resolv_conf),
        File("/etc/lab/Corefile.restarted", machine.corefile("/etc/lab/restarted.conf")),
    )
    machine.write(node.tree, files)
    node.bind_node_local()
    deaths = undecided = 0
    log = ""
    for _ in range(times):
        said = _start(node)
        died = _LOOP in said
        lived = not died and _CAME_BACK.search(said) is not None
        deaths += died
        undecided += not (died or lived)
        log = log if lived else said
    return Starts(starts=times, deaths=deaths, undecided=undecided, log=log[-3000:])


def _start(node: "ManagedNode") -> str:
    """Start it once, end it when its fate is known, return its log."""
    process = node.spawn(machine.COREDNS, "-conf", "/etc/lab/Corefile.restarted")
    assert process.stdout is not None
    said = b""
    deadline = time.monotonic() + _SECONDS
    try:
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([process.stdout], [], [], left)[0]:
                break
            chunk = os.read(process.stdout.fileno(), 65536)
            said += chunk
            text = said.decode(errors="replace")
            if not chunk or _CAME_BACK.search(text):
                break
    finally:
        process.kill()
        # Its own death follows that of nsenter, and closes the pipe.
        said += process.stdout.read()
        process.stdout.close()
        process.wait()
    return said.decode(errors="replace")
