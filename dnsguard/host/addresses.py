"""The node's own addresses: rtnetlink(7) for the event loop, in pyroute2's messages.

Only the messages, over plain sockets:

- ``IPRoute`` of pyroute2 0.9 drives an asyncio loop of its own and can't be made inside
  a running one (0.9.7: "This event loop is already running"); ``AsyncIPRoute`` does not
  exist in Debian 12's 0.7.2.
- ``import pyroute2`` loads every protocol that the library speaks: 120 ms and 15 MiB
  with 0.7.2, 100 ms and 13 MiB with 0.9.7. The messages used here: 3 ms and 0.5 MiB.
  dnsguard has 42 MiB and 500 ms for all that it does.

Events come on one socket and addresses on another, so neither waits behind the other.
"""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec
from ipaddress import IPv6Address, ip_address

from dnsguard.formats.address import IPAddress
from dnsguard.host.netlink import DATAGRAM_MAX, HEADER, check, events, messages, open_socket


@contextmanager
def _drop_rest() -> Iterator[None]:
    """Import parts of pyroute2 without running ``pyroute2/__init__.py``.

    For as long as this lasts the package is an empty one that knows only where its parts
    are. Afterwards there is no trace of it, so that someone else's ``import pyroute2``
    gets the whole library.
    """
    spec = find_spec("pyroute2")
    if spec is None or "pyroute2" in sys.modules:
        yield
        return
    sys.modules["pyroute2"] = module_from_spec(spec)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "pyroute2"]:
            del sys.modules[name]


with _drop_rest():
    from pyroute2.netlink import (
        NLM_F_DUMP,
        NLM_F_DUMP_INTR,
        NLM_F_REQUEST,
        NLMSG_DONE,
        NLMSG_ERROR,
    )
    from pyroute2.netlink.exceptions import NetlinkDecodeError
    from pyroute2.netlink.rtnl import (
        RTM_DELADDR,
        RTM_GETADDR,
        RTM_NEWADDR,
        RTMGRP_IPV4_IFADDR,
        RTMGRP_IPV6_IFADDR,
        RTMGRP_LINK,
    )
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6})

_DUMPS_MAX = 3
"""Dumps until one was not interrupted by a change."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The node's addresses could not be listed."""

    errno: int
    """EAGAIN: they kept changing while they were listed."""

    def __str__(self) -> str:
        return os.strerror(self.errno)


class Addresses:
    """The node's addresses, and a descriptor for ``add_reader`` that tells of changes.

    A link's state counts for nothing here: NodeLocalDNS never sets its link up, and an
    address on a link that is down answers all the same.
    """

    def __init__(self) -> None:
        """Subscribe to the events of addresses and links.

        :raises OSError: netlink is refused here, or no descriptor is left.
        """
        self._events = open_socket(socket.NETLINK_ROUTE)
        try:
            self._events.bind((0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_LINK))
        except OSError:
            self._events.close()
            raise
        self._known: dict[bytes, IPAddress] = {}

    def fileno(self) -> int:
        return self._events.fileno()

    def drain(self) -> bool:
        """Read the events that wait, without blocking; say whether there was any.

        Events that the kernel had to drop (ENOBUFS) count: anything may have changed.
        """
        changed = False
        for datagram in events(self._events):
            changed = True
            if not _is_about_addresses(datagram):
                # A link was renamed, it may be: the zones in here have its old name.
                self._known.clear()
        return changed

    def find_bound(self) -> frozenset[IPAddress] | Unknown:
        """Return all addresses of all links, asked from the kernel just now.

        Link-local IPv6 addresses have their zone, the link's name: Docker gives its
        bridge fe80::1, and fe80::1%eth0 may well be the router that serves DNS.

        The first call decodes all of them in some 60 µs each; later ones 0.2 ms and
        what has changed since.
        """
        try:
            for _ in range(_DUMPS_MAX):
                found, is_consistent = _read_dump()
                if is_consistent:
                    return self._read(found)
        except OSError as error:
            return Unknown(error.errno or errno.EIO)
        except NetlinkDecodeError:
            return Unknown(errno.EBADMSG)
        return Unknown(errno.EAGAIN)

    def close(self) -> None:
        """End the subscription."""
        self._events.close()

    def _read(self, found: list[bytes]) -> frozenset[IPAddress]:
        """Return the addresses in these messages, decoding only those not seen before.

        pyroute2 decodes one in 25 to 45 µs, and its zone costs as much again. A node with
        110 pods has 110 link-local addresses: each look would cost 7 ms without a memory.
        """
        known: dict[bytes, IPAddress] = {}
        for message in found:
            # The header differs from dump to dump, what follows it does not.
            body = message[HEADER.size :]
            known[body] = self._known.get(body) or _decode(message)
        self._known = known
        return frozenset(known.values())


def _send_request() -> bytes:
    message = ifaddrmsg()
    message["header"]["type"] = RTM_GETADDR
    message["header"]["flags"] = NLM_F_REQUEST | NLM_F_DUMP
    message.encode()
    return bytes(message.data)


_REQUEST = _send_request()
"""Asks for all addresses of all families."""


def _read_dump() -> tuple[list[bytes], bool]:
    """Return the kernel's address messages, and whether they fit together.

    The kernel answers inside sendto(2) and recv(2), so nothing is waited for, and a
    socket of its own keeps what an abandoned dump left from meeting the next one.

    :raises OSError: the kernel refuses, or breaks off.
    """
    found: list[bytes] = []
    is_consistent = True
    with open_socket(socket.NETLINK_ROUTE) as sock:
        sock.sendto(_REQUEST, (0, 0))
        while True:
            for kind, flags, message in messages(sock.recv(DATAGRAM_MAX)):
                is_consistent &= not flags & NLM_F_DUMP_INTR
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    check(message)
                    return found, is_consistent
                if kind == RTM_NEWADDR and message[HEADER.size] in _FAMILIES:
                    found.append(message)


def _is_about_addresses(datagram: bytes) -> bool:
    kinds = {kind for kind, _, _ in messages(datagram)}
    return bool(kinds) and kinds <= {RTM_NEWADDR, RTM_DELADDR}


def _decode(message: bytes) -> IPAddress:
    """Return the address that an RTM_NEWADDR tells of.

    :raises NetlinkDecodeError: pyroute2 can't read it.
    """
    told = ifaddrmsg(message)
    told.decode()
    # On a point-to-point link IFA_ADDRESS is the peer's, IFA_LOCAL ours; IPv6 leaves
    # out IFA_LOCAL where there is no peer (linux/if_addr.h).
    address = ip_address(told.get_attr("IFA_LOCAL") or told.get_attr("IFA_ADDRESS"))
    if isinstance(address, IPv6Address) and address.is_link_local:
        return IPv6Address(f"{address}%{_find_zone(told['index'])}")
    return address


def _find_zone(index: int) -> str:
    """Return a link's name, its number where the link is gone by now."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)
