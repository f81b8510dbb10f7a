"""Ask the DHCP server of an interface with DHCPINFORM (RFC 2131, 3.4), beside its client.

Plain UDP sockets, open only while asking. The DHCP client is not disturbed: the question
says nothing of its lease, and dhclient reads its own replies from a packet socket. What
the network and the kernel do is a `DhcpAnswer`, never an exception.

The kernel gives an answer to the most specific socket alone (net/ipv4/udp.c: compute_score()),
and of two alike to the later one. Measured, in booted nodes: networkd and dhcpcd have bound
theirs to the lease's address, NetworkManager has connected its own to the server as well, and
what was bound to any address heard nothing beside them.

Needs CAP_NET_BIND_SERVICE for port 68 and nothing else (Linux 5.7 and later; before it,
SO_BINDTODEVICE needed CAP_NET_RAW).
"""

import asyncio
import errno
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fcntl import ioctl
from ipaddress import IPv4Address
from struct import Struct

from dnsguard.core.answers import Outcome
from dnsguard.core.model import CurrentLease
from dnsguard.core.observation import DhcpAnswer
from dnsguard.formats import dhcp

WAITS = (0.3, 0.6, float("inf"))
"""Seconds from each sending to the next. They double as RFC 2131, 4.1, says, but don't begin
with its 4 s: a node waits for the answer, and dnsmasq gives it in 3 ms (measured)."""
MOST_SERVERS = 4
"""Of one lease; each has a socket of its own."""
MOST_AT_ONCE = 64
BREATH = 0.05
"""Seconds of rest after so many datagrams. A flood costs little, and it may fill the socket's
buffer: what is sent again later brings the answer that found no room."""

_SIOCGIFADDR, _SIOCGIFHWADDR = 0x8915, 0x8927  # netdevice(7); Python has no names for them
_ETHERNET = 1  # ARPHRD_ETHER, and the hardware type of RFC 1700
_IFREQ_ADDRESS = Struct("=16sH2x4s16x")  # struct ifreq with a sockaddr_in
_IFREQ_HARDWARE = Struct("=16sH6s16x")
_NAME_MAX = 15  # IFNAMSIZ without its NUL
_REASONS = {
    errno.EACCES: "port 68 needs CAP_NET_BIND_SERVICE",
    errno.EADDRINUSE: "another program has port 68 to itself",
    errno.EADDRNOTAVAIL: "it has no IPv4 address, or not the lease's",
    errno.ENETUNREACH: "it is down",
    errno.ENODEV: "there is no such interface",
    errno.ENOTSUP: "it is no Ethernet",
    errno.EPERM: "a firewall forbids it, it may be",  # netfilter's DROP of what is sent
}


TIMEOUT = 2.0
"""Seconds that a DHCP server has to answer; a healthy one takes milliseconds."""


async def query(
    lease: CurrentLease,
    *,
    timeout: float,  # noqa: ASYNC109 - a lapsed timeout is a DhcpAnswer here, no TimeoutError
) -> DhcpAnswer:
    """Ask about a lease on its interface, and wait at most ``timeout`` seconds.

    Only the lease's own DHCP servers are believed, where it names any. Whatever else
    comes is waited past: a forged reply can't end the question.
    """
    reply = None
    try:
        with _open_sockets(lease) as (sockets, expected):
            got = await _exchange(sockets, expected, timeout)
    except OSError as error:
        outcome, detail = Outcome.UNREACHABLE, f"can't be asked: {_explain(error)}"
    else:
        if isinstance(got, dhcp.Reply):
            outcome, detail, reply = Outcome.ANSWERED, _read_reply(got), got
        elif got is None:
            outcome, detail = Outcome.TIMED_OUT, f"no DHCP server answers in {timeout:g} s"
            # NetworkManager's lease file of a node that has just booted.
            detail += (
                "" if lease.servers else ", or its client alone hears it: the server is unknown"
            )
        else:
            detail = f"no DHCP server's answer can be taken; the last was refused: {got.reason}"
            outcome = Outcome.MALFORMED
    return DhcpAnswer(lease=lease, outcome=outcome, detail=detail, at=time.monotonic(), reply=reply)


async def _exchange(
    sockets: Sequence[socket.socket], expected: dhcp.Expected, patience: float
) -> dhcp.Reply | dhcp.Refused | None:
    """Return the answer, else the last one that was refused, else None.

    :raises OSError: the kernel won't send the question.
    """
    judge = _Judge(expected)
    wire = dhcp.make_inform(expected)
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    for wait in WAITS:
        sockets[0].sendto(wire, ("255.255.255.255", dhcp.SERVER_PORT))
        try:
            async with asyncio.timeout_at(min(end, loop.time() + wait)):
                return await _hear_first(judge, sockets)
        except TimeoutError:
            if loop.time() >= end:
                break
    return judge.refused


