"""A crowd of other users at the sockets: root gets through, and the guard guards on."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest
from lab.crowd import KINDS, NOBODY, TENANTS, crowded
from lab.guard import POISON, UPSTREAM, Node, environment, open_node
from lab.netns import Namespace
from lab.wait import until

from dnsguard import PROTOCOL, ROOT_SOCKET, client
from dnsguard.errors import NoDaemonError

pytestmark = pytest.mark.integration

CROWDS = {
    "two of nobody": (NOBODY, NOBODY),
    "three users": (1, 33, NOBODY),
    "six of a user namespace": TENANTS[:6],
}
TRIES = 22
"""As often as root tried when it was shut out each time."""


@pytest.fixture
def guard(node: Namespace) -> Iterator[Node]:
    """Return a poisoned node whose upstream answers, in a short path that anyone may enter."""
    with open_node(node) as made:
        yield made


def _socket(guard: Node) -> Path:
    return guard.root / "run/dnsguard/control.sock"


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return 1000 * (time.monotonic() - began)


def _repair(guard: Node) -> None:
    fresh = guard.root / "etc/.fresh"
    fresh.write_bytes(POISON)
    fresh.replace(guard.file)
    guard.wait_for(UPSTREAM)


def _refused(guard: Node) -> list[str]:
    return [line for line in guard.log.read_text().splitlines() if "client_refused" in line]


@pytest.mark.parametrize("uids", CROWDS.values(), ids=CROWDS)
def test_root_gets_through(guard: Node, uids: tuple[int, ...]) -> None:
    """Each time, to ask and to command; the file is repaired; nobody else is accused.

    What is printed is beside a crowd that takes as much of the CPU and leaves dnsguard alone.
    """
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        for kind in ("burn", *(kind for kind in KINDS if kind != "burn")):
            with crowded(kind, _socket(guard), uids):
                asked = [_milliseconds(lambda: _ask(guard, "status")) for _ in range(TRIES)]
                _ask(guard, "hold", serves="upstream", by="root")
                _ask(guard, "release", by="root")
                repairs = [
                    _milliseconds(lambda: _repair(guard)) for _ in range(3)
                ]  # fewer than a fight
                for command in (["check"], ["wait", "--timeout", "5s"]):
                    done = guard.run(*command)
                    assert done.returncode == 0, done
            told = f"asked {median(asked):.1f} ms (at most {max(asked):.1f})"
            print(f"{kind} by {len(uids)}: {told}, repaired {median(repairs):.1f} ms")
    assert "uid=0" not in "".join(_refused(guard))


def _ask(guard: Node, request: str, **arguments: object) -> dict[str, object]:
    return client.ask(_socket(guard), request, **arguments)


def test_the_user_whose_connections_they_are_is_named(guard: Node) -> None:
    """Root asks among a crowd, and it is the crowd that the journal tells of."""
    with guard.guarded(), crowded("say_nothing", _socket(guard), [NOBODY, NOBODY]):
        guard.wait_for_line("client_refused", "more than 8 connections", f"uid={NOBODY}")
        for _ in range(TRIES):
            _ask(guard, "status")
    assert {f"uid={NOBODY}" in line for line in _refused(guard)} == {True}


def test_at_the_socket_of_all_a_crowd_stands_in_roots_way(guard: Node) -> None:
    """The control: without a socket of its own root waits in the kernel's queue with them."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        own = _socket(guard).with_name(ROOT_SOCKET)
        with crowded("say_half", _socket(guard), [NOBODY] * 3):
            until(lambda: _is_full(_socket(guard)))
            assert not _is_full(own)


def _is_full(path: Path) -> bool:
    """Tell whether a connection that does not wait is refused (EAGAIN, unix(7))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as tried:
        try:
            tried.connect(str(path))
        except BlockingIOError:
            return True
    return False


def test_nobody_else_opens_roots_socket(guard: Node, readable_tree: Path) -> None:
    """Nor does the root of a user namespace, who is nobody here; both may ask at the other."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        own = _socket(guard).with_name(ROOT_SOCKET)
        connect = f"import socket; socket.socket(socket.AF_UNIX).connect({str(own)!r})"
        ways: list[list[str]] = [[], ["unshare", "--user", "--map-root-user"]]
        for inside in ways:
            done = _as_nobody(guard, readable_tree, *inside, "python3", "-c", connect)
            assert "PermissionError" in done.stderr
            done = _as_nobody(guard, readable_tree, *inside, *guard.command("status"))
            assert done.returncode == 0, done
            done = _as_nobody(guard, readable_tree, *inside, *guard.command("hold", "upstream"))
            assert done.returncode == os.EX_NOPERM


def _as_nobody(guard: Node, tree: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    with guard.where.inside():
        return subprocess.run(
            ["setpriv", *who, *command],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment() | {"PYTHONPATH": str(tree)},
        )


def test_the_others_have_their_share_meanwhile(guard: Node, readable_tree: Path) -> None:
    """A user who asks as one does is answered, whatever another one keeps open.

    Asked again, where the kernel's queue was full all the time: whoever pushes in there takes
    each place that gets free before one who sleeps is awake (unix(7) has no order in it).
    """
    with guard.guarded(), crowded("say_nothing", _socket(guard), [33]):
        guard.wait_for(UPSTREAM)
        until(lambda: not guard.status()["degraded"])
        for _ in range(5):
            until(lambda: _is_answered(guard, readable_tree), within=60)


def _is_answered(guard: Node, tree: Path) -> bool:
    """Tell whether nobody's status is an answer; none was, where the queue let nobody in."""
    done = _as_nobody(guard, tree, *guard.command("status"))
    assert done.returncode == 0 or "does not answer" in done.stderr, done
    return done.returncode == 0


def test_many_connections_of_root_are_no_end(guard: Node) -> None:
    """At its own socket, too: the longest silent ones go, and say why."""
    line = json.dumps({"version": PROTOCOL, "request": "status"}).encode() + b"\n"
    with guard.guarded(), ExitStack() as stack:
        own = _socket(guard).with_name(ROOT_SOCKET)
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(200)]
        for one in clients:
            one.connect(str(own))
            one.settimeout(5)
        clients[-1].sendall(line)
        assert json.loads(clients[-1].makefile().readline())["ok"]
        why = json.loads(clients[0].makefile().readline())["error"]
        assert why == "more than 64 connections at a time"


