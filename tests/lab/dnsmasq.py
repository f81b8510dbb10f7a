"""dnsmasq as the DHCP server of a test."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.netns import Namespace
from lab.wait import until

LAN = "lan"
"""The server's link; a bridge where the client has several."""
SERVER = "10.99.0.1"
OFFER = (
    "--dhcp-range=10.99.0.50,10.99.0.199,1h",
    "--dhcp-range=2001:db8::1000,2001:db8::1fff,64,1h",
    "--dhcp-option=option:dns-server,10.99.0.2,10.99.0.3",
    "--dhcp-option=option6:dns-server,[2001:db8::53]",
    "--dhcp-option=option:domain-name,real.example",
    "--dhcp-option=option:domain-search,a.example,b.example",
)
"""Options of dnsmasq(8)."""


class Server:
    """dnsmasq, on one link."""

    def __init__(
        self, where: Namespace, directory: Path, offer: Sequence[str] = OFFER, *, link: str = LAN
    ) -> None:
        where.ip(f"address add {SERVER}/24 dev {link}")
        where.ip(f"address add 2001:db8::1/64 dev {link} nodad")
        self._where = where
        self._link = link
        self._directory = directory
        self._log = directory / "dnsmasq.log"
        self._offer = tuple(offer)
        self.start()

    def start(self) -> None:
        command = [
            "dnsmasq",
            "--no-daemon",
            "--conf-file=/dev/null",
            "--user=root",
            f"--pid-file={self._directory}/dnsmasq.pid",
            f"--dhcp-leasefile={self._directory}/dnsmasq.leases",
            "--port=0",
            f"--interface={self._link}",
            "--no-ping",
            "--dhcp-authoritative",
            "--dhcp-duid=32473,01",  # the same in each world; else it has the time in it
            *self._offer,
        ]
        with self._where.inside(), self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: "started" in self.log() or self._process.poll() is not None)
        assert self._process.poll() is None, self.log()

    def log(self) -> str:
        """Return what it said since its start; it tells of each message (``DHCPINFORM(lan)``)."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def offer(self, *options: str) -> None:
        """Offer something else from now on."""
        self.stop()
        self._offer = options
        self.start()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Be away."""
        self.stop()
        try:
            yield
        finally:
            self.start()
