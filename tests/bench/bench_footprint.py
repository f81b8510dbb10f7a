"""What dnsguard costs the node: memory, CPU, and the time until it guards.

All of it from outside, of the daemon as the .deb starts it, with the files on a disk (where
fsync takes its time) and everything it reads in the page cache (after the first start).
"""

import argparse
import time
from collections.abc import Sequence

from bench_costs import (
    cpu_handed_over,
    cpu_of_bare_python,
    cpu_of_status,
    cpu_so_far,
    cpu_to_safe,
    crowded,
    furnish,
    memory_mib,
    seconds_to_ready,
    start_poisoned,
)
from bench_figures import Figure, as_json, bars, text
from bench_lab import Lab, open_lab
from bench_processes import stop
from bench_report import conclude, percentile
from bench_world import enter_namespaces, start_nodelocal

STATUS, SAFE = 4, 6
"""CPU of `dnsguard status`, and until the file is safe, in those of a bare python3: figures of
their own moved 1.8 times between two machines."""
READY = 15
"""Starts of a bare python3 until READY, where that is more than half a second: one machine took
424 ms in the morning and 520 in the afternoon, for the same tree."""
IDLE = 0.5
"""Percent of a CPU, on a quiet node that is handed over: with three heartbeats a second (issue 17)."""
IDLE_STARTS = 12
"""The same a minute, in starts of a bare python3, which took 26 ms where it was measured: those are
as much slower on a slow machine."""


def measure(lab: Lab, *, runs: int, settle_s: float, idle_s: float) -> list[Figure]:
    probe = lab.probe()
    first = [cpu_to_safe(lab, lab.tree(f"first{run}"), probe) for run in range(runs)]
    tree = lab.tree("tree")
    seconds_to_ready(lab, tree)  # from here on it remembers, as after a reboot
    later = [cpu_to_safe(lab, tree, probe) for _ in range(runs)]
    ready = [seconds_to_ready(lab, tree) for _ in range(runs)]

    daemon = start_poisoned(lab, tree)
    daemon.notifications.ready_at()
    lab.await_status_fine(tree)
    status, bare = [], []
    for _ in range(runs):  # in turns: the machine may be busier now than in a moment
        bare.append(cpu_of_bare_python(lab))
        status.append(cpu_of_status(lab, tree))
    unit = percentile(bare, 0.5) * 1000
    before = cpu_so_far(daemon.pid)
    time.sleep(settle_s)
    at_rest = (cpu_so_far(daemon.pid) - before) / settle_s
    resident, peak = (memory_mib(daemon.pid, field) for field in ("VmRSS", "VmHWM"))
    answered = crowded(lab, tree)
    stop(daemon.process)
    start_nodelocal()
    furnish(tree)
    idle = cpu_handed_over(lab, tree, idle_s)

    def milliseconds(values: Sequence[float]) -> list[float]:
        return [value * 1000 for value in values]

    return [
        Figure(name="CPU of a bare python3", values=milliseconds(bare), unit=" ms"),
        Figure(name=f"RSS after {settle_s:g} s", values=[resident], unit=" MiB", limit=42),
        Figure(name="RSS, highest", values=[peak], unit=" MiB"),
        Figure(name="CPU at rest, guarding, of one CPU", values=[at_rest * 100], unit=" %"),
        Figure(
            name=f"CPU in {idle_s:g} quiet s, handed over, of one CPU",
            values=[idle * 100],
            unit=" %",
            limit=IDLE,
        ),
        Figure(
            name="the same, in starts of a bare python3 a minute",
            values=[idle * 60_000 / unit],
            unit="",
            limit=IDLE_STARTS,
        ),
        Figure(
            name="CPU of dnsguard status",
            values=milliseconds(status),
            unit=" ms",
            limit=STATUS * unit,
        ),
        Figure(
            name="status among 1,000 idle clients",
            values=milliseconds(answered),
            unit=" ms",
            limit=100,
        ),
        Figure(
            name="CPU to a safe file, very first start",
            values=milliseconds([cpu for cpu, _ in first]),
            unit=" ms",
            limit=SAFE * unit,
        ),
        Figure(
            name="CPU to a safe file, later start",
            values=milliseconds([cpu for cpu, _ in later]),
            unit=" ms",
            limit=SAFE * unit,
        ),
        Figure(
            name="start to a safe file, later start",
            values=milliseconds([wall for _, wall in later]),
            unit=" ms",
        ),
        Figure(
            name="start to READY",
            values=milliseconds(ready),
            unit=" ms",
            limit=max(500, READY * unit),
        ),
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench/footprint",
        description="Memory and CPU of dnsguard, and the time until it guards.",
        epilog="Exit status: 0 all bars met, 1 otherwise.",
    )
    parser.add_argument(
        "--settle",
        type=float,
        default=60,
        metavar="SECONDS",
        help="how long the daemon runs before its memory is read (%(default)s)",
    )
    parser.add_argument(
        "--idle",
        type=float,
        default=60,
        metavar="SECONDS",
        help="how long its CPU is measured on a quiet node that is handed over (%(default)s)",
    )
    parser.add_argument("--runs", type=int, default=11, help="of everything else (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if options.runs < 1 or min(options.settle, options.idle) <= 0:
        parser.error("--runs, --settle and --idle have to be above 0")
    return options


def main() -> int:
    options = arguments()
    enter_namespaces()
    with open_lab() as lab:
        figures = measure(lab, runs=options.runs, settle_s=options.settle, idle_s=options.idle)
    return conclude(
        as_json=options.json, figures=as_json(figures), text=text(figures), bars=bars(figures)
    )
