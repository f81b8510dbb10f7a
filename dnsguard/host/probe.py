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
from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Answer, Outcome, Question

_EDNS_PAYLOAD = 1232
"""Fits IPv6's least MTU of 1280, so it needs no fragments (DNS flag day 2020)."""

_LENGTH = struct.Struct("!H")
_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")
"""Of a record, behind its name: type, class, TTL, length (RFC 1035, 3.2.1)."""
_MOST_RECORDS = 64
_A, _AAAA = 1, 28

Sockaddr = tuple[str, int] | tuple[str, int, int, int]

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
            outcome, detail = await exchange.run(sock, _sockaddr(address, port), timeout)
    except OSError as error:
        outcome, detail = Outcome.UNREACHABLE, unreachable(error)
    if exchange.told.is_truncated and outcome is Outcome.ANSWERED and not tcp:
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
        ask=question.ask,
        tcp=tcp,
        rcode=exchange.told.rcode if answered else None,
        has_records=bool(exchange.told.types),
        has_asked_type=dns.rdatatype.from_text(question.rdtype) in exchange.told.types,
        records=exchange.told.addresses,
        is_authoritative=exchange.told.is_authoritative,
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
    return f"unreachable ({_reason(error)})"


@dataclass(frozen=True, slots=True)
class Told:
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
        self.told = Told()
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
                return _judge(await self._reply(sock))
        except TimeoutError:
            # ETIMEDOUT from the kernel is a TimeoutError too, and is its verdict.
            if not limit.expired():
                raise
        if self._strangers:
            return Outcome.MALFORMED, f"sent {self._strangers} messages that answer nothing asked"
        return Outcome.TIMED_OUT, f"gives no answer in {patience:g} s"

    async def _reply(self, sock: socket.socket) -> dns.message.Message:
        reply = await self._once(sock)
        if reply.rcode() in _NO_EDNS:
            self._query.use_edns(False)
            reply = await self._once(sock)
        return reply

    async def _once(self, sock: socket.socket) -> dns.message.Message:
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
        reply = _match(self._query, wire)
        if reply is None:
            self._strangers += 1
        else:
            self.told = _told(reply, wire)
        return reply


class _Stream(_Exchange):
    """One question over TCP, behind its length (RFC 7766, 8)."""

    kind = socket.SOCK_STREAM

    async def _once(self, sock: socket.socket) -> dns.message.Message:
        loop = asyncio.get_running_loop()
        wire = self._query.to_wire()
        self.sent_at = time.monotonic()
        await loop.sock_sendall(sock, _LENGTH.pack(len(wire)) + wire)
        while True:
            (length,) = _LENGTH.unpack(await _exactly(sock, _LENGTH.size))
            message = await _exactly(sock, length)
            reply = self._take(message)
            if reply is not None:
                return reply


async def _exactly(sock: socket.socket, count: int) -> bytes:
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


def _sockaddr(address: IPAddress, port: int) -> Sockaddr:
    if not isinstance(address, IPv6Address):
        return str(address), port
    return str(address).partition("%")[0], port, 0, _zone_index(address.scope_id)


def _zone_index(zone: str | None) -> int:
    """Return the index of the link that a zone names, 0 where there is no zone (RFC 4007).

    :raises OSError: ENODEV, there is no such link.
    """
    if zone is None or zone.isdecimal():
        return int(zone or 0)
    try:
        return socket.if_nametoindex(zone)
    except OSError as error:
        # Python 3.11 raises it without a number.
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from error


def _match(query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
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


def _told(reply: dns.message.Message, wire: bytes) -> Told:
    types, addresses = _answers(wire)
    return Told(
        rcode=reply.rcode(),
        is_truncated=bool(reply.flags & dns.flags.TC),
        is_authoritative=bool(reply.flags & dns.flags.AA),
        types=types,
        addresses=addresses,
    )


def _answers(wire: bytes) -> tuple[frozenset[int], frozenset[IPAddress]]:
    """Return the types and addresses in the answer section (RFC 1035, 4.1).

    Read by hand: see :func:`_match`. What is cut off or mangled counts as far as it goes.
    """
    types: set[int] = set()
    addresses: set[IPAddress] = set()
    _, _, questions, answers, _, _ = _HEADER.unpack_from(wire)
    try:
        at = _HEADER.size
        for _ in range(questions):
            at = _behind_name(wire, at) + 4
        for _ in range(min(answers, _MOST_RECORDS)):
            at = _behind_name(wire, at)
            rdtype, _, _, length = _FIXED.unpack_from(wire, at)
            at += _FIXED.size + length
            types.add(rdtype)
            if (rdtype, length) == (_A, 4):
                addresses.add(IPv4Address(wire[at - 4 : at]))
            elif (rdtype, length) == (_AAAA, 16):
                addresses.add(IPv6Address(wire[at - 16 : at]))
    except (struct.error, IndexError, ValueError):
        pass
    return frozenset(types), frozenset(addresses)


def _behind_name(wire: bytes, at: int) -> int:
    """Return the place behind a name: labels, up to an empty one or a pointer."""
    while length := wire[at]:
        if length >= 0xC0:
            return at + 2
        at += length + 1
    return at + 1


def _judge(reply: dns.message.Message) -> tuple[Outcome, str]:
    rcode = reply.rcode()
    detail = f"answers {dns.rcode.to_text(rcode)}"
    if reply.flags & dns.flags.TC:
        detail += ", truncated"
    return (Outcome.ANSWERED if rcode in _KNOWING else Outcome.FAILED), detail


def _reason(error: OSError) -> str:
    """Return why, in the C library's words: "no route to host"."""
    return str(error) if error.errno is None else os.strerror(error.errno).lower()
