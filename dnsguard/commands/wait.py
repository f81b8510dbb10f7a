"""Wait until the guard has reached what somebody waits for: ``wait``, ``status --wait``."""

import argparse
import time
from collections.abc import Callable, Mapping

from dnsguard import client
from dnsguard.errors import DnsguardError, NoDaemonError, SilentDaemonError
from dnsguard.paths import Paths
from dnsguard.reporting.wire import StatusJson, explain

PEEK = 0.1
"""Seconds between two looks at the status: a millisecond of CPU each."""

_MOST_NAMED = 3


def _is_safe(data: StatusJson) -> bool:
    """Tell whether resolv.conf names an upstream that has answered."""
    return any(one["in_use"] and one["usable"] for one in data["upstream"]["servers"])


STATES: Mapping[str, Callable[[StatusJson], bool]] = {
    "guarding": lambda data: data["mode"] == "guarding" and _is_safe(data),
    "handed-over": lambda data: data["mode"] == "handed-over",
    "safe": _is_safe,
}
"""What can be waited for."""


def run(options: argparse.Namespace) -> int:
    wait(Paths(options.root), "safe", options.timeout)
    return 0


def wait(paths: Paths, state: str, seconds: float) -> StatusJson:
    """Return the status once it is so; a daemon that is not there yet, or just ends, is waited for.

    :raises DnsguardError: it is not so in time; says what was so at the end.
    """
    deadline = time.monotonic() + seconds
    found = "no daemon"
    while True:
        try:
            data = client.ask_status(paths.socket)
        except (NoDaemonError, SilentDaemonError) as error:
            found = str(error)
        else:
            if STATES[state](data):
                return data
            found = _describe_lacking(data, state)
        if time.monotonic() >= deadline:
            raise DnsguardError(f"not {state} within {seconds:g} s: {found}")
        time.sleep(min(PEEK, max(0.0, deadline - time.monotonic())))


def _describe_lacking(data: StatusJson, state: str) -> str:
    """Return what is in the way: a silent upstream, or what keeps the node where it is."""
    mode = f"mode {data['mode']}, {explain(data, 'handover')}"
    servers = data["upstream"]["servers"]
    if any(one["usable"] for one in servers) and (state == "handed-over" or _is_safe(data)):
        return mode
    # Those in the file first: the boot waits for them, and NodeLocalDNS asks them.
    named = sorted(servers, key=lambda one: not one["in_use"])[:_MOST_NAMED]
    each = ", ".join(f"{one['address']}: {one['detail']}" for one in named)
    blamed = f"no upstream answers ({each})" if each else "no upstream is known"
    return f"{blamed}; {mode}" if state == "handed-over" else blamed
