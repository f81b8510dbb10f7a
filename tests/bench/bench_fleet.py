"""A fleet at power return: many guards, one DHCP server, one upstream, all at one moment.

Each node is as Kubespray leaves it, and no file of it names a real server: only the DHCP server
knows one, so every guard has to ask it. They start at one moment (a pipe is closed). Then
both servers hang for a while and come back, which all guards notice at one moment, too.
Every question is counted on the wire, by the kernel's time.

All nodes share this machine's processors here: the seconds until the last one is safe are those
of so many starts of Python one after the other, and what 200 ask is spread over them. On nodes of
their own each takes what one takes, and all ask at once: at the most 200 times what a node asks in
the busiest second of a few, which do start at once (``--nodes 8``).
"""

import argparse
import signal
import subprocess
import sys
from dataclasses import dataclass

from bench_fleet_world import Safe, open_fleet
from bench_report import Bar, conclude, percentile, table
from bench_tree import CannotMeasureError
from bench_wire import BELOW, DHCP, DNS, HEADER, Phase
from bench_world import enter_namespaces

LIMITS = {DHCP: 3.0, DNS: 8.0}
"""Questions of a node in the busiest second of all. A start asks 6 within its first second, and a
DHCP server that is silent is asked 3 times in one (host/dhcp_query.py)."""
MOST_NODES = 1000
"""A bridge of Linux's takes 1024 ports."""
AFTER = 10.0
"""Seconds that are watched behind each event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All figures of a run."""

    safe: list[Safe]
    memory: float
    phases: list[Phase]

    def bars(self) -> list[Bar]:
        """Return what is held: a node's share of the busiest second, whatever happens."""
        return [
            Bar(
                name=f"{kind} questions of a node in the fleet's busiest second: {phase.name}",
                value=phase.per_node(kind),
                limit=limit,
                unit="",
            )
            for phase in self.phases
            for kind, limit in LIMITS.items()
        ]


def measure(count: int, outage: float) -> Measured:
    """Start the fleet, watch it, take its servers away, give them back."""
    with open_fleet(count) as fleet:
        fleet.prepare()
        since = fleet.power()
        safe = fleet.wait_until_safe(since)
        phases = [fleet.since("start, until all are safe", since), fleet.watch("after it", AFTER)]
        fleet.signal_servers(signal.SIGSTOP)
        phases.append(fleet.watch("both servers hang", outage))
        fleet.signal_servers(signal.SIGCONT)
        phases.append(fleet.watch("they are back", AFTER))
        phases.append(fleet.watch("after that", AFTER))
        return Measured(safe=safe, memory=fleet.mebibytes(), phases=phases)


def _describe(found: Measured, count: int) -> str:
    safe = ", ".join(f"{name} {at:.2f}" for name, at in _spread(found).items())
    return (
        f"{count} guards from one moment on, with one DHCP server and one upstream\n"
        f"seconds until the file names the upstream: {safe}\n"
        f"seconds of CPU that one of them takes for it: {_cpu(found):.2f};"
        f" MiB that it has for itself: {found.memory:.0f} (Pss)\n\n"
        + table(HEADER, [BELOW, *(phase.row() for phase in found.phases)])
    )


def _spread(found: Measured) -> dict[str, float]:
    times = [one.at for one in found.safe]
    return {"first": times[0], "p50": percentile(times, 0.5), "last": times[-1]}


def _cpu(found: Measured) -> float:
    return percentile([one.cpu for one in found.safe], 0.5)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench/fleet",
        description="Many guards that start in the same second: what they ask, and how long it takes.",
        epilog="Exit status: 0 if all bars are met, 1 otherwise. A guard takes about 20 MiB.",
    )
    parser.add_argument("--nodes", type=int, default=200, help="guards (%(default)s)")
    parser.add_argument(
        "--outage", type=float, default=30.0, help="seconds without servers (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not 0 < options.nodes <= MOST_NODES:
        parser.error(f"--nodes has to be from 1 to {MOST_NODES}")
    return options


def main() -> int:
    options = _arguments()
    enter_namespaces()
    try:
        found = measure(options.nodes, options.outage)
    except (CannotMeasureError, OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"cannot measure: {problem}")
    figures: dict[str, object] = {
        "nodes": options.nodes,
        "safe_s": _spread(found),
        "cpu_s": _cpu(found),
        "pss_mib": found.memory,
        "phases": [phase.figures() for phase in found.phases],
    }
    return conclude(
        as_json=options.json,
        figures=figures,
        text=_describe(found, options.nodes),
        bars=found.bars(),
    )
