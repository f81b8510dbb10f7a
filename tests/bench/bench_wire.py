"""What passes on a wire: every question to a DHCP server or a nameserver, with its time."""

import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from lab.netns import Namespace

_ETH_P_IP = 0x0800
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
"""<linux/if_packet.h>"""
_SO_TIMESTAMPNS = 35
"""<asm-generic/socket.h>; what it brings is the kernel's CLOCK_REALTIME."""
_TIMESPEC = struct.Struct("@qq")
_MOST = 1 << 24
"""Bytes that wait for the reader."""
DHCP, DNS, TCP = "DHCP", "DNS", "DNS by TCP"
KINDS = (DHCP, DNS, TCP)


@dataclass(frozen=True, slots=True)
class Seen:
    """One question."""

    at: float
    """Seconds since the epoch."""
    kind: str
    source: str


class Tap(threading.Thread):
    """Reads until it is closed."""

    def __init__(self, where: Namespace, link: str) -> None:
        super().__init__(daemon=True)
        with where.inside():
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP)
            )
            self._socket.bind((link, _ETH_P_IP))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _MOST)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.seen: list[Seen] = []

    def run(self) -> None:
        while True:
            packet, ancillary, _, _ = self._socket.recvmsg(128, 64)
            kind = _kind(packet)
            if kind is not None:
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                at = seconds + nanoseconds / 1e9
                self.seen.append(Seen(at, kind, socket.inet_ntoa(packet[12:16])))

    def lost(self) -> int:
        """Return how many packets came too fast to be counted, since the last call."""
        said = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int(struct.unpack("@II", said)[1])


def _kind(packet: bytes) -> str | None:
    """Return what a packet asks; RFC 791 and what is in it."""
    start = 4 * (packet[0] & 15)
    protocol, (port,) = packet[9], struct.unpack_from("!H", packet, start + 2)
    if protocol == socket.IPPROTO_UDP:
        return {67: DHCP, 53: DNS}.get(port)
    is_first = protocol == socket.IPPROTO_TCP and packet[start + 13] & 0x12 == 0x02
    return TCP if is_first and port == 53 else None


def busiest(seen: Iterable[Seen], seconds: float) -> int:
    """Return how many there were in the busiest span of so many seconds, wherever it begins."""
    times = sorted(one.at for one in seen)
    most = first = 0
    for last, at in enumerate(times):
        while times[first] < at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def most_of_one(seen: Iterable[Seen]) -> int:
    """Return how many came from whoever asked most."""
    return max(Counter(one.source for one in seen).values(), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What was asked in a span of time."""

    name: str
    seconds: float
    nodes: int
    seen: list[Seen]

    def row(self) -> list[str]:
        cells = [self.name, f"{self.seconds:.0f}"]
        for kind in KINDS:
            mine = [one for one in self.seen if one.kind == kind]
            rate = f"{len(mine) / self.seconds:.1f}"
            cells += [rate, str(busiest(mine, 1)), str(busiest(mine, 0.1)), str(most_of_one(mine))]
        return cells

    def per_node(self, kind: str) -> float:
        """Return how many a node asked in the busiest second, on an average."""
        return busiest((one for one in self.seen if one.kind == kind), 1) / self.nodes

    def figures(self) -> dict[str, object]:
        return dict(zip(("phase", "seconds", *_KEYS), self.row(), strict=True))


_KEYS = [f"{kind}: {what}" for kind in KINDS for what in ("per s", "1 s", "0.1 s", "of one")]
HEADER = ["", "", *[cell for kind in KINDS for cell in (kind, "busiest", "busiest", "most of")]]
BELOW = ["", "s", *[cell for _ in KINDS for cell in ("per s", "1 s", "0.1 s", "a node")]]
