"""Sources of hints, which the kernel may not have: without one the slow re-read sees everything."""

from typing import TypeVar

from dnsguard.log import Journal
from dnsguard.reporting.events import Event, Level

REFRESH = 5.0
"""Seconds after which everything is looked up again, hints or none."""
_REMEDY = {
    "Watch": "raise fs.inotify.max_user_watches or max_user_instances (sysctl)",
    "Addresses": "allow AF_NETLINK sockets (RestrictAddressFamilies= of the unit)",
}
_Source = TypeVar("_Source")


def open_source(open_it: type[_Source], journal: Journal) -> _Source | None:
    """Open a source of hints, or say that it can't be had."""
    try:
        return open_it()
    except OSError as error:
        tell_unavailable(journal, open_it.__name__, str(error))
        return None


def tell_unavailable(journal: Journal, source: str, error: str) -> None:
    """Say that nothing tells of changes there."""
    details = (
        ("source", source),
        ("error", error),
        ("means", f"its changes are seen only every {REFRESH:g} s"),
        ("remedy", _REMEDY.get(source, _REMEDY["Watch"])),
    )
    journal(Event(name="hints_unavailable", level=Level.ERROR, details=details))
