"""Which dhclients run, and which ones ifupdown starts at boot."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dnsguard.formats import ifupdown
from dnsguard.host.dhclient import RUN_PARTS, exists, list_names, locate
from dnsguard.host.files import read_bounded

INTERFACES = "/etc/network/interfaces"
MOST_PROCESSES = 64
"""More than these are no node's."""

_WITH_ARGUMENT = re.compile(
    "-([psgeD]|4o6|cf|df|lf|pf|sf)|--(dad|decline)-wait-time|--(prefix-len-hint|address-prefix-len)"
)
"""Options of dhclient(8) that take the next word along."""
_IS_IPV6 = frozenset({"-6", "-S", "-T", "-P", "-N"})
_MOST_ARGUMENTS = 1 << 14


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
    """Return the dhclient processes, one for each interface they serve (proc(5))."""
    found: list[DhclientProcess] = []
    proc = root / "proc"
    with suppress(OSError):
        boot = re.search(
            rb"^btime ([0-9]+)$", read_bounded(proc / "stat", 1 << 20) or b"", re.MULTILINE
        )
        booted = float(boot[1]) if boot else 0.0
        for entry in proc.iterdir():
            if entry.name.isdigit() and len(found) < MOST_PROCESSES:
                found += _read_process(entry, booted)
    return tuple(sorted(found, key=lambda one: one.pid))


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


def _read_process(process: Path, booted: float) -> Iterator[DhclientProcess]:
    """Yield what a process serves, if it is a dhclient that is there to stay."""
    stat = read_bounded(process / "stat", 4096) or b""
    name, _, rest = stat.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    if name != b"dhclient" or len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return
    command = read_bounded(process / "cmdline", _MOST_ARGUMENTS) or b""
    words = command.decode("utf-8", "replace").split("\0")[1:]
    started = booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    options = {word for word in words if word.startswith("-")}
    if options & {"-r", "-x"}:
        return
    for interface in _find_interfaces(words) or [None]:
        yield DhclientProcess(
            pid=int(process.name),
            interface=interface,
            version=6 if options & _IS_IPV6 else 4,
            started=started,
            script=words[words.index("-sf") + 1] if "-sf" in words[:-1] else None,
        )


def _find_interfaces(words: list[str]) -> list[str | None]:
    """Return the words that are neither an option nor an option's argument."""
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if word and not word.startswith("-") and not _WITH_ARGUMENT.fullmatch(before)
    ]
