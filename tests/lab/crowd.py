"""Processes that crowd a socket, each kind in its way, as other users.

Its text is handed to another interpreter (``-c``), which then needs to read nothing of
the tree: a user like nobody can't.
"""

import contextlib
import errno
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

KEPT = 200
"""Connections that a process keeps open; then the oldest is closed for a new one."""
ASK = b'{"version": 1, "request": "status"}\n'
NOBODY = 65534
TENANTS = tuple(range(100_000, 100_040))
"""As newuidmap(1) gives the root of a user namespace: many users, and one person."""

Connect = Callable[[], socket.socket]


def connect_and_close(connect: Connect) -> Iterator[None]:
    """As fast as it goes."""
    while True:
        connect().close()
        yield


def say_nothing(connect: Connect) -> Iterator[None]:
    """Keep connections open, always new ones."""
    return _keep(connect, b"")


def say_half(connect: Connect) -> Iterator[None]:
    """Begin a line, and end none."""
    return _keep(connect, ASK[:10])


def never_read(connect: Connect) -> Iterator[None]:
    """Ask and hear nothing."""
    return _keep(connect, ASK)


def _keep(connect: Connect, said: bytes) -> Iterator[None]:
    kept: list[socket.socket] = []
    while True:
        kept.append(connect())
        kept[-1].send(said)
        yield
        if len(kept) > KEPT:
            kept.pop(0).close()


def trickle(connect: Connect) -> Iterator[None]:
    """Say a byte at a time, on eight connections at once."""
    while True:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect()) for _ in range(8)]
            for _ in range(4000):
                for client in clients:
                    client.send(b" ")
                yield


def ask_and_ask(connect: Connect) -> Iterator[None]:
    """Ask, hear, and ask again."""
    while True:
        with connect() as client:
            client.send(ASK)
            while client.recv(65536):
                pass
        yield


def burn(_: Connect) -> Iterator[None]:
    """Leave the socket alone, and take the CPU: what every program may do."""
    while True:
        yield


KINDS = {
    kind.__name__: kind
    for kind in (
        connect_and_close,
        say_nothing,
        say_half,
        never_read,
        trickle,
        ask_and_ask,
        burn,
    )
}


def crowd(kind: str, where: str) -> None:
    """Do it until killed, whatever comes of it."""
    family = socket.AF_UNIX if where.startswith("/") else socket.AF_INET
    address: str | tuple[str, int] = where
    if family == socket.AF_INET:
        address = "127.0.0.1", int(where)

    def connect() -> socket.socket:
        made = socket.socket(family)
        made.settimeout(1)
        while made.connect_ex(address) == errno.EAGAIN:
            pass  # the queue is full: push in
        return made

    while True:
        with contextlib.suppress(OSError):
            for _ in KINDS[kind](connect):
                pass


@contextlib.contextmanager
def crowded(kind: str, where: Path | int, uids: Sequence[int]) -> Iterator[None]:
    """Have a process of each of these users do that."""
    text = Path(__file__).read_text(encoding="utf-8")
    with contextlib.ExitStack() as stack:
        for uid in uids:
            as_user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
            command = [*as_user, sys.executable, "-c", text, kind, str(where)]
            process = subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE)
            stack.callback(_end, process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"
        yield


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


if __name__ == "__main__":
    print("here", flush=True)
    crowd(sys.argv[1], sys.argv[2])