async def _hear_first(judge: "_Judge", sockets: Sequence[socket.socket]) -> dhcp.Reply:
    """Return the answer, whichever socket the kernel gives it to."""
    listeners = [asyncio.ensure_future(judge.hear(one)) for one in sockets]
    try:
        done, _ = await asyncio.wait(listeners, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for one in listeners:
            one.cancel()
        # Until they have heard of it, the loop still watches their sockets.
        await asyncio.gather(*listeners, return_exceptions=True)


class _Judge:
    """What comes in through the sockets, until it is the answer."""

    def __init__(self, expected: dhcp.Expected) -> None:
        self._expected = expected
        self._seen = 0
        self.refused: dhcp.Refused | None = None

    async def hear(self, sock: socket.socket) -> dhcp.Reply:
        loop = asyncio.get_running_loop()
        while True:
            try:
                datagram = await loop.sock_recv(sock, dhcp.LONGEST_REPLY + 1)
            except OSError:
                # A connected socket hears of the ICMP errors that its client's packets meet, too.
                await asyncio.sleep(BREATH)
                continue
            got = dhcp.accept(datagram, self._expected)
            if isinstance(got, dhcp.Reply):
                return got
            # The answers to other clients of the link are often broadcast: no news.
            if got.reason is not dhcp.Refusal.WRONG_TRANSACTION:
                self.refused = got
            self._seen += 1
            # sock_recv doesn't yield while there is something to read.
            await asyncio.sleep(0 if self._seen % MOST_AT_ONCE else BREATH)


@contextmanager
def _open_sockets(
    lease: CurrentLease,
) -> Iterator[tuple[Sequence[socket.socket], dhcp.Expected]]:
    """Give the sockets to listen at, the first of them to send from, and what answers must match.

    :raises OSError: the interface can't be asked on, or the port is taken.
    """
    with ExitStack() as stack:
        # Any address: some servers broadcast their answer, which no other socket here gets.
        at_any = stack.enter_context(_bind(lease.interface))
        expected = _expect(at_any, lease)
        specific = []
        # Whatever the kernel has against these, the first one may do.
        with suppress(OSError):
            # A server that answers from another address than its identifier's, through a relay
            # for one, beside networkd and dhcpcd.
            specific.append(stack.enter_context(_bind(lease.interface, expected.address)))
            for server in sorted(map(str, lease.servers))[:MOST_SERVERS]:
                sock = stack.enter_context(_bind(lease.interface, expected.address))
                sock.connect((server, dhcp.SERVER_PORT))
                specific.append(sock)
        yield (at_any, *specific), expected


def _bind(interface: str, address: IPv4Address | None = None) -> socket.socket:
    """Return a non-blocking socket on the client's port of this interface only.

    :raises OSError: no such interface or address, no capability, or the port is taken.
    """
    name = os.fsencode(interface)
    # The kernel would cut a longer name off, and take it for another interface.
    if not 0 < len(name) <= _NAME_MAX or b"\0" in name:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the DHCP client is there, too
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # Before the port, so that nothing of another interface ever comes in.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        sock.bind(("" if address is None else str(address), dhcp.CLIENT_PORT))
    except OSError:
        sock.close()
        raise
    return sock


def _expect(sock: socket.socket, lease: CurrentLease) -> dhcp.Expected:
    """Return what the answer must match.

    :raises OSError: the interface is gone, is no Ethernet, or lacks the lease's address.
    """
    name = os.fsencode(lease.interface)
    # Given an address, the kernel looks for that one among the interface's (4.4BSD's way,
    # net/ipv4/devinet.c), and returns the first one where it isn't there.
    wanted = lease.address.packed if isinstance(lease.address, IPv4Address) else bytes(4)
    asked = _IFREQ_ADDRESS.pack(name, socket.AF_INET, wanted)
    _, _, packed = _IFREQ_ADDRESS.unpack(ioctl(sock, _SIOCGIFADDR, asked))
    address = IPv4Address(packed)
    if lease.address not in (None, address):
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    answer = ioctl(sock, _SIOCGIFHWADDR, _IFREQ_HARDWARE.pack(name, 0, b""))
    _, kind, hardware = _IFREQ_HARDWARE.unpack(answer)
    if kind != _ETHERNET:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    return dhcp.Expected(
        xid=secrets.randbits(32),
        hardware=hardware,
        address=address,
        servers=lease.servers or None,
    )


def _read_reply(reply: dhcp.Reply) -> str:
    return f"DHCP server {reply.server} names {', '.join(map(str, reply.nameservers))}"


def _explain(error: OSError) -> str:
    number = error.errno or 0
    said = _REASONS.get(number) or os.strerror(number)
    return f"{said} ({errno.errorcode.get(number, number)})"
