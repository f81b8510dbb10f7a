"""Who asks the chain for names: a program on the node, and one question."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from lab.chain import World
from lab.chain_files import OUTSIDE


@contextmanager
def client(world: World) -> Iterator["Client"]:
    """Run a program on the node that resolves a name every 10 ms."""
    (world.root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    # The whole /etc, so that a file renamed into it is seen.
    script = 'mount --make-rprivate / && mount --bind "$1" /etc && exec "$2" -m lab.client "$3"'
    command = ["unshare", "--mount", "sh", "-c", script, "client", str(world.root / "etc")]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with world.node.spawn([*command, "/usr/bin/python3", OUTSIDE], environ=environ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the client's names."""

    asked: int
    lost: int
    """Not resolved: the application got an error."""
    late: int
    """Resolved after more than a second."""
    worst: float
    """Seconds that the slowest one took."""

    def __str__(self) -> str:
        return (
            f"{self.asked} names asked, {self.lost} lost, {self.late} later than 1 s, "
            f"slowest {self.worst * 1000:.0f} ms"
        )


class Client:
    """The program as its test sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.count()

    def count(self) -> Count:
        """Return what became of the names since the last call; waits for those under way."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        asked, lost, late, worst = self._process.stdout.readline().split()
        return Count(int(asked), int(lost), int(late), float(worst))


def resolve(world: World, name: str, server: str) -> str | None:
    """Return the address that a server on the node's network has for a name."""
    with world.node.inside():
        try:
            reply = dns.query.udp(dns.message.make_query(name, "A"), server, 1.0)
        except (OSError, dns.exception.DNSException):
            return None
    found = [str(record) for rrset in reply.answer for record in rrset]
    return found[0] if found else None
