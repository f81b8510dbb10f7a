"""Ask a nameserver one question over UDP or TCP, with dnspython's queries.

Only those: `dns.query` and `dns.asyncquery` cost another 2 MiB and import ssl
(and httpx and the QUIC stack where they are installed), and their UDP sockets are not
connected. Only a connected socket is told of an ICMP port unreachable (udp(7)), which
is how a nameserver that is gone shows itself in under a millisecond instead of after
the whole timeout.

Replies are read by hand. Header, question and addresses are all that counts here; for
records dnspython loads a module a type, 20 ms in the middle of the loop, and making and
reading a message took it a third of all that a quiet node cost.

What the network does is an `Answer`, never an exception.
"""

import asyncio
import errno
import os
import secrets
import socket
import struct
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv6Address

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from dnsguard.core.answers import Answer, Outcome, Question
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dns_message import is_reply, read_answers, read_flags
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


def write_query(question: Question) -> bytes:
    """Return a question in wire format, its id 0.

    :raises ValueError: there is no such name or type.
    """
    return bytes(2) + _write_query(question.name, question.rdtype, has_edns=True)


def unreachable(error: OSError) -> str:
    """Return why nobody was reached, for people."""
    if error.errno == errno.ECONNREFUSED:
        return "refused: nothing listens there"
    return f"unreachable ({_explain(error)})"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reply says beside its code."""

    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
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
        self._question = question
        self._query = self._make_query(has_edns=True)
        self.sent_at = 0.0
        self.reply = Reply()
        self._strangers = 0

    def _make_query(self, *, has_edns: bool) -> bytes:
        """Return the query with an id that nobody can guess."""
        question = self._question
        return secrets.token_bytes(2) + _write_query(
            question.name, question.rdtype, has_edns=has_edns
        )

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
                await self._connect(sock, peer)
                return _judge(await self._find_reply(sock))
        except TimeoutError:
            # ETIMEDOUT from the kernel is a TimeoutError too, and is its word.
            if not limit.expired():
                raise
        if self._strangers:
            return Outcome.MALFORMED, f"sent {self._strangers} messages that answer nothing asked"
        return Outcome.TIMED_OUT, f"gives no answer in {patience:g} s"

    async def _connect(self, sock: socket.socket, peer: Sockaddr) -> None:
        sock.connect(peer)  # it only notes the address

    async def _find_reply(self, sock: socket.socket) -> Reply:
        reply = await self._exchange_once(sock)
        if reply.rcode in _NO_EDNS:
            self._query = self._make_query(has_edns=False)
            reply = await self._exchange_once(sock)
        return reply

    async def _exchange_once(self, sock: socket.socket) -> Reply:
        """Send the query and wait for its reply, past whatever else comes."""
        loop = asyncio.get_running_loop()
        self.sent_at = time.monotonic()
        sock.send(self._query)
        while True:
            # What is longer than was asked for is cut off: it can't cost time here.
            if self._take(await loop.sock_recv(sock, _EDNS_PAYLOAD)):
                return self.reply
            # A late, forged or mangled datagram (RFC 5452, 9.1): the true one may still
            # come. sock_recv doesn't yield while there is something to read, so without
            # the sleep a flood would stop the loop, and with it this very timeout.
            await asyncio.sleep(0)

    def _take(self, wire: bytes) -> bool:
        """Take in the reply that came; say whether it is one."""
        if not is_reply(self._query, wire):
            self._strangers += 1
            return False
        self.reply = _make_reply(wire)
        return True


class _Stream(_Exchange):
    """One question over TCP, behind its length (RFC 7766, 8)."""

    kind = socket.SOCK_STREAM

    async def _connect(self, sock: socket.socket, peer: Sockaddr) -> None:
        await asyncio.get_running_loop().sock_connect(sock, peer)

    async def _exchange_once(self, sock: socket.socket) -> Reply:
        loop = asyncio.get_running_loop()
        self.sent_at = time.monotonic()
        await loop.sock_sendall(sock, _LENGTH.pack(len(self._query)) + self._query)
        while True:
            (length,) = _LENGTH.unpack(await _receive_exactly(sock, _LENGTH.size))
            if self._take(await _receive_exactly(sock, length)):
                return self.reply
            await asyncio.sleep(0)  # as over UDP: a flood of empty messages has no end either


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


@lru_cache(maxsize=32)
def _write_query(name: str, rdtype: str, *, has_edns: bool) -> bytes:
    """Return a query without its id; the same few are sent all the time.

    :raises ValueError: there is no such name or type.
    """
    try:
        query = dns.message.make_query(
            name, rdtype, use_edns=0 if has_edns else False, payload=_EDNS_PAYLOAD
        )
    except dns.exception.DNSException as error:
        raise ValueError(f"no DNS question: {name} {rdtype}") from error
    return query.to_wire()[2:]


def _make_reply(wire: bytes) -> Reply:
    flags = read_flags(wire)
    types, addresses = read_answers(wire)
    return Reply(
        rcode=dns.rcode.from_flags(flags, 0),
        is_truncated=bool(flags & dns.flags.TC),
        is_authoritative=bool(flags & dns.flags.AA),
        types=types,
        addresses=addresses,
    )


def _judge(reply: Reply) -> tuple[Outcome, str]:
    detail = f"answers {dns.rcode.to_text(reply.rcode)}"
    if reply.is_truncated:
        detail += ", truncated"
    return (Outcome.ANSWERED if reply.rcode in _KNOWING else Outcome.FAILED), detail


def _explain(error: OSError) -> str:
    """Return why, in the C library's words: "no route to host"."""
    return str(error) if error.errno is None else os.strerror(error.errno).lower()
