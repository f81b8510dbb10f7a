"""Read systemd-resolved: whom it is told to ask, whom it asks, and who asks it."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dnsguard.core.model import Found
from dnsguard.core.observation import MAX_FILE, Identity, Resolved
from dnsguard.formats import networkd, resolvconf
from dnsguard.formats import resolved as configuration
from dnsguard.formats.address import IPAddress
from dnsguard.formats.resolved import Configuration
from dnsguard.host.files import read_bounded
from dnsguard.host.patterns import SYSTEMD, find_drop_ins, list_names
from dnsguard.host.resolvfile import try_identity
from dnsguard.paths import Paths

_ASKS = "run/systemd/resolve/resolv.conf"
"""Whom it asks: its own word, written anew at each change and at each start."""
_VARLINK = "/run/systemd/resolve/io.systemd.Resolve"
_ROOT = Path("/")
_LINKS = "run/systemd/netif/links"
_STUB = b"127.0.0.53"
_PROGRAMS = ("usr/lib/systemd/systemd-resolved", "lib/systemd/systemd-resolved")


class ResolvedReader:
    """Looks at it: at its configuration now and then, at the rest at every look."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._known: Resolved | None = None
        self._last: tuple[Identity | None, Identity | None] | None = None

    def refresh(self) -> None:
        """Read its configuration, and who is sent to it. Never raises OSError."""
        root, self._last = self._paths.root, None
        if not any((root / one).exists() for one in _PROGRAMS):
            self._known = None
            return
        self._known = Resolved(
            configured=self._read_configuration(), links=_read_links(root), is_asked=_is_asked(root)
        )

    def read(self) -> Resolved | None:
        """Return it as it is now; None where it is not installed, or nobody has looked yet."""
        if self._known is None:
            return None
        asks, drop_in = self._paths.root / _ASKS, self._paths.resolved_drop_in
        version = (try_identity(asks), try_identity(drop_in))
        if version != self._last:
            is_running = self._is_running()
            said = read_bounded(asks, MAX_FILE) if is_running else None
            self._last = version if is_running else None
            self._known = replace(
                self._known,
                asks=None if said is None else resolvconf.read_addresses(said),
                drop_in=read_bounded(drop_in, MAX_FILE),
                links=_read_links(self._paths.root),
            )
        return self._known

    def _is_running(self) -> bool:
        """Tell whether it answers: it writes its file before it does, and leaves it behind.

        Its varlink socket is the last thing that it opens (resolved-manager.c, manager_start()).
        """
        if self._paths.root != _ROOT:
            return True  # a tree, whose programs run nowhere
        with suppress(OSError), socket.socket(socket.AF_UNIX) as varlink:
            varlink.settimeout(0)
            varlink.connect(_VARLINK)
            return True
        return False

    def _read_configuration(self) -> Configuration:
        texts = (read_bounded(one, MAX_FILE) or b"" for one in self._find_files())
        return configuration.read_configuration(texts)

    def _find_files(self) -> Iterator[Path]:
        """Yield its files in the order in which they are read, ours left out."""
        root = self._paths.root
        mains = (root / place / "resolved.conf" for place in SYSTEMD)
        yield from [one for one in mains if one.exists()][:1]
        drop_ins = find_drop_ins(str(root), (f"{place}/resolved.conf.d" for place in SYSTEMD))
        found = (root / one for one in drop_ins)
        yield from (one for one in found if one.name != self._paths.resolved_drop_in.name)


def update_stubs(found: Found, seen: Resolved) -> Found:
    """Return what was found, with whom its stubs ask now."""
    asks = seen.asks
    if asks is None or all(stub.asks == asks for stub in found.stubs):
        return found
    return replace(found, stubs=tuple(replace(stub, asks=asks) for stub in found.stubs))


def _read_links(root: Path) -> tuple[IPAddress, ...]:
    directory = root / _LINKS
    read = (read_bounded(directory / name, MAX_FILE) for name in list_names(str(directory)))
    named = (networkd.parse_lease(content).servers for content in read if content)
    return tuple(dict.fromkeys(one.address for servers in named for one in servers))


def _is_asked(root: Path) -> bool:
    """Tell whether programs are sent to it by other ways than a link.

    Kubespray's dhclient.conf names its stub behind NodeLocalDNS.
    """
    if configuration.asks_first(read_bounded(root / "etc/nsswitch.conf", MAX_FILE) or b""):
        return True
    files = ("etc/dhcp/dhclient.conf", "etc/dhclient.conf", "etc/resolv.conf")
    return any(_STUB in (read_bounded(root / one, MAX_FILE) or b"") for one in files)
