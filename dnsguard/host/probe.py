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
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.flags
import dns.message
import dns.opcode
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
_TERSE = frozenset({dns.rcode.FORMERR, dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED})
"""What may be said without the question: the server may not have understood it."""
_IS_REPLY, _OPCODE, _RCODE = int(dns.flags.QR), 0x7800, 0xF
"""In a message's flags (RFC 1035, 4.1.1)."""

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
        self._query = self._wire(has_edns=True)
        self.sent_at = 0.0
        self.told = Told()
        self._strangers = 0

    def _wire(self, *, has_edns: bool) -> bytes:
        """Return the query with an id that nobody can guess."""
        question = self._question
        return secrets.token_bytes(2) + _query(question.name, question.rdtype, has_edns=has_edns)

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
                return _judge(await self._reply(sock))
        except TimeoutError:
            # ETIMEDOUT from the kernel is a TimeoutError too, and is its verdict.
            if not limit.expired():
                raise
        if self._strangers:
            return Outcome.MALFORMED, f"sent {self._strangers} messages that answer nothing asked"
        return Outcome.TIMED_OUT, f"gives no answer in {patience:g} s"

    async def _connect(self, sock: socket.socket, peer: Sockaddr) -> None:
        sock.connect(peer)  # it only notes the address

    async def _reply(self, sock: socket.socket) -> Told:
        reply = await self._once(sock)
        if reply.rcode in _NO_EDNS:
            self._query = self._wire(has_edns=False)
            reply = await self._once(sock)
        return reply

    async def _once(self, sock: socket.socket) -> Told:
        """Send the query and wait for its reply, past whatever else comes."""
        loop = asyncio.get_running_loop()
        self.sent_at = time.monotonic()
        sock.send(self._query)
        while True:
            # What is longer than was asked for is cut off: it can't cost time here.
            if self._is_taken(await loop.sock_recv(sock, _EDNS_PAYLOAD)):
                return self.told
            # A late, forged or mangled datagram (RFC 5452, 9.1): the true one may still
            # come. sock_recv doesn't yield while there is something to read, so without
            # the sleep a flood would stop the loop, and with it this very timeout.
            await asyncio.sleep(0)

    def _is_taken(self, wire: bytes) -> bool:
        """Take in the reply that came; say whether it is one."""
        if not _answers_to(self._query, wire):
            self._strangers += 1
            return False
        self.told = _told(wire)
        return True


class _Stream(_Exchange):
    """One question over TCP, behind its length (RFC 7766, 8)."""

    kind = socket.SOCK_STREAM

    async def _connect(self, sock: socket.socket, peer: Sockaddr) -> None:
        await asyncio.get_running_loop().sock_connect(sock, peer)

    async def _once(self, sock: socket.socket) -> Told:
        loop = asyncio.get_running_loop()
        self.sent_at = time.monotonic()
        await loop.sock_sendall(sock, _LENGTH.pack(len(self._query)) + self._query)
        while True:
            (length,) = _LENGTH.unpack(await _exactly(sock, _LENGTH.size))
            if self._is_taken(await _exactly(sock, length)):
                return self.told


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


@lru_cache(maxsize=32)
def _query(name: str, rdtype: str, *, has_edns: bool) -> bytes:
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


def _answers_to(query: bytes, wire: bytes) -> bool:
    """Tell whether a message is the reply to this query (RFC 5452, 9.1).

    A question is not compressed, having nothing before it, and case makes no difference
    (RFC 4343): a length is never over 63, so that no byte of one is a letter's.
    """
    if len(wire) < _HEADER.size:
        return False
    number, flags, questions, *_ = _HEADER.unpack_from(wire)
    if number != _HEADER.unpack_from(query)[0] or not flags & _IS_REPLY:
        return False
    if flags & _OPCODE != dns.opcode.QUERY:
        return False
    if questions == 0:
        return flags & _RCODE in _TERSE
    end = _behind_name(query, _HEADER.size) + 4
    asked, told = query[_HEADER.size : end], wire[_HEADER.size : end]
    return questions == 1 and asked.lower() == told.lower()


def _told(wire: bytes) -> Told:
    _, flags, *_ = _HEADER.unpack_from(wire)
    types, addresses = _answers(wire)
    return Told(
        rcode=dns.rcode.from_flags(flags, 0),
        is_truncated=bool(flags & dns.flags.TC),
        is_authoritative=bool(flags & dns.flags.AA),
        types=types,
        addresses=addresses,
    )


def _answers(wire: bytes) -> tuple[frozenset[int], frozenset[IPAddress]]:
    """Return the types and addresses in the answer section (RFC 1035, 4.1).

    What is cut off or mangled counts as far as it goes.
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


def _judge(reply: Told) -> tuple[Outcome, str]:
    detail = f"answers {dns.rcode.to_text(reply.rcode)}"
    if reply.is_truncated:
        detail += ", truncated"
    return (Outcome.ANSWERED if reply.rcode in _KNOWING else Outcome.FAILED), detail


def _reason(error: OSError) -> str:
    """Return why, in the C library's words: "no route to host"."""
    return str(error) if error.errno is None else os.strerror(error.errno).lower()
