"""Questions to real nameservers that behave and misbehave."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, ip_address

import pytest
from lab.nameserver import LATE, Nameserver, nameserver
from lab.netns import Namespace, cable, namespace
from lab.wait import until

from dnsguard.core.answers import Answer, Outcome, Question
from dnsguard.host.probe import ask

pytestmark = pytest.mark.integration

NODELOCAL = IPv4Address("169.254.25.10")
QUESTION = Question(name="kubernetes.default.svc.cluster.local", rdtype="A")
PATIENCE = 0.4

Asker = Callable[..., Answer]


@pytest.fixture
def server(node: Namespace) -> Iterator[Nameserver]:
    """Return a nameserver on the node-local address."""
    node.bridge("nodelocaldns", f"{NODELOCAL}/32")
    with nameserver(node, str(NODELOCAL)) as running:
        yield running


def answer_of(
    address: str = str(NODELOCAL),
    question: Question = QUESTION,
    timeout: float = PATIENCE,
    *,
    tcp: bool = False,
) -> Answer:
    return asyncio.run(ask(ip_address(address), question, timeout=timeout, tcp=tcp))


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("answer", Outcome.ANSWERED),
        ("truncated", Outcome.ANSWERED),
        ("servfail", Outcome.FAILED),
        ("silent", Outcome.UNREACHABLE),
        ("wrong-id", Outcome.UNREACHABLE),
        ("garbage answer", Outcome.ANSWERED),
    ],
)
def test_tcp_has_its_outcomes_too(server: Nameserver, script: str, outcome: Outcome) -> None:
    """Behind its length; this server ends a connection when it has said all it will."""
    server.play(script)
    assert answer_of(tcp=True).outcome is outcome
    assert server.asked()[-1].transport == "tcp"


def test_nobody_at_the_port_is_known_at_once_over_tcp(node: Namespace) -> None:
    """A reset is an answer of the kernel's."""
    node.bridge("nodelocaldns", f"{NODELOCAL}/32")
    assert answer_of(tcp=True).detail == "refused: nothing listens there"


def test_an_answer_says_whether_the_name_was_found(server: Nameserver) -> None:
    """Cluster DNS is told from a real resolver by that."""
    assert answer_of().has_records
    server.play("nxdomain")
    assert not answer_of().has_records


@pytest.mark.parametrize(
    ("script", "outcome", "detail"),
    [
        ("answer", Outcome.ANSWERED, "answers NOERROR"),
        ("nxdomain", Outcome.ANSWERED, "answers NXDOMAIN"),
        ("truncated", Outcome.ANSWERED, "answers NOERROR, truncated and answers NOERROR over TCP"),
        (
            "cut",
            Outcome.FAILED,
            "answers NOERROR, truncated and unreachable (connection reset by peer) over TCP",
        ),
        ("late answer", Outcome.ANSWERED, "answers NOERROR"),
        ("no-edns", Outcome.ANSWERED, "answers NOERROR"),
        ("servfail", Outcome.FAILED, "answers SERVFAIL"),
        ("refused", Outcome.FAILED, "answers REFUSED"),
        ("notimp", Outcome.FAILED, "answers NOTIMP"),
        ("silent", Outcome.TIMED_OUT, "gives no answer in 0.4 s"),
        ("wrong-id", Outcome.MALFORMED, "sent 1 messages that answer nothing asked"),
        ("wrong-question", Outcome.MALFORMED, "sent 1 messages that answer nothing asked"),
        ("garbage garbage", Outcome.MALFORMED, "sent 2 messages that answer nothing asked"),
        ("wrong-id wrong-question garbage answer", Outcome.ANSWERED, "answers NOERROR"),
        ("wrong-id late servfail answer", Outcome.FAILED, "answers SERVFAIL"),
    ],
)
def test_each_behaviour_has_its_outcome(
    server: Nameserver, script: str, outcome: Outcome, detail: str
) -> None:
    """What is no answer to the question asked is waited past, and told of in the end."""
    server.play(script)
    answer = answer_of()
    assert (answer.outcome, answer.detail) == (outcome, detail)
    assert answer.address == NODELOCAL


def test_the_times_are_true(server: Nameserver) -> None:
    """The rtt is from question to answer, ``at`` the monotonic time of the answer."""
    server.play("late answer")
    before = time.monotonic()
    answer = answer_of()
    assert answer.rtt is not None
    assert LATE <= answer.rtt <= answer.at - before
    assert before < answer.at <= time.monotonic()
    server.play("silent")
    assert answer_of().rtt is None


def test_silence_takes_the_timeout_and_no_more(server: Nameserver) -> None:
    """The answer is there when the time is up, not a retransmission later."""
    server.play("silent")
    before = time.monotonic()
    answer_of(timeout=0.1)
    assert 0.1 <= time.monotonic() - before < 0.3


def test_nobody_listening_is_known_at_once(node: Namespace) -> None:
    """A bound address without a server: the kernel's ICMP reaches only a connected socket."""
    node.bridge("nodelocaldns", f"{NODELOCAL}/32")
    before = time.monotonic()
    answer = answer_of(timeout=5)
    assert answer.outcome is Outcome.UNREACHABLE
    assert answer.detail == "refused: nothing listens there"
    assert answer.rtt is None
    assert time.monotonic() - before < 1


