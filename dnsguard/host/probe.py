"""Ask a nameserver one question over UDP or TCP, with dnspython's messages.

Only the messages: `dns.query` and `dns.asyncquery` cost another 2 MiB and import ssl
(and httpx and the QUIC stack where they are installed), and their UDP sockets are not
connected. Only a connected socket is told of an ICMP port unreachable (udp(7)), which
is how a nameserver that is gone shows itself in under a millisecond instead of after
the whole timeout.

What the network does is an `Answer`, never an exception.
"""

import asyncio
import errno
import os
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from dnsguard.core.answers import Answer, Outcome, Question
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dns_message import read_answers
from dnsguard.host.sockaddr import Sockaddr, make_sockaddr

_EDNS_PAYLOAD = 1232
"""Fits IPv6's least MTU of 1280, so it needs no fragments (DNS flag day 2020)."""

_LENGTH = struct.Struct("!H")


_KNOWING = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})

_NO_EDNS = frozenset({dns.rcode.FORMERR, dns.rcode.NOTIMP})
"""How servers from before EDNS refuse it; to be asked again without (RFC 6891, 7)."""


async def ask(
    address: IPAddress,
    question: Question,
    *,
    timeout: float,  # noqa: ASYNC109 - a lapsed timeout is an Answer here, no TimeoutError
    port: int = 53,
    tcp: bool = False,
) -> Answer:
    """Ask one nameserver, once, and wait at most ``timeout`` seconds.

    The id and the source port are random. A link-local IPv6 address needs its zone
    (``fe80::1%eth0``). A truncated answer counts if the whole comes over TCP in the time
    that is left (RFC 7766, 5): a server that can't give it is of no use.

    :raises ValueError: the question itself is no DNS name or type.
    """
    exchange = _Stream(question) if tcp else _Exchange(question)
    try:
        with exchange.open(address) as sock:
            outcome, detail = await exchange.run(sock, make_sockaddr(address, port), timeout)
    except OSError as error:
        outcome, detail = Outcome.UNREACHABLE, unreachable(error)
    if exchange.reply.is_truncated and outcome is Outcome.ANSWERED and not tcp:
        left = timeout - (time.monotonic() - exchange.sent_at)
        whole = await ask(address, question, timeout=max(left, 0.0), port=port, tcp=True)
        detail = f"{detail} and {whole.detail} over TCP"
        if whole.outcome is Outcome.ANSWERED:
            return replace(whole, rtt=time.monotonic() - exchange.sent_at, detail=detail, tcp=False)
        outcome = Outcome.FAILED
    now = time.monotonic()
    answered = outcome in (Outcome.ANSWERED, Outcome.FAILED)
    rtt = now - exchange.sent_at if answered else None
    return Answer(
        address=address,
        outcome=outcome,
        rtt=rtt,
        detail=detail,
        at=now,
        kind=question.ask,
        tcp=tcp,
        rcode=exchange.reply.rcode if answered else None,
        has_records=bool(exchange.reply.types),
        has_asked_type=dns.rdatatype.from_text(question.rdtype) in exchange.reply.types,
        records=exchange.reply.addresses,
        is_authoritative=exchange.reply.is_authoritative,
    )


async def ask_all(
    addresses: Iterable[IPAddress],
    question: Question,
    *,
    timeout: float,  # noqa: ASYNC109 - as in ask()
    port: int = 53,
) -> tuple[Answer, ...]:
    """Ask all of them side by side; the answers are in the order of the addresses."""
    asks = (ask(address, question, timeout=timeout, port=port) for address in addresses)
    return tuple(await asyncio.gather(*asks))


