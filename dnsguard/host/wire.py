"""One question, and how often it is seen on the node's wires (packet(7)).

Listening is passive: no promiscuous mode, and a filter in the kernel leaves nothing but
what goes to the DNS ports. One question is seen many times over, on both ends of each veth, twice
on ``lo``, before and after NAT; its id and source port stay. So it is those that count.
"""

import ctypes
import os
import secrets
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from dnsguard.formats.address import IPAddress
from dnsguard.host.brake import Brake, Place
from dnsguard.host.socket_filter import Program, attach, pack

ENOUGH = 100
"""Sightings that leave no doubt."""
MOST_AT_ONCE = 256
LINGER = 0.1
"""Seconds to go on listening behind an answer."""
HOLD = 6.0
"""Seconds at most to stop a question; CoreDNS's ``forward`` gives up after five."""

_ALL = 0x0003  # ETH_P_ALL
_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
_BUFFER = 16 << 20
_SNAP = 4096
_NEWNET = 0x40000000
_HEADER = struct.Struct("!6H")
_RECURSE, _IS_REPLY, _NXDOMAIN = 0x0100, 0x8000, 0x8183
_HINFO, _IN = 13, 1
"""What CoreDNS's ``loop`` plugin asks for, too: nothing on the way has it at hand."""
_KNOWING = (0, 3)

_LD_W, _LD_B, _LD_IND_H, _LDX_IMM, _LDX_MSH = 0x20, 0x30, 0x48, 0x01, 0xB1
_JA, _JEQ, _RET = 0x05, 0x15, 0x06
_PROTOCOL = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL
_IPV4, _IPV6, _FIXED = 0x0800, 0x86DD, 40


@dataclass(frozen=True, slots=True)
class Sighting:
    """One question that a server or resolver was sent."""

    id: int
    port: int
    """The source port; with the id it is what makes one question differ from another."""
    transport: int
    """IPPROTO_UDP or IPPROTO_TCP."""