# --- a second daemon


def test_a_second_daemon_writes_nothing(guard: Node) -> None:
    """It is refused at once, though the first one neither answers nor repairs."""
    with guard.guarded() as first:
        guard.wait_for(UPSTREAM)
        first.send_signal(signal.SIGSTOP)
        try:
            guard.file.write_bytes(POISON)
            before = _files(guard)
            done = guard.run("run")
            assert _files(guard) == before
        finally:
            first.send_signal(signal.SIGCONT)
        assert done.returncode == 1
        assert done.stderr == (
            f"dnsguard: another dnsguard listens on {_socket(guard)}: stop that first\n"
        )
        guard.wait_for(UPSTREAM)
        assert _ask(guard, "status")


def _pid(guard: Node) -> object:
    try:
        return _ask(guard, "status")["pid"]
    except NoDaemonError:
        return None


def _files(guard: Node) -> dict[str, tuple[int, int, bytes]]:
    """Return what is below the root: a file that is written anew differs in its time."""
    found = {}
    for path in guard.root.rglob("*"):
        if path != guard.log:
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = status.st_ino, status.st_mtime_ns, content
    return found


def test_the_lock_is_in_nobodys_way(guard: Node) -> None:
    """After kill -9 the next daemon starts; beside a running one the file can be secured."""
    with guard.guarded(to_end=signal.SIGKILL) as first:
        guard.wait_for(UPSTREAM)
        first.send_signal(signal.SIGSTOP)
        guard.file.write_bytes(POISON)
        assert guard.run("secure").returncode == 0
        assert guard.servers() == [UPSTREAM]
    with guard.guarded() as second:
        until(lambda: _pid(guard) == second.pid)


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_no_lock_is_said_and_no_end(guard: Node, kind: str) -> None:
    """What a link leads to is not opened, a FIFO is not waited for; the node is guarded."""
    lock = guard.root / "run/dnsguard/daemon.lock"
    lock.parent.mkdir(parents=True)
    elsewhere = guard.root / "elsewhere"
    make: dict[str, Callable[[], object]] = {
        "link": lambda: lock.symlink_to(elsewhere),
        "fifo": lambda: os.mkfifo(lock),
        "directory": lock.mkdir,
    }
    make[kind]()
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("lock_failed", "daemon.lock")
    assert not elsewhere.exists()


# --- the metrics listener

PORT = 9353


def _scrape() -> bytes:
    with socket.create_connection(("127.0.0.1", PORT), timeout=5) as scraper:
        scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        return b"".join(iter(lambda: scraper.recv(65536), b""))


def _listen(guard: Node, port: int = PORT) -> None:
    (guard.root / "etc/dnsguard/dnsguard.toml").write_text(f'[metrics]\nlisten = "{port}"\n')


def test_idle_connections_shut_out_no_scraper(guard: Node) -> None:
    """Sixteen of them did; a hundred don't, and the longest idle ones hear why."""
    _listen(guard)
    with guard.guarded(), ExitStack() as stack:
        guard.wait_for(UPSTREAM)
        until(lambda: _connects(PORT))
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", PORT))) for _ in range(100)
        ]
        for _ in range(5):
            assert _scrape().startswith(b"HTTP/1.1 200 OK")
        idle[0].settimeout(5)
        assert b"more than 16 connections at a time" in idle[0].recv(4096)


@pytest.mark.parametrize("kind", ["say_half", "trickle"])
def test_a_scraper_gets_through_a_crowd(guard: Node, kind: str) -> None:
    """And the file is repaired meanwhile.

    At another try, where the scraper was not run between its connecting and its asking, while
    sixteen others came: nobody can be told apart there.
    """
    _listen(guard)
    with guard.guarded(), crowded(kind, PORT, [NOBODY]):
        guard.wait_for(UPSTREAM)
        until(lambda: _connects(PORT))
        for _ in range(5):
            until(lambda: _scrape().startswith(b"HTTP/1.1 200 OK"), within=30)
            _repair(guard)


def test_many_scrapes_at_once_are_all_served(guard: Node) -> None:
    """By what is made once for all of them."""
    _listen(guard)
    with guard.guarded(), ExitStack() as stack:
        guard.wait_for(UPSTREAM)
        until(lambda: _connects(PORT))
        scrapers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", PORT), timeout=5))
            for _ in range(12)
        ]
        for scraper in scrapers:
            scraper.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        for scraper in scrapers:
            answer = b"".join(iter(lambda: scraper.recv(65536), b""))  # noqa: B023
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b"dnsguard_mode" in answer


def test_many_reloads_fail_nothing(guard: Node) -> None:
    """Two at a moment bound the same port, and the second one called the first a stranger."""
    with guard.guarded() as daemon:
        for port in range(PORT, PORT + 5):
            _listen(guard, port)
            for _ in range(20):
                daemon.send_signal(signal.SIGHUP)
                _connects(port)  # a moment, so that the signals are not taken for one
            until(lambda: _connects(port))  # noqa: B023
    assert "metrics_failed" not in guard.log.read_text()


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
