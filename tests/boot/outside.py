"""The network outside the node: its DHCP server, which is its upstream DNS too.

Both are one dnsmasq. Every question it is asked is in its log, so a test can say what reached
the upstream and not only what came back.
"""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boot.net import Namespace, cable
from boot.waiting import wait_for

UPSTREAM = "192.0.2.1"
REGISTRY = "registry.test"
REGISTRY_ADDRESS = "203.0.113.7"
MIRROR = "mirror.test"
"""Debian's archive, where a test serves it (boot.mirror); on the upstream's address."""

# What dnsguard asks an upstream by default is `. NS`: type 2, and the name as RFC 1035 packs it.
ROOT_NS = ".,2," + b"\x01a\x0croot-servers\x03net\x00".hex()


class Outside:
    """The outside namespace with its running dnsmasq."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "dnsmasq.log"
        self.namespace = Namespace()
        self.namespace.ip("link add lan type bridge")
        self.namespace.ip(f"address add {UPSTREAM}/24 dev lan")
        self.namespace.ip("link set lan up")
        command = self.namespace.inside(*self._command(directory))
        # ^C is for the test, which then cleans up.
        self._dnsmasq = subprocess.Popen(command, process_group=0)
        wait_for("dnsmasq serves DHCP", lambda: "DHCP, IP range" in self.log(), seconds=10)

    def _command(self, directory: Path) -> list[str]:
        return [
            # It goes when the test goes, even a killed one; a change of user or group clears that.
            "setpriv",
            "--pdeathsig=KILL",
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--user=root",
            "--group=root",
            "--pid-file=",
            "--interface=lan",
            "--bind-interfaces",
            "--no-hosts",
            "--no-resolv",
            "--log-queries",
            f"--log-facility={self._log}",
            f"--dhcp-leasefile={directory / 'dnsmasq.leases'}",
            "--dhcp-range=192.0.2.50,192.0.2.99,1h",
            f"--dhcp-option=option:dns-server,{UPSTREAM}",
            "--dhcp-option=option:domain-name,lab.test",
            f"--host-record={REGISTRY},{REGISTRY_ADDRESS}",
            f"--host-record={MIRROR},{UPSTREAM}",
            f"--dns-rr={ROOT_NS}",
            # NXDOMAIN for the rest, as the internet says it; without this dnsmasq says REFUSED.
            "--address=/#/",
        ]

    def plug_in(self, node: Namespace) -> None:
        """Give ``node`` an eth0. The MAC is always the same: it is the same machine."""
        cable(self.namespace, "lan", node, name="eth0", mac="02:00:00:00:00:0a")

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def was_asked(self, name: str) -> bool:
        return f"] {name} from " in self.log()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Have the nameserver answer nobody, as in an outage."""
        self._dnsmasq.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._dnsmasq.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self._dnsmasq.kill()
        self._dnsmasq.wait()
        self.namespace.close()
