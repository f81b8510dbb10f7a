"""What losing NodeLocalDNS costs the node: with dnsguard, and with what glibc has of its own.

The real chain of the tests (lab/chain.py), twice: one node has dnsguard, the other a file that
names NodeLocalDNS and the upstream for good. Both have Kubespray's ``options timeout:2
attempts:2``, and a program that resolves a name every 10 ms. Each fault happens on both at
one moment, lasts HELD seconds and is undone. The time is from before the fault's own command
to the file that names the upstream alone.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench_chain import measure_beside_nodelocal
from bench_lab import PREFIX
from bench_report import Bar, conclude, finite, percentile, table
from bench_tree import DEADLINE_S, NODE_LOCAL, UPSTREAM, CannotMeasureError
from lab.chain import World, chain
from lab.chain_client import Client, Count, client
from lab.chain_files import OUTSIDE
from lab.guard import Node

from dnsguard.core.policy import Policy

HELD = 3.0
APART = 0.05
"""Seconds between the same fault on the two nodes: the one's noise is not in the other's time."""
PERIOD = Policy().heartbeat
"""Seconds between two heartbeats."""
HUNG = "SIGSTOP"
P50_MS, P99_MS = 300, 600
LATE_PERCENT = 100 * 31_400 / 62_510 / 3
"""From a hang to the file, and a third of the names that were later than a second when a hang took
1.6 s to be noticed (issue 17)."""
PLAIN = f"nameserver {NODE_LOCAL}\nnameserver {UPSTREAM}\noptions timeout:2 attempts:2\n".encode()
# The hold-down would grow with each fault and make the rounds wait; it is no part of a loss.
CONFIG = """
[handover]
mode = "always"
[health]
fast = 0.05
hold_down = 0
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to lose NodeLocalDNS, and the way back."""

    name: str
    breaks: Callable[[World], None]
    mends: Callable[[World], None]


FAULTS = (
    Fault("kill -9", lambda world: world.nodelocal.kill(), lambda world: world.nodelocal.start()),
    Fault("address removed", World.remove_address, World.add_address),
    Fault(HUNG, lambda world: world.nodelocal.pause(), lambda world: world.nodelocal.resume()),
)


@dataclass(frozen=True, slots=True)
class Side:
    """A node, and the program on it."""

    name: str
    world: World
    node: Node
    application: Client
    is_guarded: bool

    def recover(self) -> None:
        self.world.nodelocal.wait_until_serves(OUTSIDE)
        if self.is_guarded:
            self.node.wait_for(NODE_LOCAL, UPSTREAM, within=DEADLINE_S)

    def seconds_to_file(self, since: float) -> float:
        while self.node.servers() != [UPSTREAM]:
            if time.monotonic() - since > DEADLINE_S:
                raise CannotMeasureError(f"{NODE_LOCAL} stays\n{self.node.log.read_text()}")
        return time.monotonic() - since


@dataclass(frozen=True, slots=True)
class Loss:
    """What one fault cost on one side, over all its rounds."""

    fault: str
    side: str
    times: list[float] = field(default_factory=list)
    """Seconds to the file; none where nobody changes it."""
    counts: list[Count] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        spread = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0} if self.times else {}
        times = {name: 1000 * percentile(self.times, share) for name, share in spread.items()}
        return times | {
            "lost": sum(count.lost for count in self.counts),
            "late": sum(count.late for count in self.counts),
            "asked": sum(count.asked for count in self.counts),
            "slowest_ms": 1000 * max(count.worst for count in self.counts),
        }

    def bars(self) -> list[Bar]:
        """Return what is demanded of a hang."""
        if self.fault != HUNG or not self.times:
            return []
        found = self.figures()
        late = 100 * found["late"] / max(1, found["asked"])
        return [
            Bar(name=f"{HUNG}, p50", value=found["p50_ms"], limit=P50_MS, unit=" ms"),
            Bar(name=f"{HUNG}, p99", value=found["p99_ms"], limit=P99_MS, unit=" ms"),
            Bar(name=f"{HUNG}, names later than 1 s", value=late, limit=LATE_PERCENT, unit=" %"),
        ]

    def row(self) -> list[str]:
        found = self.figures()
        times = [f"{found[key]:.1f}" if key in found else "-" for key in _TIMES]
        return [self.fault, self.side, *times, *(f"{found[key]:.0f}" for key in _NAMES)]


_TIMES = ("p50_ms", "p99_ms", "max_ms")
_NAMES = ("lost", "late", "asked", "slowest_ms")
_HEADER = ["", "", "p50", "p99", "max", "names", "later", "names", "slowest"]
_BELOW = ["fault", "", "ms", "ms", "ms", "lost", "than 1 s", "asked", "ms"]


def measure(rounds: int) -> Iterator[Loss]:
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
        guarded = stack.enter_context(_side(root / "guarded", "dnsguard", is_guarded=True))
        plain = stack.enter_context(_side(root / "plain", "glibc", is_guarded=False))
        for fault in FAULTS:
            losses = Loss(fault.name, guarded.name), Loss(fault.name, plain.name)
            for moment in moments(rounds):
                time.sleep(moment)
                _round(fault, guarded, plain, *losses)
            yield from losses


def moments(rounds: int) -> list[float]:
    """Return how long to wait, in seconds, before each fault; in a random order.

    What a hang costs is a matter of where between two heartbeats it comes, so each part of that
    time has its share of the rounds: a few drawn blindly say what the draw was.
    """
    parts = [PERIOD * (number + 0.5) / rounds for number in range(rounds)]
    return random.Random(0).sample(parts, rounds)  # noqa: S311 -- an order, not a secret


def _round(fault: Fault, guarded: Side, plain: Side, with_: Loss, without: Loss) -> None:
    both = (guarded, with_), (plain, without)
    for side, _ in both:
        side.application.count()
    fault.breaks(plain.world)
    time.sleep(APART)
    since = time.monotonic()
    fault.breaks(guarded.world)
    with_.times.append(guarded.seconds_to_file(since))
    time.sleep(max(0.0, since + HELD - time.monotonic()))
    for side, _ in both:
        fault.mends(side.world)
    for side, loss in both:
        side.recover()
        loss.counts.append(side.application.count())


@contextmanager
def _side(root: Path, name: str, *, is_guarded: bool) -> Iterator[Side]:
    with chain(root) as world, ExitStack() as stack:
        node = world.guard(config=CONFIG)
        node.file.write_bytes(PLAIN)
        world.serve()
        if is_guarded:
            stack.enter_context(node.guarded())
        side = Side(name, world, node, stack.enter_context(client(world)), is_guarded)
        side.recover()
        yield side


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench/failover",
        description="What losing NodeLocalDNS costs, with dnsguard and without.",
        epilog="Exit status: 0 measured, a hang in time; 1 otherwise.",
    )
    parser.add_argument("--rounds", type=int, default=200, help="of each fault (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds has to be above 0")
    return options


def main() -> int:
    options = _arguments()
    return measure_beside_nodelocal(
        lambda program: _report(options.rounds, program, as_json=options.json)
    )


def _report(rounds: int, program: str, *, as_json: bool) -> int:
    losses = list(measure(rounds))
    found = [
        {"fault": loss.fault, "side": loss.side}
        | {key: finite(value) for key, value in loss.figures().items()}
        for loss in losses
    ]
    return conclude(
        as_json=as_json,
        facts={"nodelocal": program, "rounds": rounds, "held_s": HELD},
        figures={"figures": found},
        text=table(_HEADER, [_BELOW, *(loss.row() for loss in losses)]),
        bars=[bar for loss in losses for bar in loss.bars()],
    )