def test_a_server_killed_while_asked_is_known_at_the_next_question(server: Nameserver) -> None:
    """SIGKILL leaves the address bound."""
    assert answer_of().outcome is Outcome.ANSWERED
    server.process.kill()
    server.process.wait()
    assert answer_of(timeout=5).outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        ("169.254.25.10", "unreachable (network is unreachable)"),  # no route
        ("192.0.2.1", "unreachable (no route to host)"),  # a route that says no
        ("fe80::1", "unreachable (invalid argument)"),  # link-local without a zone
        ("fe80::1%gone0", "unreachable (no such device)"),
        ("fe80::1%77", "unreachable (network is unreachable)"),
        pytest.param("fe80::1%" + "1" * 5000, "unreachable (no such device)", id="no int"),
    ],
)
def test_no_way_there_is_an_outcome(node: Namespace, address: str, detail: str) -> None:
    """What the kernel refuses is told of by its name, and raises nothing."""
    node.ip("route add unreachable 192.0.2.0/24")
    answer = answer_of(address)
    assert (answer.outcome, answer.detail) == (Outcome.UNREACHABLE, detail)


@pytest.mark.parametrize("zone", ["eth0", "number"])
def test_a_link_local_nameserver_is_asked_through_its_zone(node: Namespace, zone: str) -> None:
    """As in ``nameserver fe80::1%eth0``, the zone by its name or by its number."""
    with namespace() as router:
        cable(node, router)
        router.ip("address add fe80::1/64 dev eth0 nodad")
        node.ip("address add fe80::2/64 dev eth0 nodad")
        if zone == "number":
            import socket

            zone = str(socket.if_nametoindex("eth0"))
        with nameserver(router, "fe80::1%eth0"):
            answer = answer_of(f"fe80::1%{zone}", timeout=3)
    assert answer.outcome is Outcome.ANSWERED


def test_ipv6_and_other_types_are_asked(node: Namespace) -> None:
    """A global address, a type that isn't A, a name with its last dot."""
    with nameserver(node, "::1") as server:
        answer = answer_of("::1", Question(name="example.org.", rdtype="AAAA"))
        assert answer.outcome is Outcome.ANSWERED
        (asked,) = server.asked()
    assert (asked.name, asked.rdtype, asked.transport) == ("example.org.", "AAAA", "udp")


def test_a_server_from_before_edns_is_asked_again_without(server: Nameserver) -> None:
    """Its FORMERR is about the option, not about the question (RFC 6891, section 7)."""
    server.play("no-edns")
    answer_of()
    assert [asked.edns for asked in server.asked()] == [True, False]


def test_ids_and_ports_can_not_be_guessed(server: Nameserver) -> None:
    """Each question has a random id and a random source port (RFC 5452)."""
    for _ in range(20):
        answer_of()
    asked = server.asked()
    assert len({one.id for one in asked}) > 15
    assert len({one.port for one in asked}) > 15


def test_a_flood_stops_neither_the_loop_nor_the_timeout(server: Nameserver) -> None:
    """A peer that never stops sending garbage is given up on when the time is up."""
    server.play("flood")

    async def ask_and_count() -> tuple[Answer, int]:
        turns = 0
        asking = asyncio.ensure_future(ask(NODELOCAL, QUESTION, timeout=0.3))
        while not asking.done():
            turns += 1
            await asyncio.sleep(0)
        return await asking, turns

    before = time.monotonic()
    answer, turns = asyncio.run(ask_and_count())
    assert answer.outcome is Outcome.MALFORMED
    assert turns > 100
    assert time.monotonic() - before < 1


def test_a_flood_over_tcp_stops_neither_the_loop_nor_the_timeout(node: Namespace) -> None:
    """Empty messages without end: each is there before it is asked for."""
    node.bridge("nodelocaldns", f"{NODELOCAL}/32")
    with socket.create_server((str(NODELOCAL), 53)) as listener:
        flood = threading.Thread(target=_flood, args=(listener,))
        flood.start()
        answer = answer_of(tcp=True)
        flood.join()
    assert answer.outcome is Outcome.MALFORMED  # by its timeout, not when the flood was over


FLOODED = 3.0
"""Seconds for which an answer has no end, unless it is hung up on."""


def _flood(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    end = time.monotonic() + FLOODED
    with connection, suppress(ConnectionError):
        while time.monotonic() < end:
            connection.sendall(bytes(1 << 16))


def test_an_abandoned_question_leaves_nothing_behind(server: Nameserver) -> None:
    """A cancelled ask closes its socket and leaves no reader on the loop."""
    server.play("silent")

    async def abandon() -> None:
        asking = asyncio.ensure_future(ask(NODELOCAL, QUESTION, timeout=60))
        await asyncio.to_thread(until, lambda: bool(server.asked()))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(abandon())


@pytest.mark.parametrize(
    "question",
    [
        Question(name="a..b"),
        Question(name="a" * 64 + ".test"),
        Question(name="example.org", rdtype="NONSENSE"),
    ],
)
def test_what_is_no_question_is_a_mistake_of_the_caller(question: Question) -> None:
    """The configuration has to keep such names out; the network has no part in it."""
    with pytest.raises(ValueError, match="no DNS question"):
        answer_of(question=question)
