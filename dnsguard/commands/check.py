"""The state in a line and an exit status, for node-problem-detector and Nagios.

Nagios reads 0 as OK, 1 as WARNING and 3 as UNKNOWN (2, CRITICAL, is not used). The custom
plugins of node-problem-detector say at most 80 characters, and have 2 where they can't tell:
its rule in ``packaging`` makes 2 of all else.
"""

import argparse

from dnsguard import client, terminal
from dnsguard.errors import DnsguardError
from dnsguard.paths import Paths
from dnsguard.reporting.wire import ProblemJson, StatusJson

OK, PROBLEM, UNKNOWN = 0, 1, 3
LONGEST = 80
"""Characters (node-problem-detector's max_output_length)."""


def run(options: argparse.Namespace) -> int:
    status, line = check(Paths(options.root))
    terminal.say(line)
    return status


def check(paths: Paths) -> tuple[int, str]:
    """Return the exit status and the line."""
    try:
        data = client.ask_status(paths.socket)
    except DnsguardError:
        return UNKNOWN, "UNKNOWN: systemctl status dnsguard (the daemon does not answer)"
    return judge(data)


def judge(data: StatusJson) -> tuple[int, str]:
    """Return the exit status and the line for a status."""
    if data["problems"]:
        return PROBLEM, _cut(f"DEGRADED: {_put_remedy_first(data['problems'][0])}")
    servers = " ".join(data["resolv_conf"]["nameservers"]) or "nobody is named yet"
    return OK, _cut(f"OK: {data['mode']}, upstream {data['upstream']['state']}: {servers}")


def _put_remedy_first(problem: ProblemJson) -> str:
    """Return the problem turned around: what is cut off it is not the remedy."""
    what, remedy = problem["what"], problem["remedy"]
    return f"{remedy} ({what})" if remedy else what


def _cut(line: str) -> str:
    plain = line.encode("ascii", "replace").decode()
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 3] + "..."
