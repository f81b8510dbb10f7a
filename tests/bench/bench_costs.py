"""What dnsguard costs, one question at a time, asked from outside."""

import os
import resource
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from bench_lab import Lab, dnsguard_script
from bench_processes import Daemon, Probe, environment, stop
from bench_tree import KUBESPRAY, NODE_LOCAL, UPSTREAM, CannotMeasureError, Tree

from dnsguard import client

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