def unreachable(error: OSError) -> str:
    """Return why nobody was reached, for people."""
    if error.errno == errno.ECONNREFUSED:
        return "refused: nothing listens there"
    return f"is unreachable ({_name_error(error)})"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reply says beside its code."""

    rcode: int | None = None
    is_truncated: bool = False
    is_authoritative: bool = False
    types: frozenset[int] = frozenset()
    """Of the records in its answer section."""
    addresses: frozenset[IPAddress] = frozenset()
    """Those of the A and AAAA records among them."""


class _Exchange:
    """One question on its way through one socket."""

    kind = socket.SOCK_DGRAM

    def __init__(self, question: Question) -> None:
        try:
            self._query = dns.message.make_query(
                question.name, question.rdtype, use_edns=0, payload=_EDNS_PAYLOAD
            )
        except dns.exception.DNSException as error:
            raise ValueError(f"no DNS question: {question.name} {question.rdtype}") from error
        self.sent_at = 0.0
        self.reply = Reply()
        self._strangers = 0

    def open(self, address: IPAddress) -> socket.socket:
        """Return a non-blocking socket.

        No IP_RECVERR: without it the kernel reports what is final (port unreachable) and
        keeps back what may pass (host unreachable, while ARP is young), RFC 1122, 3.2.2.1.

        :raises OSError: no such family, or no descriptor left.
        """
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        return socket.socket(family, self.kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    async def run(
        self, sock: socket.socket, peer: Sockaddr, patience: float
    ) -> tuple[Outcome, str]:
        """Return the outcome and its detail.

        :raises OSError: the kernel knows that no answer can come.
        """
        limit = asyncio.timeout(patience)
        try:
            async with limit:
                await asyncio.get_running_loop().sock_connect(sock, peer)
                return _judge(await self._find_reply(sock))
        except TimeoutError:
            # ETIMEDOUT from the kernel is a TimeoutError too, and is its word.
            if not limit.expired():
                raise
        if self._strangers:
            return Outcome.MALFORMED, f"sent {self._strangers} messages that answer nothing asked"
        return Outcome.TIMED_OUT, f"gives no answer in {patience:g} s"

    async def _find_reply(self, sock: socket.socket) -> dns.message.Message:
        reply = await self._exchange_once(sock)
        if reply.rcode() in _NO_EDNS:
            self._query.use_edns(False)
            reply = await self._exchange_once(sock)
        return reply

    async def _exchange_once(self, sock: socket.socket) -> dns.message.Message:
        """Send the query and wait for its reply, past whatever else comes."""
        loop = asyncio.get_running_loop()
        wire = self._query.to_wire()
        self.sent_at = time.monotonic()
        sock.send(wire)
        while True:
            # What is longer than was asked for is cut off: it can't cost time here.
            reply = self._take(await loop.sock_recv(sock, _EDNS_PAYLOAD))
            if reply is not None:
                return reply
            # A late, forged or mangled datagram (RFC 5452, 9.1): the true one may still
            # come. sock_recv doesn't yield while there is something to read, so without
            # the sleep a flood would stop the loop, and with it this very timeout.
            await asyncio.sleep(0)

    def _take(self, wire: bytes) -> dns.message.Message | None:
        """Return the reply that came, None for what is none."""
        reply = _match_reply(self._query, wire)
        if reply is None:
            self._strangers += 1
        else:
            self.reply = _make_reply(reply, wire)
        return reply


class _Stream(_Exchange):
    """One question over TCP, behind its length (RFC 7766, 8)."""

    kind = socket.SOCK_STREAM

    async def _exchange_once(self, sock: socket.socket) -> dns.message.Message:
        loop = asyncio.get_running_loop()
        wire = self._query.to_wire()
        self.sent_at = time.monotonic()
        await loop.sock_sendall(sock, _LENGTH.pack(len(wire)) + wire)
        while True:
            (length,) = _LENGTH.unpack(await _receive_exactly(sock, _LENGTH.size))
            message = await _receive_exactly(sock, length)
            reply = self._take(message)
            if reply is not None:
                return reply


async def _receive_exactly(sock: socket.socket, count: int) -> bytes:
    """Return so many bytes of a stream.

    :raises ConnectionResetError: it ends before.
    """
    loop = asyncio.get_running_loop()
    read = b""
    while len(read) < count:
        piece = await loop.sock_recv(sock, count - len(read))
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        read += piece
    return read


def _match_reply(query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    """Return the reply to this query that a datagram holds, None where it holds none.

    Read up to the question and no further: header and question are all that counts
    here, and for records dnspython loads a module a type, 20 ms in the middle of the loop.
    """
    try:
        reply = dns.message.from_wire(wire, question_only=True)
        return reply if query.is_response(reply) else None
    except (dns.exception.DNSException, ValueError):
        # ValueError is how 2.3.0 meets an opcode that nobody has defined.
        return None


def _make_reply(reply: dns.message.Message, wire: bytes) -> Reply:
    types, addresses = read_answers(wire)
    return Reply(
        rcode=reply.rcode(),
        is_truncated=bool(reply.flags & dns.flags.TC),
        is_authoritative=bool(reply.flags & dns.flags.AA),
        types=types,
        addresses=addresses,
    )


def _judge(reply: dns.message.Message) -> tuple[Outcome, str]:
    rcode = reply.rcode()
    detail = f"answers {dns.rcode.to_text(rcode)}"
    if reply.flags & dns.flags.TC:
        detail += ", truncated"
    return (Outcome.ANSWERED if rcode in _KNOWING else Outcome.FAILED), detail


def _name_error(error: OSError) -> str:
    """Return an error's symbolic name, ECONNREFUSED."""
    number = error.errno or 0
    return errno.errorcode.get(number, os.strerror(number))
