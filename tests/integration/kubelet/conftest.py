"""A node, and a kubelet that runs on it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import wait

from dnsguard.host import processes
from integration.kubelet.node import CONFIG, KUBESPRAY, Node, Start


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node as Kubespray leaves it."""
    node = Node(tmp_path)
    node.write(CONFIG, KUBESPRAY)
    return node


@pytest.fixture
def start(node: Node) -> Iterator[Start]:
    """Return a way to have a kubelet run on the node, by its own name and with flags."""
    started: list[subprocess.Popen[bytes]] = []

    def start_it(
        *flags: str,
        user: int | None = None,
        unit: bool = False,
        program: str = "/usr/local/bin/kubelet",
    ) -> int:
        process = subprocess.Popen(
            [program, "-c", "read x", "sh", *flags],
            executable="/bin/sh",
            stdin=subprocess.PIPE,
            user=user,
        )
        started.append(process)
        # Its arguments come a moment after execve(2) has closed the parent's pipe.
        wait.until(lambda: processes.read_process(Path("/proc"), process.pid) is not None)
        (node.root / f"proc/{process.pid}").symlink_to(f"/proc/{process.pid}")
        if unit:
            group = "sys/fs/cgroup/system.slice/kubelet.service/cgroup.procs"
            node.write(group, f"{process.pid}\n")
        return process.pid

    yield start_it
    for process in started:
        process.kill()
        process.communicate()
