"""What a quiet node that is handed over costs: counted, not timed."""

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import needs
from lab.guard import NODELOCAL, UPSTREAM, Node
from lab.nameserver import Nameserver, nameserver
from lab.wait import until

pytestmark = pytest.mark.integration

SECONDS = 16
"""That are watched, by the heartbeats in them: two refreshes are among them for certain, and four
at the most."""
A_SECOND = 1 / 0.3
"""Heartbeats over UDP."""
_CALL = re.compile(r"^(?:[0-9]+ +)?(?P<name>[a-z0-9_]+)\(")
KUBELET = "etc/kubernetes/kubelet-config.yaml"
CONFIG = f"clusterDNS: [{NODELOCAL}]\nresolvConf: /var/lib/dnsguard/resolv.conf\n"


@pytest.fixture
def calls(guard: Node) -> Iterator[list[str]]:
    """Return the system calls of a daemon on a node that is handed over and quiet."""
    needs.require("ptrace")
    kubelet = guard.root / KUBELET
    kubelet.parent.mkdir(parents=True)
    kubelet.write_text(CONFIG)
    with guard.guarded() as daemon:
        guard.wait_for(UPSTREAM)
        guard.where.bridge("nodelocal", NODELOCAL)
        with nameserver(guard.where, NODELOCAL) as server:
            guard.wait_for(NODELOCAL, UPSTREAM)
            _wait_for_heartbeats(server, round(6 * A_SECOND))
            yield _traced(daemon.pid, server, guard.root / "trace")


def _wait_for_heartbeats(server: Nameserver, number: int) -> None:
    """Wait until the question that is always out has come so often from now on."""

    def count() -> int:
        return sum("kubernetes" in one.name and one.transport == "udp" for one in server.asked())

    before = count()
    until(lambda: count() >= before + number, within=10.0 + number)


def _traced(pid: int, server: Nameserver, log: Path) -> list[str]:
    command = ["strace", "-f", "-q", "-o", str(log), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        until(log.exists)
        _wait_for_heartbeats(server, round(SECONDS * A_SECOND))
        tracer.send_signal(signal.SIGINT)
    return log.read_text().splitlines()


def test_a_quiet_node_costs_little(guard: Node, calls: list[str]) -> None:
    """No look a heartbeat, no file read again that has not changed, one wake-up for many.

    Once it was three looks and 140 system calls a second, and 0.7 % of a CPU (issue 13).
    """
    looks = [call for call in calls if f'"{guard.file}"' in call and "O_NOFOLLOW" in call]
    assert 2 <= len(looks) <= SECONDS, "\n".join(looks)
    made = [(match["name"], call) for call in calls if (match := _CALL.match(call))]
    assert not [call for name, call in made if KUBELET in call and name.startswith("open")]
    names = Counter(name for name, _ in made)
    # Thirty a second are the heartbeats', which are further apart where the machine is busy.
    assert sum(names.values()) <= 130 * SECONDS, names.most_common()
