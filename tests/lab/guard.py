"""The real daemon on a node of the test's own: its files below one root, its log kept."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dnsguard.formats import resolvconf
from lab.nameserver import nameserver
from lab.netns import Namespace, cable, namespace
from lab.wait import until

NODELOCAL = "169.254.25.10"
UPSTREAM = "192.0.2.53"
OTHER = "192.0.2.54"
"""A second upstream; nobody listens there unless a test does."""
POISON = (
    b"domain cluster.local\n"
    b"search cluster.local default.svc.cluster.local. svc.cluster.local.\n"
    b"nameserver 169.254.25.10\n"
)
"""What Kubespray and dhclient leave after a reboot (FACTS.md)."""

TREE = Path(__file__).parents[2]


class Node:
    """A root directory and the commands on it."""

    def __init__(
        self, root: Path, where: Namespace, *, knows: bool = True, code: Path = TREE
    ) -> None:
        """Set up the files.

        :param knows: whether a backup names the upstream.
        :param code: the directory that dnsguard is imported from.
        """
        self.root = root
        self._code = code
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
                env=environment(self._code),
                timeout=30,
            )

    def done(self, *arguments: str) -> str:
        """Run one command that has to succeed, and return what it prints."""
        done = self.run(*arguments)
        assert done.returncode == 0, done
        return done.stdout

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
        return [str(s.address) for s in resolvconf.read_nameservers(content) if s.glibc]

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

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start one command, whose stderr is the log; the caller ends it."""
        with self.log.open("ab") as log, self.where.inside():
            return subprocess.Popen(
                self.command(*arguments),
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment(self._code),
                start_new_session=True,  # ^C is for the test, which then ends it
            )

    @contextmanager
    def guarded(self, *, to_end: int = signal.SIGTERM) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the daemon; ``to_end`` ends it, and it must still be there to be ended."""
        before = self.log.stat().st_size if self.log.exists() else 0
        process = self.start("run")
        try:
            # It is told 3 s late where the file can't be written (READY_LATEST).
            self.wait_for_line("started", behind=before, within=10.0)
            yield process
            assert process.poll() is None, f"the daemon died\n{self.log.read_text()}"
        finally:
            process.send_signal(to_end)
            process.wait(10)


@contextmanager
def upstream(node: Namespace) -> Iterator[None]:
    """Have a nameserver answer outside of the node, at the other end of a cable."""
    with namespace() as outside:
        cable(node, outside)
        node.ip("address add 192.0.2.1/24 dev eth0")
        outside.ip(f"address add {UPSTREAM}/24 dev eth0")
        with nameserver(outside, UPSTREAM):
            yield


@contextmanager
def open_node(node: Namespace) -> Iterator[Node]:
    """Give a poisoned node whose upstream answers, in a short path that anyone may enter."""
    with upstream(node), tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Node(Path(made), node)


@contextmanager
def nodelocaldns(guard: Node) -> Iterator[None]:
    """Have NodeLocalDNS answer on the node."""
    guard.where.bridge("nodelocal", NODELOCAL)
    try:
        with nameserver(guard.where, NODELOCAL):
            yield
    finally:
        guard.where.ip("link delete nodelocal")


def environment(code: Path = TREE) -> dict[str, str]:
    """Return an environment in which this code runs, and nobody is notified."""
    inherited = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
    return inherited | {"PYTHONPATH": str(code)}
