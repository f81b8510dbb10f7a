"""What dnsguard costs the node: memory, CPU, and the time until it guards.

All of it from outside, of the daemon as the .deb starts it, with the files on a disk (where
fsync takes its time) and everything it reads in the page cache (after the first start).
"""

import argparse
import os
import resource
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench_lab import (
    KUBESPRAY,
    NODE_LOCAL,
    UPSTREAM,
    CannotMeasureError,
    Daemon,
    Lab,
    Probe,
    Tree,
    dnsguard_script,
    enter_namespaces,
    environment,
    open_lab,
    start_nodelocal,
    stop,
)
from bench_report import Bar, conclude, finite, percentile, table

from dnsguard import client

STATUS, SAFE = 4, 6
"""CPU of `dnsguard status`, and until the file is safe, in those of a bare python3: figures of
their own moved 1.8 times between two machines."""
IDLE = 0.3
"""Percent of a CPU, on a quiet node that is handed over (issue 13)."""
IDLE_STARTS = 6
"""The same a minute, in starts of a bare python3: those are as much slower on a slow machine."""
SETTLE_S = 10.0
"""Seconds from the handover until a node is quiet: what was asked often is asked seldom."""
NODE = {
    "etc/kubernetes/kubelet-config.yaml": (
        "apiVersion: kubelet.config.k8s.io/v1beta1\n"
        "kind: KubeletConfiguration\n"
        f"clusterDNS:\n- {NODE_LOCAL}\n"
        "clusterDomain: cluster.local\n"
        "resolvConf: /var/lib/dnsguard/resolv.conf\n"
    ),
    "etc/kubernetes/kubelet.env": ('KUBELET_ARGS="--config=/etc/kubernetes/kubelet-config.yaml"\n'),
    "etc/systemd/system/kubelet.service": (
        "[Service]\n"
        "EnvironmentFile=-/etc/kubernetes/kubelet.env\n"
        "ExecStart=/usr/local/bin/kubelet $KUBELET_ARGS\n"
    ),
    "etc/dhcp/dhclient.conf": f"supersede domain-name-servers {NODE_LOCAL};\n",
    "etc/dhcp/dhclient-exit-hooks.d/zdnsupdate": (
        "if [ $reason = \"BOUND\" ]; then\nsed -i -e 's/^options.*//' /etc/resolv.conf\nfi\n"
    ),
    "var/lib/dhcp/dhclient.eth0.leases": 20
    * (
        'lease {\n  interface "eth0";\n  fixed-address 192.0.2.1;\n'
        f"  option domain-name-servers {UPSTREAM};\n"
        "  expire 4 2037/01/01 00:00:00;\n}\n"
    ),
    **{
        f"etc/resolv.conf.{7113 + run}.2026-03-0{run}@09:14:51~": f"nameserver {UPSTREAM}\n"
        for run in range(1, 6)
    },
}
"""What is looked at on a node that Kubespray has set up (FACTS.md), kubelet put right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One question and what was measured, each time it was."""

    name: str
    values: Sequence[float]
    unit: str
    limit: float | None = None

    @property
    def median(self) -> float:
        return percentile(self.values, 0.5)


def start_poisoned(lab: Lab, tree: Tree) -> Daemon:
    tree.replace(KUBESPRAY)
    return lab.start_dnsguard(tree)


def seconds_to_ready(lab: Lab, tree: Tree) -> float:
    """From before the process is started to its READY=1, by when the file must be safe."""
    daemon = start_poisoned(lab, tree)
    ready = daemon.notifications.ready_at() - daemon.started_at
    if tree.is_poisoned:
        raise CannotMeasureError("READY=1 came while the file was still poisoned")
    stop(daemon.process)
    return ready


def cpu_to_safe(lab: Lab, tree: Tree, probe: Probe) -> tuple[float, float]:
    """Seconds of CPU, and of the clock, from the start of the process to a safe file.

    The CPU clock of the process is read at the very moment the probe sees the safe file:
    every thread, user and system, in nanoseconds. /proc/PID/stat has the same in ticks of
    10 ms, and /proc/PID/schedstat only the first thread's.
    """
    daemon = start_poisoned(lab, tree)
    safe_at, cpu = probe.await_safe(tree, daemon.pid)
    daemon.notifications.ready_at()
    stop(daemon.process)
    return cpu, safe_at - daemon.started_at


