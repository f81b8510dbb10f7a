"""Who makes room for whom, and that a listener keeps to its terms, over real sockets."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dnsguard.host.listener import SLICE, Client, Listener
from dnsguard.host.listener_terms import Terms, find_crowder

Run = Callable[[Awaitable[None]], None]
TERMS = Terms(end=b"\n", longest=64, patience=30.0, share=2, most=5, trusted={0: 3})

CROWDS = [
    pytest.param({}, 1000, None, id="the first"),
    pytest.param({1000: 1}, 1000, None, id="within its share"),
    pytest.param({1000: 2}, 1000, 1000, id="beyond its share"),
    pytest.param({1000: 2, 1001: 2}, 1002, None, id="within the number of all"),
    pytest.param({1000: 1, 1001: 2, 1002: 2}, 1003, 1001, id="the one with the most"),
    pytest.param({1: 1, 2: 1, 3: 1, 4: 1, 5: 1}, 6, 1, id="of equals the first"),
    pytest.param({0: 3, 1000: 2}, 1001, None, id="root's don't count"),
    pytest.param({1: 2, 2: 2, 3: 1}, 0, None, id="root makes nobody go"),
    pytest.param({0: 3, 1000: 2}, 0, 0, id="root has a share, too"),
]


@pytest.mark.parametrize(("counts", "newcomer", "expected"), CROWDS)
def test_who_makes_room(counts: dict[int, int], newcomer: int, expected: int | None) -> None:
    """A peer beyond its share does itself; beyond the number of all it is the greediest."""
    assert find_crowder(counts, newcomer, TERMS) == expected


class Hall:
    """A listener whose peers say who they are, and what happened at it."""

    def __init__(self, path: Path, terms: Terms = TERMS, answer: bytes | None = b"fine\n") -> None:
        self.path = path
        self.peers: list[int] = []
        self.served: list[bytes] = []
        self.waiting: list[Client] = []
        self.refused: list[tuple[int, str]] = []
        self.answer = answer
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        self.listener = Listener(
            listener,
            terms,
            peer=lambda _: self.peers.pop(0),
            serve=self._serve,
            refuse=self._refuse,
        )

    def _serve(self, client: Client) -> bytes | None:
        self.served.append(bytes(client.heard))
        self.waiting.append(client)
        return self.answer

    def _refuse(self, client: Client, why: str) -> bytes:
        self.refused.append((client.peer, why))
        return b"no: " + why.encode()

    async def enter(self, peer: int, said: bytes = b"") -> socket.socket:
        """Come in as this peer, and have been noticed."""
        self.peers.append(peer)
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.path))
        client.setblocking(False)
        if said:
            client.send(said)
        await until(lambda: not self.peers)
        return client


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- nothing signals it
            await asyncio.sleep(0.001)


async def heard(client: socket.socket) -> bytes:
    """Return all that is said until the hanging up."""
    said, loop = b"", asyncio.get_running_loop()
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            while piece := await loop.sock_recv(client, 65536):
                said += piece
    client.close()
    return said


@contextlib.contextmanager
def hall(path: Path, terms: Terms = TERMS, answer: bytes | None = b"fine\n") -> Iterator[Hall]:
    made = Hall(path / "socket", terms, answer)
    try:
        yield made
    finally:
        made.listener.close()


def test_the_longest_silent_one_of_the_same_peer_makes_room(run: Run, tmp_path: Path) -> None:
    """It hears why, and nobody else's connection is touched."""

    async def scene() -> None:
        with hall(tmp_path) as made:
            other = await made.enter(7)
            first = await made.enter(1000)
            second = await made.enter(1000, b"half")
            third = await made.enter(1000)
            assert await heard(first) == b"no: more than 2 connections at a time"
            for client in (other, second, third):
                client.send(b"?\n")
                assert await heard(client) == b"fine\n"
            assert made.refused == [(1000, "more than 2 connections at a time")]

    run(scene())


