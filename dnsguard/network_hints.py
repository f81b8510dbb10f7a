"""What netlink hints at: the node's addresses, and who serves DNS on them."""

from collections.abc import Iterable

from dnsguard.formats.address import IPAddress
from dnsguard.host.addresses import Addresses, Unknown
from dnsguard.host.listeners import Listeners

Addressing = tuple[frozenset[IPAddress] | None, frozenset[IPAddress] | None]
"""The node's addresses, and those of the node-local ones on which somebody listens."""


class NetworkHints:
    """Both sources, either of which may be missing."""

    def __init__(self, addresses: Addresses | None, listeners: Listeners | None) -> None:
        self.addresses, self.listeners = addresses, listeners
        self.failure: str | None = None
        """Why the addresses could not be listed."""
        self._bound: frozenset[IPAddress] | None = None

    def list_all(self, nodelocal: Iterable[IPAddress]) -> Addressing:
        """Return both, as the kernel has them now; None where nobody can tell."""
        bound = None if self.addresses is None else self.addresses.bound()
        self.failure = str(bound) if isinstance(bound, Unknown) else None
        self._bound = None if isinstance(bound, Unknown) else bound
        return self.list_listeners(nodelocal)

    def list_listeners(self, nodelocal: Iterable[IPAddress]) -> Addressing:
        """Return both, the addresses as they were listed last."""
        listeners = self.listeners
        return self._bound, None if listeners is None else listeners.listening(tuple(nodelocal))

    def close(self) -> None:
        for source in (self.addresses, self.listeners):
            if source is not None:
                source.close()
