"""Three ways to lose NodeLocalDNS, with dnsguard and with what glibc has of its own.

The real chain of :mod:`lab.chain`. With dnsguard the time is from the fault to the file that
names the upstream alone. A program resolves a name every 10 ms meanwhile, for HELD seconds
from the fault on; the same without dnsguard, where the file has the backup line for good.
Both have Kubespray's ``options timeout:2 attempts:2``.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import gobin
from lab.chain import OUTSIDE, Client, Count, World, chain, client
from lab.guard import NODELOCAL, UPSTREAM, Node

HELD = 3.0
"""Seconds from a fault to its end, in both columns."""
WITHIN = 30.0
OPTIONS = b"options timeout:2 attempts:2\n"
PLAIN = f"nameserver {NODELOCAL}\nnameserver {UPSTREAM}\n".encode() + OPTIONS
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
    breaks: Callable[[], None]
    mends: Callable[[], None]


def faults(world: World) -> tuple[Fault, ...]:
    return (
        Fault("kill -9", world.nodelocal.kill, world.nodelocal.start),
        Fault("address removed", world.remove_address, world.add_address),
        Fault("SIGSTOP", world.nodelocal.pause, world.nodelocal.resume),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200, help="of each fault (%(default)s)")
    rounds = parser.parse_args().rounds
    if not gobin.is_had():
        print("skipped: no Go >= 1.21 to build CoreDNS with", file=sys.stderr)
        return 0
    print(f"{gobin.nodelocal()}; {rounds} rounds of each fault, {HELD:g} s each\n")
    titles = ("fault", "", "p50 ms", "p99 ms", "max ms", "lost", "late", "asked", "slowest s")
    print("{:16} {:9} {:>8} {:>8} {:>8} {:>6} {:>6} {:>8} {:>9}".format(*titles))
    with tempfile.TemporaryDirectory() as root, chain(Path(root)) as world:
        node = world.guard(config=CONFIG)
        for fault in faults(world):
            with _guarded(world, node):
                _tell(fault.name, "dnsguard", *_measure(world, node, fault, rounds))
            with _plain(world, node):
                _tell("", "glibc", *_measure(world, None, fault, rounds))
    return 0


@contextmanager
def _guarded(world: World, node: Node) -> Iterator[None]:
    node.file.write_bytes(PLAIN)
    with node.guarded():
        world.serve()
        node.wait_for(NODELOCAL, UPSTREAM, within=WITHIN)
        yield
    _end(world)


@contextmanager
def _plain(world: World, node: Node) -> Iterator[None]:
    node.file.write_bytes(PLAIN)
    world.serve()
    yield
    _end(world)


def _end(world: World) -> None:
    world.nodelocal.kill()
    world.cluster.kill()


def _measure(
    world: World, node: Node | None, fault: Fault, rounds: int
) -> tuple[list[float], list[Count]]:
    """Return the seconds until the file was right, and what became of the program's names."""
    times: list[float] = []
    with client(world) as application:
        counts = [_round(world, node, fault, application, times) for _ in range(rounds)]
    return times, counts


def _round(
    world: World, node: Node | None, fault: Fault, application: Client, times: list[float]
) -> Count:
    application.count()
    began = time.monotonic()
    fault.breaks()
    if node is not None:
        while node.servers() != [UPSTREAM]:
            if time.monotonic() - began > WITHIN:
                raise AssertionError(f"never after {fault.name}\n{node.log.read_text()}")
        times.append(time.monotonic() - began)
    time.sleep(max(0.0, began + HELD - time.monotonic()))
    count = application.count()
    fault.mends()
    world.nodelocal.wait_until_serves(OUTSIDE)
    if node is not None:
        node.wait_for(NODELOCAL, UPSTREAM, within=WITHIN)
    return count


def _tell(fault: str, who: str, times: list[float], counts: list[Count]) -> None:
    spread = ["-", "-", "-"]
    if times:
        ordered = sorted(times)
        p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
        spread = [f"{1000 * t:.1f}" for t in (statistics.median(ordered), p99, ordered[-1])]
    lost, late = sum(one.lost for one in counts), sum(one.late for one in counts)
    asked, worst = sum(one.asked for one in counts), max(one.worst for one in counts)
    print(
        f"{fault:16} {who:9} {spread[0]:>8} {spread[1]:>8} {spread[2]:>8}"
        f" {lost:>6} {late:>6} {asked:>8} {worst:>9.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
