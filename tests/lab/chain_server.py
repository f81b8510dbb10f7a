"""One server of the chain: started, killed and started again, its log kept."""

import signal
import subprocess
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from lab.chain_files import INSIDE
from lab.container import NO_CONTAINER, Container
from lab.guard import UPSTREAM
from lab.netns import Namespace
from lab.wait import until

GOOD = f"nameserver {UPSTREAM}\n".encode()
STARTED = 10.0
"""Seconds that a server may take to serve, or to find its loop, beside other tests."""


class Server:
    """One of the servers: started, killed and started again, its log kept."""

    def __init__(
        self,
        command: list[str],
        where: Namespace,
        address: str,
        work: Path,
        box: Container = NO_CONTAINER,
    ) -> None:
        self.address = address
        self.process: subprocess.Popen[bytes] | None = None
        # Of its own: a mount that nobody else sees, and death with its test.
        enter = 'mount --make-rprivate / && mount --bind "$0" /etc/resolv.conf && exec "$@"'
        private = [
            *box.enter(),
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "sh",
            "-c",
            enter,
        ]
        self._command = [*private, str(work / "resolv.conf"), *command]
        self._where = where
        self.box = box
        self._conf = work / "resolv.conf"
        self._log = work / "log"
        self._log.touch()

    def start(self, resolv_conf: bytes = GOOD) -> None:
        """Start it as kubelet would have: with a copy of this file for good."""
        self._conf.write_bytes(resolv_conf)
        with self._log.open("ab") as log, self._where.inside():
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def serves(self, name: str = INSIDE, *, tcp: bool = False, within: float = 0.5) -> bool:
        """Tell whether it answers a question."""
        query = dns.message.make_query(name, "A")
        with self._where.inside():
            try:
                if tcp:
                    reply = dns.query.tcp(query, self.address, within)
                else:
                    reply = dns.query.udp(query, self.address, within)
            except (OSError, dns.exception.DNSException, EOFError):
                return False
        return reply.rcode() in (0, 3)

    def wait_until_serves(self, name: str = INSIDE) -> None:
        """Wait for an answer over UDP and over TCP.

        :raises AssertionError: none came; with its log.
        """

        def is_up() -> bool:
            assert self.is_alive, self.log
            return self.serves(name) and self.serves(name, tcp=True)

        try:
            until(is_up, within=STARTED)
        except TimeoutError as error:
            raise AssertionError(f"{self.address} does not serve\n{self.log}") from error

    def wait_for_death(self, *, within: float = STARTED) -> str:
        """Wait until it has ended by itself; return its log."""
        assert self.process is not None
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.address} lives\n{self.log}") from error
        return self.log

    def stop(self) -> None:
        """End it as kubelet does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel does; its addresses stay."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self.process is not None and self.is_alive:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(10)

    def pause(self) -> None:
        """Let it hang: its socket is there, and nobody reads from it."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """Have it read its Corefile anew: it hands its sockets to itself."""
        self._signal(signal.SIGUSR1)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
