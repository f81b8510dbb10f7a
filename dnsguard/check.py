"""The state in a line and an exit status, for node-problem-detector and Nagios.

Nagios reads 0 as OK, 1 as WARNING and 3 as UNKNOWN (2, CRITICAL, is not used). The custom
plugins of node-problem-detector say at most 80 characters, and have 2 where they can't tell:
its rule in ``packaging`` makes 2 of all else.
"""

from collections.abc import Mapping
from typing import Any

from dnsguard import client
from dnsguard.errors import DnsguardError
from dnsguard.paths import Paths

OK, PROBLEM, UNKNOWN = 0, 1, 3
LONGEST = 80
"""Characters (node-problem-detector's max_output_length)."""


def check(paths: Paths) -> tuple[int, str]:
    """Return the exit status and the line."""
    try:
        data = client.ask(paths.socket, "status")
    except DnsguardError:
        return UNKNOWN, "UNKNOWN: systemctl status dnsguard (the daemon does not answer)"
    return judge(data)


def judge(data: Mapping[str, Any]) -> tuple[int, str]:
    """Return the exit status and the line for a status."""
    if data["degraded"]:
        return PROBLEM, _cut(f"DEGRADED: {_remedy_first(data['degraded'][0])}")
    servers = " ".join(data["resolv_conf"]["nameservers"]) or "nobody is named yet"
    return OK, _cut(f"OK: {data['mode']}, upstream {data['upstream']['state']}: {servers}")


def _remedy_first(wrong: str) -> str:
    """Turn ``what is so: what to do`` around, so that what is cut off is not the remedy."""
    problem, colon, remedy = wrong.rpartition(": ")
    return f"{remedy} ({problem.removesuffix('; remedy')})" if colon else wrong


def _cut(line: str) -> str:
    plain = line.encode("ascii", "replace").decode()
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 3] + "..."