def cpu_of_bare_python(lab: Lab) -> float:
    """User and system time of an interpreter that does nothing: how fast this machine is."""
    return _cpu_of(lab, ["/usr/bin/python3", "-Ic", "import argparse, json, socket"])


def cpu_of_status(lab: Lab, tree: Tree) -> float:
    """User and system time of one `dnsguard status`, from its start to its end."""
    return _cpu_of(lab, [str(dnsguard_script(lab.base)), "--root", str(tree.root), "status"])


def _cpu_of(lab: Lab, command: list[str]) -> float:
    with (lab.base / "status").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = (lab.base / "status").read_text("utf-8", "replace")
        raise CannotMeasureError(f"{command} says {process.returncode}: {said}")
    seconds: float = usage.ru_utime + usage.ru_stime
    return seconds


def crowded(lab: Lab, tree: Tree) -> list[float]:
    """Seconds from a question to its answer while 1,000 clients connect and say nothing.

    The daemon hangs up on the oldest of them; they come back for each question. It is asked as
    root's commands ask, at the socket that is root's alone.
    """
    path = tree.root / "run/dnsguard/control.sock"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    took = []
    try:
        for _ in range(10):
            with ExitStack() as idle:
                for _ in range(1000):
                    one = idle.enter_context(socket.socket(socket.AF_UNIX))
                    one.setblocking(False)
                    one.connect_ex(str(path))
                asked_at = time.monotonic()
                client.ask(path, "status")
                took.append(time.monotonic() - asked_at)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return took


def memory_mib(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise CannotMeasureError(f"no {field} in /proc/{pid}/status")


def cpu_so_far(pid: int) -> float:
    """User and system seconds of a process; the fields count from behind its name."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    ticks: int = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def furnish(tree: Tree) -> None:
    """Give the node the files of one that Kubespray has set up, and kubelet's own for pods."""
    for name, text in NODE.items():
        path = tree.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def cpu_handed_over(lab: Lab, tree: Tree, seconds: float) -> float:
    """Share of a CPU that the daemon takes on a quiet node that is handed over.

    By the CPU clock of the process: a tick of /proc/PID/stat is a sixth of it in a second.
    """
    daemon = start_poisoned(lab, tree)
    lab.await_handed_over(tree)
    time.sleep(SETTLE_S)
    clock = ~daemon.pid << 3 | 2  # clock_getcpuclockid(3)
    cpu, began = time.clock_gettime(clock), time.monotonic()
    time.sleep(seconds)
    share = (time.clock_gettime(clock) - cpu) / (time.monotonic() - began)
    if tree.nameservers[:1] != [NODE_LOCAL]:
        raise CannotMeasureError("NodeLocalDNS was lost meanwhile")
    stop(daemon.process)
    return share


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
        Figure(name="start to READY", values=milliseconds(ready), unit=" ms", limit=500),
    ]


def bars(figures: Sequence[Figure]) -> list[Bar]:
    return [
        Bar(
            name=figure.name + (", median" if len(figure.values) > 1 else ""),
            value=figure.median,
            limit=figure.limit,
            unit=figure.unit,
        )
        for figure in figures
        if figure.limit is not None
    ]


def text(figures: Sequence[Figure]) -> str:
    rows = [
        [
            figure.name,
            str(len(figure.values)),
            f"{figure.median:.1f}{figure.unit}",
            f"{max(figure.values):.1f}{figure.unit}",
        ]
        for figure in figures
    ]
    return table(["", "runs", "median", "worst"], rows)


def as_json(figures: Sequence[Figure]) -> dict[str, object]:
    return {
        "figures": [
            {
                "name": figure.name,
                "unit": figure.unit.strip(),
                "runs": len(figure.values),
                "median": finite(figure.median),
                "worst": finite(max(figure.values)),
            }
            for figure in figures
        ]
    }


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
