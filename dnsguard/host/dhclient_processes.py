"""Which dhclients run, and which ones ifupdown starts at boot."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dnsguard.formats import ifupdown
from dnsguard.host import processes
from dnsguard.host.dhclient import RUN_PARTS, exists, list_names, locate
from dnsguard.host.files import read_bounded
from dnsguard.host.processes import Process

INTERFACES = "/etc/network/interfaces"
MOST_PROCESSES = 64
"""More than these are no node's."""

_WITH_ARGUMENT = re.compile(
    "-([psgeD]|4o6|cf|df|lf|pf|sf)|--(dad|decline)-wait-time|--(prefix-len-hint|address-prefix-len)"
)
"""Options of dhclient(8) that take the next word along."""
_NAMES = frozenset({"dhclient"})
_IS_IPV6 = frozenset({"-6", "-S", "-T", "-P", "-N"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DhclientProcess:
    """A dhclient process, for one interface."""

    pid: int
    interface: str | None
    """None: all that it finds."""
    version: int = 4
    started: float
    """Seconds since the epoch."""
    script: str | None = None
    """What it was told to run instead of dhclient-script (``-sf``)."""


def find_running(root: Path) -> tuple[DhclientProcess, ...]:
    """Return the node's own dhclient processes, one for each interface they serve.

    Not what a user calls so, nor a container's, which has another resolv.conf.
    """
    running = processes.find_running(root / "proc", _NAMES)
    own = [one for one in running if one.name in _NAMES and one.uid == 0 and not one.is_nested]
    return tuple(served for one in own[:MOST_PROCESSES] for served in _find_served(one))


def find_configured(root: Path) -> tuple[tuple[str, int], ...]:
    """Return the interfaces and versions of IP for which ifupdown starts dhclient at boot.

    A stateless one (``-S``) leaves no lease, and unless it asks for the time of the next
    refresh, no process.
    """
    programs = root / "usr/sbin"
    if exists(programs) and not exists(programs / "dhclient"):
        return ()  # trixie's ifupdown has dhcpcd instead
    directory = "/etc/network/interfaces.d"
    names = [name for name in list_names(locate(root, directory)) if RUN_PARTS.fullmatch(name)]
    paths = [INTERFACES, *(f"{directory}/{name}" for name in names)]
    read = [read_bounded(locate(root, path), ifupdown.MAX_BYTES) or b"" for path in paths]
    stanzas = [one for content in read for one in ifupdown.parse(content).ifaces]
    return tuple(dict.fromkeys((one.name, one.dhcp) for one in stanzas if one.dhcp is not None))


def _find_served(process: Process) -> Iterator[DhclientProcess]:
    """Yield what a process serves, if it is there to stay."""
    words = process.arguments[1:]
    options = {word for word in words if word.startswith("-")}
    if options & {"-r", "-x"}:
        return
    for interface in _find_interfaces(words) or [None]:
        yield DhclientProcess(
            pid=process.pid,
            interface=interface,
            version=6 if options & _IS_IPV6 else 4,
            started=process.started,
            script=words[words.index("-sf") + 1] if "-sf" in words[:-1] else None,
        )


def _find_interfaces(words: Sequence[str]) -> list[str | None]:
    """Return the words that are neither an option nor an option's argument."""
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if word and not word.startswith("-") and not _WITH_ARGUMENT.fullmatch(before)
    ]
