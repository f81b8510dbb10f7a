"""Network namespaces that cannot outlive the test that made them.

Each is held by a process that reads from a pipe of ours: no name in /run/netns to collide or to
be left behind, and when the test dies, killed with -9 even, the pipe closes and the kernel takes
the namespace down with all its links.
"""

import itertools
import subprocess
from pathlib import Path

_numbers = itertools.count(1)


class Namespace:
    """One network namespace, with ``lo`` up."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # ^C is for the test, which then cleans up
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self._holder.communicate()
            raise RuntimeError("could not make a network namespace: not root?")

    @property
    def pid(self) -> int:
        """The holder, by which ``ip link ... netns PID`` knows the namespace."""
        return self._holder.pid

    @property
    def path(self) -> str:
        return f"/proc/{self.pid}/ns/net"

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs ``command`` in here."""
        return ["nsenter", f"--net={self.path}", "--", *command]

    def ip(self, arguments: str) -> None:
        subprocess.run(self.inside("ip", *arguments.split()), check=True)

    def close(self) -> None:
        """Let go: the holder reads the end of its input and ends.

        Raises RuntimeError where another process is still inside.
        """
        with Path(self.path).open("rb"):  # held open, its number can't be another's meanwhile
            number = _number(Path(self.path))
            self._holder.communicate()
            inside = [
                link for link in Path("/proc").glob("[0-9]*/ns/net") if _number(link) == number
            ]
        if inside:
            raise RuntimeError(f"processes are left behind in {number}: {inside}")


def _number(link: Path) -> str:
    """Return a namespace's number; nothing where the process has gone."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def cable(near: Namespace, bridge: str, far: Namespace, *, name: str, mac: str) -> None:
    """Join ``far`` to a bridge in ``near``, by a link that ``far`` calls ``name``."""
    port = f"port{next(_numbers)}"
    near.ip(f"link add {port} type veth peer name {name} address {mac} netns {far.pid}")
    near.ip(f"link set {port} master {bridge} up")
