"""A DHCP server that lies, and anybody who answers before the real one does."""

import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest
from lab.dhcp import World, world
from lab.dhcp_question import ACK, EVIL, POISON, REAL, SERVER, asked, held, named, tap
from lab.wait import until

from dnsguard.core.answers import Outcome
from dnsguard.formats import dhcp

pytestmark = pytest.mark.integration

Lie = Callable[[dhcp.Message], list[bytes]]


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return a world in which dhclient holds a poisoned lease."""
    with world(tmp_path_factory.mktemp("dhcp")) as made, made.machine.dhclient(POISON) as client:
        client.wait_for("BOUND")
        yield made


def forged(question: dhcp.Message, options: bytes = b"", **changed: object) -> bytes:
    """Return a reply as the server would give it, but with EVIL for a nameserver."""
    fields: dict[str, object] = {
        "op": 2, "htype": 1, "hlen": 6, "hops": 0, "xid": question.xid, "secs": 0, "flags": 0,
        "ciaddr": int(question.client), "yiaddr": 0, "siaddr": 0, "giaddr": 0,
        "chaddr": question.hardware, "sname": b"", "file": b"", "cookie": b"\x63\x82\x53\x63",
    }  # fmt: skip
    fields |= changed
    header = struct.pack("!BBBBIHHIIII16s64s128s4s", *fields.values())
    return header + (options or said(SERVER)) + b"\xff"


def said(server: IPv4Address, *, kind: int = ACK, nameservers: bytes = b"\x06\x04") -> bytes:
    evil = EVIL.packed if nameservers == b"\x06\x04" else b""
    return bytes([53, 1, kind, 54, 4, *server.packed]) + nameservers + evil


LIES: dict[str, Lie] = {
    "nothing": lambda _: [b""],
    "garbage": lambda _: [b"\xff" * 1400],
    "another transaction": lambda question: [forged(question, xid=question.xid ^ 1)],
    "another interface": lambda question: [forged(question, chaddr=b"\x02\0\0\0\0\1")],
    "another address": lambda question: [forged(question, ciaddr=int(EVIL))],
    "another server": lambda question: [forged(question, said(EVIL))],
    "no server": lambda question: [forged(question, bytes([53, 1, ACK, 6, 4]) + EVIL.packed)],
    "a refusal": lambda question: [forged(question, said(SERVER, kind=6))],
    "an offer": lambda question: [forged(question, said(SERVER, kind=2))],
    "a request": lambda question: [forged(question, op=1)],
    "bad lengths": lambda question: [
        *(
            forged(question, said(SERVER) + bad)
            for bad in (b"\x06\x03\0\0\0", b"\x06\xff\0", b"\x34\1\7", b"\x77\2\xc0\0")
        ),
        forged(question, said(SERVER, nameservers=b"\x06\0")),
    ],
    "a hardware address of 255 bytes": lambda question: [forged(question, hlen=255)],
    "no nameserver": lambda question: [forged(question, said(SERVER, nameservers=b""))],
    "1,000 nameservers": lambda question: [
        forged(question, said(SERVER) + (b"\x06\xfc" + EVIL.packed * 63) * parts)
        for parts in (1, 4, 16)
    ],
    "a long one": lambda question: [forged(question) + bytes(8000)],
    "cut short": lambda question: [forged(question)[:length] for length in range(0, 255, 5)],
}


@contextmanager
def liar(made: World, lie: Lie) -> Iterator[list[int]]:
    """Answer the next question with lies, each of them before the server's answer.

    The server is stopped until they are sent. The list gets their number.
    """
    sent: list[int] = []
    server = made.server._process
    with made.outside.inside():
        speaker = socket.socket(type=socket.SOCK_DGRAM)
    with speaker, tap(made.outside) as seen:

        def speak() -> None:
            try:
                question = seen.next()
                lies = lie(question)
                for each in lies:
                    speaker.sendto(each, (str(question.client), dhcp.CLIENT_PORT))
                sent.append(len(lies))
            finally:
                server.send_signal(signal.SIGCONT)

        server.send_signal(signal.SIGSTOP)
        thread = threading.Thread(target=speak)
        thread.start()
        try:
            yield sent
        finally:
            thread.join()


@pytest.mark.parametrize("name", LIES)
def test_a_hostile_server_changes_nothing(poisoned: World, name: str) -> None:
    """Though it has seen the question and is the first to answer, the honest one wins."""
    with liar(poisoned, LIES[name]) as sent:
        got = asked(poisoned.machine.where, held(poisoned.machine))
    assert sent[0] > 0
    assert named(got) == REAL


def test_all_lies_at_once_change_nothing(poisoned: World) -> None:
    """In a row."""
    with liar(poisoned, lambda question: [each for lie in LIES.values() for each in lie(question)]):
        assert named(asked(poisoned.machine.where, held(poisoned.machine))) == REAL


@pytest.mark.parametrize("lie", ["another transaction", "another server", "garbage"])
def test_a_flood_changes_nothing(poisoned: World, lie: str) -> None:
    """10,000 datagrams fill the socket's buffer; a later sending gets its answer."""
    lease = held(poisoned.machine)
    with liar(poisoned, lambda question: LIES[lie](question) * 10_000) as sent:
        began, cpu = time.monotonic(), time.thread_time()
        got = asked(poisoned.machine.where, lease)
        took, cpu = got.at - began, time.thread_time() - cpu
    print(f"{sent[0]} times {lie}: answered in {took:.2f} s, for {1e3 * cpu:.0f} ms of CPU")
    assert named(got) == REAL


def test_lies_alone_are_told_of(poisoned: World) -> None:
    """What was wrong with the last one; what answers other clients is no news."""
    lease = held(poisoned.machine)
    poisoned.server.stop()
    try:
        for lie, outcome in (
            ("another server", Outcome.MALFORMED),
            ("another transaction", Outcome.TIMED_OUT),
        ):
            with liar(poisoned, LIES[lie]):
                got = asked(poisoned.machine.where, lease, timeout=0.5)
            assert (got.outcome, got.reply) == (outcome, None)
            assert ("the last was refused: from another server" in got.detail) == (
                outcome is Outcome.MALFORMED
            )
    finally:
        poisoned.server.start()


def test_dhclient_survives_what_is_sent_at_us(poisoned: World) -> None:
    """The flood was for port 68, which is also its own."""
    with liar(poisoned, lambda question: LIES["another server"](question) * 1000):
        asked(poisoned.machine.where, held(poisoned.machine))
    until(lambda: named(asked(poisoned.machine.where, held(poisoned.machine))) == REAL)
    assert [event.reason for event in poisoned.machine.events()] == ["PREINIT", "BOUND"]
