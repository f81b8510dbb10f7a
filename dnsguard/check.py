"""The state in a line and an exit status, for node-problem-detector and Nagios.

node-problem-detector's custom plugins end with 0 (fine), 1 (a problem) or 2 (can't tell)
and say at most 80 characters; Nagios reads the same as OK, WARNING and CRITICAL.
"""

from collections.abc import Mapping
from typing import Any

from dnsguard import client
from dnsguard.errors import DnsguardError
from dnsguard.paths import Paths

OK, PROBLEM, UNKNOWN = 0, 1, 2
LONGEST = 80
"""Characters (node-problem-detector's max_output_length)."""


def check(paths: Paths) -> tuple[int, str]:
    """Return the exit status and the line."""
    try:
        data = client.ask(paths.socket, "status")
    except DnsguardError:
        return UNKNOWN, "UNKNOWN: dnsguard does not answer; see systemctl status dnsguard"
    return judge(data)


def judge(data: Mapping[str, Any]) -> tuple[int, str]:
    """Return the exit status and the line for a status."""
    if data["degraded"]:
        return PROBLEM, _cut(f"DEGRADED: {data['degraded'][0]}")
    servers = " ".join(data["resolv_conf"]["nameservers"])
    return OK, _cut(f"OK: {data['mode']}, upstream {data['upstream']['state']}: {servers}")


def _cut(line: str) -> str:
    plain = line.encode("ascii", "replace").decode()
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 3] + "..."
