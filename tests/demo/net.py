"""The node's network: the world's nameserver and the node-local address, through pyroute2.

Not ip(8), which is no part of what dnsguard depends on, and takes longer to start than what
is measured here.
"""

import socket
from contextlib import suppress
from pathlib import Path

from pyroute2 import IPRoute, NetlinkError

LOOPBACK = 1
"""Every network namespace's ``lo`` has this index."""
_RT_TABLE_LOCAL = 255
"""<linux/rtnetlink.h>"""
_KINDS = ("dummy", "bridge")
"""Links to bind an address to. node-cache makes a dummy one."""


class Net:
    """What the demo does with rtnetlink(7). Enter the namespace first."""

    def __init__(self, *, nodelocal: str, upstream: str) -> None:
        """Bring up ``lo`` with a place for the upstream, and a link for NodeLocalDNS.

        :raises OSError: no netlink here. NetlinkError: the kernel refuses.
        """
        self._netlink = IPRoute()
        self._nodelocal = nodelocal
        self._netlink.link("set", index=LOOPBACK, state="up")
        # A local route and no address: an address of the node is no upstream.
        self._netlink.route(
            "add",
            family=socket.AF_INET,
            dst=f"{upstream}/32",
            oif=LOOPBACK,
            table=_RT_TABLE_LOCAL,
            scope="host",
            type="local",
        )
        # As on a node, what no interface has goes out by the default route, and nobody
        # answers. Without a route the kernel would refuse at once. For "default" alone,
        # pyroute2 0.9.7 leaves out the family: EOPNOTSUPP.
        self._netlink.route("add", family=socket.AF_INET, dst="default", oif=LOOPBACK)
        self.link = self._add_link("nodelocaldns")

    def bind(self) -> None:
        """Bind the node-local address. Its link stays down, as with node-cache (FACTS.md)."""
        self._address("add")

    def unbind(self) -> None:
        """Take the address away, as node-cache does when it is stopped in good order."""
        self._address("delete")

    def close(self) -> None:
        self._netlink.close()

    def _add_link(self, name: str) -> int:
        """Return a link of its own; ``lo`` where that would load a module into the host's kernel."""
        for kind in _KINDS:
            if Path("/sys/module", kind).is_dir():
                with suppress(NetlinkError):
                    self._netlink.link("add", ifname=name, kind=kind)
                    return socket.if_nametoindex(name)
        return LOOPBACK

    def _address(self, what: str) -> None:
        self._netlink.addr(what, index=self.link, address=self._nodelocal, prefixlen=32)