Course = tuple[Place, Place]
"""From where to where; with NAT one question has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What came of one question."""

    name: str
    inside: int
    """How often the servers of the scope were asked it."""
    outside: int
    """How often others were: CoreDNS goes on asking who doesn't answer, 9,000 times a second."""
    seconds: float
    """Until it was answered, given up or recognised as a loop."""
    rcode: int | None
    """None: not answered."""
    is_loop: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The servers among which it may go round."""

    proc: Path
    pids: tuple[int, ...]
    doors: frozenset[Place]
    networks: tuple[Path, ...] = ()
    """Their network namespaces but this one (``/proc/PID/ns/net``)."""

    @property
    def ports(self) -> frozenset[int]:
        return frozenset(port for _, port in self.doors)


def one_time_name(zone: str) -> str:
    """Return a name below the zone that nobody has asked for before."""
    # Two labels below the root: some resolvers keep single ones to themselves.
    labels = [secrets.token_hex(10), *([secrets.token_hex(4)] if zone == "." else [])]
    return ".".join([*labels, zone.strip(".")]).rstrip(".") + "."


def trace(
    name: str,
    entry: IPAddress,
    *,
    scope: Scope,
    most: int,
    seconds: float = 2.0,
) -> Trace:
    """Ask once, listen until it has been answered or the time is over.

    A question that is seen too often loops: it is stopped, which takes some seconds.

    :param most: how often the scope's servers can be asked where there is no loop.
    :raises OSError: no right to listen, or to stop it.
    """
    with ExitStack() as stack:
        packed = _pack(name)
        brake = Brake(scope.proc, scope.pids, scope.ports, packed)
        stack.callback(brake.release)
        ports = sorted({*scope.ports, 53})
        wires = [stack.enter_context(one) for one in _wires(scope.networks, ports)]
        family = socket.AF_INET6 if entry.version == 6 else socket.AF_INET
        asker = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        asker.setblocking(False)
        asker.connect((str(entry), 53))
        hunt = _Hunt(packed, scope, wires, asker)
        started = time.monotonic()
        asker.send(_message(packed, secrets.randbits(16), _RECURSE))
        try:
            hunt.watch(started + seconds, max(most, ENOUGH))
            ended = time.monotonic()
        finally:
            # Ctrl-C as well: nothing goes on when this is over.
            if hunt.inside > most:
                hunt.stop(brake)
    return Trace(
        name=name,
        inside=hunt.inside,
        outside=len(hunt.seen) - hunt.inside,
        seconds=ended - started,
        rcode=hunt.rcode,
        is_loop=hunt.inside > most,
    )


class _Hunt:
    """One question on its way."""

    def __init__(
        self, packed: bytes, scope: Scope, wires: Sequence[socket.socket], asker: socket.socket
    ) -> None:
        self._packed, self._doors = packed, scope.doors
        self._wires, self._asker = wires, asker
        self.seen: dict[Sighting, dict[Course, None]] = {}
        self._inside: set[Sighting] = set()
        self.rcode: int | None = None

    @property
    def inside(self) -> int:
        return len(self._inside)

    def watch(self, end: float, most: int) -> None:
        """Count until then, until it is answered, or until there are more than that."""
        while (left := end - time.monotonic()) > 0 and self.inside <= most:
            if self._take(left) in _KNOWING:
                end = min(end, time.monotonic() + LINGER)

    def stop(self, brake: Brake) -> None:
        """Drop the question wherever it is, and answer it there, until all have their answer."""
        brake.pull()
        answered: set[Sighting] = set()
        quiet = end = time.monotonic() + HOLD
        while time.monotonic() < min(quiet, end):
            self._take(LINGER / 10)
            brake.pull()
            for sighting in [one for one in self.seen if one not in answered]:
                reply = _message(self._packed, sighting.id, _NXDOMAIN)
                for source, place in self.seen[sighting]:
                    brake.answer(sighting.transport, source, place, reply)
                answered.add(sighting)
                quiet = time.monotonic() + 3 * LINGER

    def _take(self, patience: float) -> int | None:
        """Take note of what comes; return how our question was answered if it was just now.

        Not of more than so much: a flood would keep us from ending it.
        """
        ready, _, _ = select.select([*self._wires, self._asker], (), (), patience)
        for wire in self._wires:
            with suppress(BlockingIOError):
                for _ in range(MOST_AT_ONCE):
                    self._note(wire.recv(_SNAP))
        if self._asker not in ready:
            return None
        self.rcode = _rcode(self._asker)
        return self.rcode

    def _note(self, packet: bytes) -> None:
        for sighting, course in _sightings(packet, self._packed):
            self.seen.setdefault(sighting, {})[course] = None
            if course[1] in self._doors:
                self._inside.add(sighting)


def _wires(networks: Iterable[Path], ports: Sequence[int]) -> Iterator[socket.socket]:
    yield _wire(ports)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for network in networks:
            with suppress(FileNotFoundError):  # its process has ended
                there = os.open(network, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    _enter(there)
                    opened = _wire(ports)
                finally:
                    os.close(there)
                    _enter(home)
                yield opened
    finally:
        os.close(home)


def _enter(network: int) -> None:
    """Move this thread (setns(2)); ``os.setns`` comes with Python 3.12."""
    setns: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).setns
    if setns(network, _NEWNET) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def _wire(ports: Sequence[int]) -> socket.socket:
    """Return a socket that gets every packet to these ports, and some from before its filter."""
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    wire = socket.socket(socket.AF_PACKET, kind, socket.htons(_ALL))
    attach(wire, pack(_filter(ports)))
    with suppress(PermissionError):  # beyond net.core.rmem_max: CAP_NET_ADMIN
        wire.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER)
    return wire


def _filter(ports: Sequence[int]) -> Program:
    """Return the program for IPv4 and IPv6, UDP and TCP, to one of the ports (BPF)."""
    count = len(ports)
    by_port = [(_JEQ, count - at, 0, port) for at, port in enumerate(ports)]
    both = (socket.IPPROTO_UDP, socket.IPPROTO_TCP)
    # Jumps count from the next instruction; the last two say "no" and "so much of it".
    return [
        (_LD_W, 0, 0, _PROTOCOL),
        (_JEQ, 0, 5, _IPV4),
        (_LD_B, 0, 0, 9),
        (_JEQ, 1, 0, both[0]),
        (_JEQ, 0, 8 + count, both[1]),
        (_LDX_MSH, 0, 0, 0),  # X: the length of the IPv4 header
        (_JA, 0, 0, 5),
        (_JEQ, 0, 5 + count, _IPV6),
        (_LD_B, 0, 0, 6),
        (_JEQ, 1, 0, both[0]),
        (_JEQ, 0, 2 + count, both[1]),
        (_LDX_IMM, 0, 0, _FIXED),  # IPv6's, without extension headers
        (_LD_IND_H, 0, 0, 2),
        *by_port,
        (_RET, 0, 0, 0),
        (_RET, 0, 0, _SNAP),
    ]


def _sightings(packet: bytes, packed: bytes) -> Iterator[tuple[Sighting, Course]]:
    """Yield the questions for the name; over TCP several may come in one segment."""
    at = packet.find(packed)
    while at != -1:
        is_ipv4 = packet[0] >> 4 == 4
        start = (packet[0] & 0xF) * 4 if is_ipv4 else _FIXED
        source = ip_address(packet[12:16] if is_ipv4 else packet[8:24])
        destination = ip_address(packet[16:20] if is_ipv4 else packet[24:40])
        source_port, port = struct.unpack_from("!HH", packet, start)
        message, flags = struct.unpack_from("!HH", packet, at - _HEADER.size)
        if not flags & _IS_REPLY:
            transport = packet[9] if is_ipv4 else packet[6]
            course = ((source, source_port), (destination, port))
            yield Sighting(message, source_port, transport), course
        at = packet.find(packed, at + 1)


def _pack(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.strip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _message(packed: bytes, message: int, flags: int) -> bytes:
    """Return the question, or with other flags an answer to it."""
    header = _HEADER.pack(message, flags, 1, 0, 0, 0)
    return header + packed + struct.pack("!HH", _HINFO, _IN)


def _rcode(asker: socket.socket) -> int | None:
    with suppress(OSError):  # ECONNREFUSED: nobody there
        reply = asker.recv(_SNAP)
        return reply[3] & 0xF if len(reply) >= _HEADER.size else None
    return None
