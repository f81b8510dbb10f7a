"""Private network namespaces that cannot be left behind.

They have no name in /run/netns: a namespace lives as long as something holds its
descriptor, so it is gone when the test is, however the test ends. setns(2) moves one
thread only, so a test enters and leaves in place, and what it opens or starts inside
(sockets, processes) stays inside.

The test machines' kernel has no ``dummy`` links; a bridge does the same (FACTS.md).
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from lab import needs

_CLONE_NEWNET = 0x40000000
_HERE = "/proc/thread-self/ns/net"
LIBC = ctypes.CDLL(None, use_errno=True)  # os.setns and os.unshare come with Python 3.12


class Namespace:
    """A network namespace, by its descriptor; None is where this thread is anyway."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @property
    def path(self) -> str:
        """Its name for other programs (``nsenter --net=``, ``ip link set netns``)."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Move this thread inside and back."""
        if self._descriptor is None:
            yield
            return
        home = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
        check(LIBC.setns(self._descriptor, _CLONE_NEWNET))
        try:
            yield
        finally:
            check(LIBC.setns(home, _CLONE_NEWNET))
            os.close(home)

    def run(self, *command: str) -> None:
        """Run a program inside, to its end.

        :raises subprocess.CalledProcessError: it failed.
        """
        with self.inside():
            subprocess.run(command, check=True)

    def spawn(
        self, command: Sequence[str], *, environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a program inside, with pipes for its stdin and stdout; the caller ends it."""
        pipe = subprocess.PIPE
        with self.inside():
            return subprocess.Popen(
                command,
                text=True,
                stdin=pipe,
                stdout=pipe,
                env=environ,
                process_group=0,  # ^C is for the caller, who then ends it
            )

    def ip(self, command: str) -> None:
        """Run one command of iproute2 inside."""
        self.run("ip", *command.split())

    def bridge(self, name: str, *addresses: str) -> None:
        """Add a bridge, left DOWN, with these addresses: what NodeLocalDNS's link looks like."""
        self.ip(f"link add {name} type bridge")
        for address in addresses:
            self.ip(f"address add {address} dev {name}" + " nodad" * (":" in address))


HERE = Namespace(None)


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a network namespace with ``lo`` up and nothing else in it.

    A test is skipped where this machine gives none.
    """
    needs.require("root", "namespaces")
    home = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    check(LIBC.unshare(_CLONE_NEWNET))
    try:
        descriptor = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        check(LIBC.setns(home, _CLONE_NEWNET))
        os.close(home)
    try:
        made = Namespace(descriptor)
        made.ip("link set lo up")
        yield made
    finally:
        os.close(descriptor)


def cable(left: Namespace, right: Namespace, *, name: str = "eth0") -> None:
    """Join two namespaces with a veth pair; each end has this name and is up."""
    left.ip(f"link add {name} type veth peer name {name} netns {right.path}")
    for end in (left, right):
        end.ip(f"link set {name} up")


def check(result: int, path: str | None = None) -> None:
    """See what a call of libc's has said.

    :raises OSError: it failed.
    """
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
