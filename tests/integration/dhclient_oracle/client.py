"""The real dhclient, asked what it makes of its files.

It runs in a network namespace of its own with a script that only writes down the
environment, so it touches no resolv.conf. dnsmasq is the DHCP server at the other end.
"""

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.dhclient import PATIENCE
from lab.dnsmasq import Server
from lab.netns import Namespace
from lab.wait import until

from dnsguard.formats.dhclient import leases

SCRIPT = """\
#!/bin/sh
case $reason in
    PREINIT*) ip link set $interface up ;;
    BOUND*|REBOOT|TIMEOUT) env >"$0.new" && mv "$0.new" "$0.env" ;;
esac
exit 0
"""
Environ = Mapping[str, str]


class Client:
    """dhclient on eth0, once for each question."""

    def __init__(self, where: Namespace, directory: Path) -> None:
        self._where = where
        self._script = directory / "script"
        self._script.write_text(SCRIPT)
        self._script.chmod(0o755)
        self._environ = directory / "script.env"
        self._conf = directory / "dhclient.conf"
        self._pid = directory / "dhclient.pid"
        self.leases = directory / "dhclient.leases"

    def ask(self, content: bytes, *, version: int = 4) -> Environ:
        """Return what the hook is told with this dhclient.conf, without a lease before it."""
        self.leases.write_bytes(b"")
        return self.ask_again(content, version=version)

    def ask_again(self, content: bytes, *, version: int = 4) -> Environ:
        """Ask with the leases as they are; its process is gone when this returns."""
        with self.running(content, version=version) as environ:
            return environ

    @contextmanager
    def running(self, content: bytes, *, version: int = 4) -> Iterator[Environ]:
        """Run dhclient from the time it has written down its lease: later than the hook knows."""
        self._environ.unlink(missing_ok=True)
        self._conf.write_bytes(content)
        files = ["-cf", self._conf, "-lf", self.leases, "-pf", self._pid, "-sf", self._script]
        command = ["dhclient", f"-{version}", "-d", *map(str, files), "eth0"]
        with self._where.inside():
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
            )
        try:
            until(lambda: self._environ.exists() or process.poll() is not None, within=PATIENCE)
            assert self._environ.exists(), f"dhclient ended with {process.returncode}"
            lines = self._environ.read_text(errors="replace").splitlines()
            environ = dict(line.split("=", 1) for line in lines if "=" in line)
            if environ["reason"] != "TIMEOUT":
                until(lambda: bool(leases.parse(self.leases.read_bytes())))
            yield environ
        finally:
            process.send_signal(signal.SIGKILL)  # no RELEASE
            process.communicate()


class Lab:
    def __init__(self, server: Server, client: Client, node: Namespace) -> None:
        self.server = server
        self.client = client
        self.node = node


def servers_of(environ: Environ, name: str = "new_domain_name_servers") -> tuple[str, ...]:
    return tuple(environ.get(name, "").split())
