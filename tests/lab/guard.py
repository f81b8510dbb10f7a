"""The real daemon on a node of the test's own: its files below one root, its log kept."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dnsguard.core import resolvconf
from lab.netns import Namespace
from lab.wait import until

NODELOCAL = "169.254.25.10"
UPSTREAM = "192.0.2.53"
POISON = (
    b"domain cluster.local\n"
    b"search cluster.local default.svc.cluster.local. svc.cluster.local.\n"
    b"nameserver 169.254.25.10\n"
)
"""What Kubespray and dhclient leave after a reboot (FACTS.md)."""

_REPOSITORY = Path(__file__).parents[2]


class Node:
    """A root directory and the commands on it."""

    def __init__(self, root: Path, where: Namespace, *, knows: bool = True) -> None:
        """Set up the files.

        :param knows: whether a backup names the upstream.
        """
        self.root = root
        self.where = where
        self.file = root / "etc/resolv.conf"
        self.log = root / "log"
        (root / "etc/dnsguard").mkdir(parents=True)
        self.file.write_bytes(POISON)
        if knows:
            (root / "etc/resolv.conf.bak").write_text(f"nameserver {UPSTREAM}\n")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dnsguard", "--root", str(self.root), *arguments]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end, whatever it says."""
        with self.where.inside():
            return subprocess.run(
                self.command(*arguments),
                capture_output=True,
                text=True,
                check=False,
                env=environment(),
                timeout=30,
            )

    def status(self) -> dict[str, Any]:
        """Return the daemon's status."""
        done = self.run("status", "--json")
        assert done.returncode in (0, 2), done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def servers(self) -> list[str]:
        """Return what glibc would use."""
        try:
            content = self.file.read_bytes()
        except OSError:
            return []
        return [str(s.address) for s in resolvconf.nameservers(content) if s.glibc]

    def wait_for(self, *servers: str, within: float = 10.0) -> None:
        """Wait until the file names just these.

        :raises AssertionError: it does not in time; with the daemon's log.
        """
        try:
            until(lambda: self.servers() == list(servers), within=within)
        except TimeoutError as error:
            found = f"{self.servers()} is not {list(servers)}"
            raise AssertionError(f"{found}\n{self.log.read_text()}") from error

    def wait_for_line(self, *parts: str, behind: int = 0, within: float = 5.0) -> None:
        """Wait for a line of the log, ``behind`` its first bytes, that has all these parts."""

        def is_there() -> bool:
            lines = self.log.read_bytes()[behind:].decode().splitlines()
            return any(all(part in line for part in parts) for line in lines)

        try:
            until(is_there, within=within)
        except TimeoutError as error:
            raise AssertionError(f"no line with {parts}\n{self.log.read_text()}") from error

    @contextmanager
    def guarded(self, *, to_end: int = signal.SIGTERM) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the daemon; ``to_end`` ends it, and it must still be there to be ended."""
        with self.log.open("ab") as log, self.where.inside():
            before = log.tell()
            process = subprocess.Popen(
                self.command("run"), stderr=log, env=environment(), start_new_session=True
            )
        try:
            # It is told 3 s late where the file can't be written (READY_LATEST).
            self.wait_for_line("started", behind=before, within=10.0)
            yield process
            assert process.poll() is None, f"the daemon died\n{self.log.read_text()}"
        finally:
            process.send_signal(to_end)
            process.wait(10)


def environment() -> dict[str, str]:
    """Return an environment in which the tree's own code runs, and nobody is notified."""
    inherited = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
    return inherited | {"PYTHONPATH": str(_REPOSITORY)}
