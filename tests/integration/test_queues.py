"""What lies unread before a server, and who could read it: the real kernel's word."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from lab import needs
from lab.container import Container, container
from lab.netns import Namespace
from lab.wait import until

from dnsguard.formats.address import IPAddress
from dnsguard.host.cgroups import find_cgroup, is_asleep
from dnsguard.host.queues import Queue, Queues

pytestmark = pytest.mark.integration

NODELOCAL = IPv4Address("169.254.25.10")
NODELOCAL6 = IPv6Address("fd00::10")
ANY = {4: "0.0.0.0", 6: "::"}
Open = Callable[..., socket.socket]
Program = subprocess.Popen[str]


@pytest.fixture
def link(node: Namespace) -> None:
    node.bridge("nl", f"{NODELOCAL}/32", f"{NODELOCAL6}/128", "fe80::1/64")


@pytest.fixture
def queues(link: None) -> Iterator[Queues]:
    with closing(Queues()) as made:
        yield made


@pytest.fixture
def serve(link: None) -> Iterator[Open]:
    """Return a way to have a server's socket that nobody reads, for as long as the test lasts."""
    with ExitStack() as stack:

        def open_it(
            address: IPAddress | str = NODELOCAL, kind: int = socket.SOCK_DGRAM, *, shared: int = 0
        ) -> socket.socket:
            family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
            made = stack.enter_context(socket.socket(family, kind))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
            made.bind(socket.getaddrinfo(str(address), 53, type=kind)[0][4])
            return made

        yield open_it


@pytest.fixture
def ask(link: None) -> Iterator[Open]:
    """Return a way to send so many questions from one socket."""
    with ExitStack() as stack:

        def send_it(
            server: IPAddress | str = NODELOCAL, *, times: int = 1, kind: int = socket.SOCK_DGRAM
        ) -> socket.socket:
            family = socket.AF_INET6 if ":" in str(server) else socket.AF_INET
            made = stack.enter_context(socket.socket(family, kind))
            made.settimeout(2.0)
            until(lambda: _is_connected(made, socket.getaddrinfo(str(server), 53, type=kind)[0][4]))
            for _ in range(times):
                made.send(bytes(40))
            return made

        yield send_it


def _is_connected(made: socket.socket, server: Any) -> bool:  # noqa: ANN401 -- as socket has it
    """Connect; a link-local address has no route yet while its link comes up."""
    with suppress(OSError):
        made.connect(server)
        return True
    return False


def _read(
    queues: Queues, ours: socket.socket, server: IPAddress = NODELOCAL, *, tcp: bool = False
) -> Queue:
    found = queues.read(server, ours, tcp=tcp)
    assert found is not None
    return found


def test_a_question_that_nobody_reads_is_in_the_queue(
    queues: Queues, serve: Open, ask: Open
) -> None:
    """And it is gone once it was read."""
    server, ours = serve(), ask()
    before = _read(queues, ours)
    assert before.unread > 0
    ours.send(bytes(40))
    after = _read(queues, ours)
    assert after.unread == 2 * before.unread
    assert after.socket == before.socket
    server.recv(512)
    server.recv(512)
    assert _read(queues, ours).unread == 0


@pytest.mark.parametrize("server", [NODELOCAL, NODELOCAL6, IPv6Address("fe80::1%nl")])
@pytest.mark.parametrize("is_any", [False, True])
def test_wherever_the_server_is_bound(
    queues: Queues, serve: Open, ask: Open, server: IPAddress, *, is_any: bool
) -> None:
    """On its address or on all of them, of IPv4 and IPv6, with a zone and without."""
    serve(ANY[server.version] if is_any else server)
    assert _read(queues, ask(server), server).unread > 0


def test_a_server_of_ipv6_that_answers_for_ipv4(queues: Queues, serve: Open, ask: Open) -> None:
    """Go's ":53" is one socket for both."""
    serve(ANY[6])
    assert _read(queues, ask()).unread > 0


def test_of_many_sockets_it_is_the_one_that_the_question_is_in(
    queues: Queues, serve: Open, ask: Open
) -> None:
    """SO_REUSEPORT: the kernel chooses by both ends' addresses and ports."""
    servers = [serve(shared=1) for _ in range(4)]
    asked = [ask() for _ in range(24)]
    assert all(_read(queues, ours).unread > 0 for ours in asked)
    cookies = {_read(queues, ours).socket for ours in asked}
    assert len(cookies) > 1
    for ours in asked[1:]:
        ours.close()
    for server in servers:
        server.setblocking(False)
    # Whoever has read the one question, its queue is what is told of.
    for server in servers:
        before = _read(queues, asked[0]).unread
        while _can_read(server):
            pass
        assert _read(queues, asked[0]).unread in (before, 0)
    assert _read(queues, asked[0]).unread == 0


