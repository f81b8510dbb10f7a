"""One question put again and again: what counts as an answer, over UDP and TCP."""

import fcntl
import socket
import sys
import termios
from collections.abc import Iterator
from contextlib import closing, suppress
from ipaddress import ip_address

import pytest
from lab.wait import until

from dnsguard.core.answers import Question
from dnsguard.host.probe import write_query
from dnsguard.host.queues import Queues
from dnsguard.host.standing_question import MOST_ASKED, StandingConnection, StandingQuestion

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("node")]

SERVER = ip_address("127.0.0.1")
MESSAGE = write_query(Question(name="kubernetes.default.svc.cluster.local"))
REPLY, SERVFAIL = b"\x81\x80", b"\x81\x82"
"""Flags of a reply: NOERROR, and code 2 (RFC 1035, 4.1.1)."""


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((str(SERVER), 53))
        yield made


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server((str(SERVER), 53)) as made:
        yield made


@pytest.fixture
def question() -> Iterator[StandingQuestion]:
    made = StandingQuestion(SERVER, MESSAGE)
    yield made
    made.drop()


@pytest.fixture
def connection() -> Iterator[StandingConnection]:
    made = StandingConnection(SERVER, MESSAGE)
    yield made
    made.drop()


def _heard(question: StandingQuestion) -> int:
    found: list[int] = []

    def has_come() -> bool:
        code = question.hear()
        found.extend([] if code is None else [code])
        return bool(found)

    until(has_come)
    return found[0]


def _reply(query: bytes, flags: bytes) -> bytes:
    return query[:2] + flags + query[4:]


def test_it_asks_what_a_probe_asks(udp: socket.socket, question: StandingQuestion) -> None:
    """With an id that nobody can guess, from one port all the time."""
    asked = []
    for _ in range(3):
        question.put()
        query, peer = udp.recvfrom(512)
        asked.append((query[:2], peer))
        assert query[2:] == MESSAGE[2:]
        udp.sendto(_reply(query, REPLY), peer)
        assert _heard(question) == 0
    assert len({number for number, _ in asked}) > 1
    assert len({peer for _, peer in asked}) == 1


def test_only_the_reply_to_the_last_question_counts(
    udp: socket.socket, question: StandingQuestion
) -> None:
    """Not one to an earlier question, not the question itself, no rubbish; the code counts."""
    question.put()
    earlier, peer = udp.recvfrom(512)
    question.put()
    query, _ = udp.recvfrom(512)
    wrong = bytes([query[0] ^ 1]) + query[1:]
    for said in (_reply(earlier, REPLY), _reply(wrong, REPLY), query, b"", b"\xff" * 11):
        udp.sendto(said, peer)
    assert question.hear() is None
    udp.sendto(_reply(query, SERVFAIL), peer)
    assert _heard(question) == 2


def test_a_refusal_is_told(question: StandingQuestion) -> None:
    """By the kernel: nobody listens."""
    question.put()
    with pytest.raises(ConnectionRefusedError):
        question.hear()


def test_dropped_it_asks_from_elsewhere(udp: socket.socket, question: StandingQuestion) -> None:
    """A way that leads nowhere any more is given up."""
    question.put()
    _, before = udp.recvfrom(512)
    question.drop()
    assert question.hear() is None
    question.put()
    _, after = udp.recvfrom(512)
    assert before != after


def test_over_tcp_the_reply_may_come_in_pieces(
    tcp: socket.socket, connection: StandingConnection
) -> None:
    """And the server may hang up behind it: the next question is asked on another connection."""
    connection.put()
    accepted, _ = tcp.accept()
    with accepted:
        query = accepted.recv(512)
        assert query[4:] == MESSAGE[2:]
        assert connection.hear() is None
        whole = query[:2] + _reply(query[2:], REPLY)
        for at in range(0, len(whole), 5):
            assert connection.hear() is None
            accepted.send(whole[at : at + 5])
    assert _heard(connection) == 0
    connection.put()
    with tcp.accept()[0] as other:
        _answer(other)
        assert _heard(connection) == 0


def test_a_flood_over_tcp_has_an_end(tcp: socket.socket, connection: StandingConnection) -> None:
    """One turn reads some of it, whatever more is there: the loop is not the server's."""
    connection.put()
    with tcp.accept()[0] as accepted:
        accepted.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                accepted.send(bytes(1 << 16))
        assert connection.hear() is None
        until(lambda: _count_unread(connection) > 1 << 16)


def _count_unread(connection: StandingConnection) -> int:
    sock = connection._socket
    assert sock is not None
    return int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_over_tcp_some_questions_share_a_connection(
    tcp: socket.socket, connection: StandingConnection
) -> None:
    """A late answer to an earlier one is none; and then another connection is opened."""
    connection.put()
    first, _ = tcp.accept()
    with first:
        late = first.recv(512)
        for _ in range(MOST_ASKED - 1):
            connection.put()
            first.send(late[:2] + _reply(late[2:], REPLY))
            _answer(first)
            assert _heard(connection) == 0
        connection.put()
        with tcp.accept()[0] as second:
            _answer(second)
            assert _heard(connection) == 0


def _answer(accepted: socket.socket) -> None:
    query = accepted.recv(512)
    accepted.send(query[:2] + _reply(query[2:], REPLY))


def test_over_tcp_an_end_without_a_reply_is_told(
    tcp: socket.socket, connection: StandingConnection
) -> None:
    """Whether it hangs up before or after it has read."""
    connection.put()
    tcp.accept()[0].close()

    def is_told() -> bool:
        with suppress(ConnectionResetError):
            assert connection.hear() is None
            return False
        return True

    until(is_told)


def test_a_connection_that_is_accepted_late_sends_late(connection: StandingConnection) -> None:
    """While the accept queue is full nothing can be sent; it is, when it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server, closing(Queues()) as queues:
        server.bind((str(SERVER), 53))
        server.listen(0)
        with socket.create_connection((str(SERVER), 53)):
            connection.put()
            assert connection.hear() is None
            queue = connection.read_queue(queues)
            assert queue is not None
            assert queue.is_listeners
            server.accept()[0].close()
            # The kernel tries anew a second after the first packet.
            until(lambda: connection.hear() is None and _is_connected(connection, queues))


def _is_connected(connection: StandingConnection, queues: Queues) -> bool:
    queue = connection.read_queue(queues)
    return queue is not None and not queue.is_listeners and queue.unread > 0
