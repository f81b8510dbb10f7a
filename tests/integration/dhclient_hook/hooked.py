"""A client that has our enter hook.

The daemon is played by what the hook knows of it: a process that holds a lock.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lab.dhclient import Machine
from lab.dnsmasq import OFFER
from unit.formats.samples import KUBESPRAY

from dnsguard.formats.dhclient import records
from dnsguard.formats.dhclient.records import DhclientEvent

POISONING, _ = KUBESPRAY["2.21-2.23"]
HEALTHY = b"# ours\nsearch old.example\nnameserver 192.0.2.53\n"
IMPATIENT = b"timeout 1; reboot 1; initial-interval 1;"
ROUTERLESS = (*OFFER, "--dhcp-option=option:router")
"""With a router, and only on TIMEOUT, dhclient-script wants an answer to a ping first."""
_HOLD = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def daemon(machine: Machine, *, to_end: int = signal.SIGKILL) -> Iterator[None]:
    """Hold the lock; the file stays when its holder is gone."""
    machine.records.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _HOLD, str(machine.root / "run/dnsguard/dhclient.lock")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        try:
            yield
        finally:
            process.send_signal(to_end)


def told_of(machine: Machine, name: str = "4.eth0") -> DhclientEvent:
    found = records.parse(machine.record(name))
    assert found is not None, machine.record(name)
    return found