def _can_read(server: socket.socket) -> bool:
    try:
        return bool(server.recv(512))
    except BlockingIOError:
        return False


def test_a_full_queue_counts_what_it_drops(queues: Queues, serve: Open, ask: Open) -> None:
    """Its size stays as it is from then on."""
    serve()
    ours = ask(times=1000)
    found = _read(queues, ours)
    assert 0 < found.dropped < 1000
    assert f"{found.dropped} packets were dropped" in str(found)
    ours.send(bytes(40))
    again = _read(queues, ours)
    assert (again.unread, again.dropped) == (found.unread, found.dropped + 1)


def test_a_connection_that_nobody_accepts_has_the_question(
    queues: Queues, serve: Open, ask: Open
) -> None:
    """The kernel accepts for it; accepted or not, what was sent lies in the same queue."""
    listener = serve(kind=socket.SOCK_STREAM)
    listener.listen(8)
    ours = ask(kind=socket.SOCK_STREAM)
    before = _read(queues, ours, tcp=True)
    assert (before.unread, before.is_listeners) == (40, False)
    accepted, _ = listener.accept()
    with accepted:
        assert _read(queues, ours, tcp=True) == before
        accepted.recv(512)
        assert _read(queues, ours, tcp=True).unread == 0


def test_a_full_accept_queue_is_the_listeners(queues: Queues, serve: Open, ask: Open) -> None:
    """A connection more gets no further than its first packet."""
    listener = serve(kind=socket.SOCK_STREAM)
    listener.listen(0)
    ask(kind=socket.SOCK_STREAM)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as late:
        with pytest.raises(BlockingIOError):
            late.connect((str(NODELOCAL), 53))
        found = _read(queues, late, tcp=True)
    assert (found.unread, found.is_listeners) == (1, True)
    assert str(found) == "1 connections wait to be accepted"


def test_where_nobody_listens_there_is_no_queue(queues: Queues) -> None:
    """A server that is gone is told of otherwise."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.connect((str(NODELOCAL), 53))
        assert queues.read(NODELOCAL, ours, tcp=False) is None


@pytest.fixture
def box() -> Iterator[Container]:
    needs.require("cgroups")
    with container() as made:
        yield made


PROGRAM = """if True:
    import socket, sys, threading
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("169.254.25.10", 53))
    print("ready", flush=True)
    threading.Thread(target=server.recv, args=[512]).start()
    if sys.stdin.readline() == "spin\\n":
        while True:
            pass
"""


@pytest.fixture
def program(box: Container, node: Namespace, link: None) -> Iterator[Program]:
    """Return a server that sleeps in a container, in two threads."""
    with node.spawn([*box.enter(), sys.executable, "-c", PROGRAM]) as made:
        assert made.stdout
        assert made.stdout.readline() == "ready\n"
        yield made
        made.kill()


def test_the_owner_of_a_queue_is_found_by_its_cgroup(
    queues: Queues, box: Container, program: Program, ask: Open
) -> None:
    """It is what the kernel keeps of who has opened the socket."""
    number = _read(queues, ask()).cgroup
    assert find_cgroup(number) in box.groups


def test_who_runs_or_would_is_not_asleep(box: Container, program: Program) -> None:
    """Sleeping, stopped, and wanting the CPU, which a throttled one does, too."""
    (group,) = (one for one in box.groups if (one / "cgroup.threads").exists())
    until(lambda: is_asleep(group))
    os.kill(program.pid, signal.SIGSTOP)
    until(lambda: is_asleep(group))
    os.kill(program.pid, signal.SIGCONT)
    box.limit(0.01)
    assert program.stdin
    program.stdin.write("spin\n")
    program.stdin.flush()
    until(lambda: not is_asleep(group))
    until(lambda: box.read_throttled() > 3)
    assert not any(is_asleep(group) for _ in range(100))


def test_what_can_not_be_told_is_not_asleep(tmp_path: Path, box: Container) -> None:
    """No group, an empty one, and threads of another PID namespace, whose number is 0."""
    assert not is_asleep(tmp_path)
    assert not any(is_asleep(group) for group in box.groups)
    (tmp_path / "cgroup.threads").write_text("0\n0\n")
    assert not is_asleep(tmp_path)
    assert find_cgroup(1 << 60) is None