def test_what_was_said_is_read_before_anyone_is_hung_up_on(run: Run, tmp_path: Path) -> None:
    """The longest one has asked just now: it is answered, and that makes room."""

    async def scene() -> None:
        with hall(tmp_path) as made:
            first, second = await made.enter(1000), await made.enter(1000)
            made.peers.append(1000)
            with socket.socket(socket.AF_UNIX) as third:
                third.connect(str(made.path))
                first.send(b"?\n")  # both before the listener looks again
                assert await heard(first) == b"fine\n"
                await until(lambda: not made.peers)
            assert made.refused == []
            second.close()

    run(scene())


def test_a_crowd_of_many_peers_makes_room_for_one_more(run: Run, tmp_path: Path) -> None:
    """And root's connections stay whatever comes."""

    async def scene() -> None:
        with hall(tmp_path) as made:
            roots = [await made.enter(0) for _ in range(3)]
            crowd = [await made.enter(peer) for peer in range(100, 150)]
            late = await made.enter(1000, b"?\n")
            assert await heard(late) == b"fine\n"
            assert len(made.listener) <= TERMS.most + len(roots)
            for root in roots:
                root.send(b"?\n")
                assert await heard(root) == b"fine\n"
            assert 0 not in {peer for peer, _ in made.refused}
            for client in crowd:
                client.close()

    run(scene())


def test_who_does_not_read_is_given_up(run: Run, tmp_path: Path) -> None:
    """An answer too long for the kernel's buffer is kept for as long as patience says."""

    async def scene() -> None:
        hasty = replace(TERMS, patience=0.1)
        with hall(tmp_path, hasty, b"x" * (1 << 20)) as made:
            client = await made.enter(1000, b"?\n")
            assert len(made.listener) == 1
            await until(lambda: len(made.listener) == 0)
            assert made.refused == [(1000, "the answer was not read within 0.1 s")]
            client.close()
        made.path.unlink()
        with hall(tmp_path, answer=b"x" * (1 << 20)) as made:
            reader = await made.enter(1000, b"?\n")
            assert await heard(reader) == b"x" * (1 << 20)

    run(scene())


def test_an_answer_may_come_later_and_to_nobody(run: Run, tmp_path: Path) -> None:
    """Who waits for one is not silent; who is gone meanwhile is no error."""

    async def scene() -> None:
        with hall(tmp_path, answer=None) as made:
            waiting = [await made.enter(1000, b"?\n") for _ in range(2)]
            third = await made.enter(1000)
            assert await heard(third) == b"no: more than 2 connections at a time"
            waiting[1].close()
            for client in made.waiting:
                made.listener.say(client, b"late\n")
            assert await heard(waiting[0]) == b"late\n"
            await until(lambda: len(made.listener) == 0)
            made.listener.say(made.waiting[0], b"twice\n")

    run(scene())


def test_clients_get_a_small_part_of_the_time(run: Run, tmp_path: Path) -> None:
    """After each slice of work for them the loop is left alone for longer."""

    async def scene() -> None:
        with hall(tmp_path) as made:
            clients = []
            for _ in range(100):
                made.peers.append(1000)
                clients.append(socket.socket(socket.AF_UNIX))
                clients[-1].connect(str(made.path))
                clients[-1].send(b"?\n")
            await asyncio.sleep(0)
            began, worked = time.monotonic(), len(made.served)
            await until(lambda: len(made.served) == 100)
            turns = [time.monotonic() - began]
            assert worked < 100
            assert turns[0] > SLICE
            for client in clients:
                client.close()

    run(scene())


def test_no_descriptor_left_is_no_end(run: Run, tmp_path: Path) -> None:
    """accept(2) is tried again, and not a thousand times a second."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def scene() -> None:
        with hall(tmp_path) as made, socket.socket(socket.AF_UNIX) as client:
            made.peers.append(1000)
            client.connect(str(made.path))
            client.send(b"?\n")
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), hard))
            for _ in range(10):
                await asyncio.sleep(0.001)
            assert made.served == []
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await until(lambda: made.served == [b"?\n"])

    try:
        run(scene())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
