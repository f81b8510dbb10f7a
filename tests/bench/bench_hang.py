"""Who hangs is found in time, and who is only slow is not said to.

The hangs: of a NodeLocalDNS that stays well over UDP and stops accepting, reading or answering
over TCP, the time to the file without it. (The hang of all of it, SIGSTOP, is
tests/bench/failover's.) And what looks like one and is none (bench_alarms.py).
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_alarms import BELOW, CONFIG, HEADER, measure_alarms
from bench_chain import measure_beside_nodelocal
from bench_lab import PREFIX
from bench_report import Bar, conclude, table
from bench_tree import DEADLINE_S, NODE_LOCAL, UPSTREAM, CannotMeasureError
from lab.container import container
from lab.guard import Node, upstream
from lab.nameserver import Nameserver, nameserver
from lab.netns import namespace

WITHIN_MS = 2000
"""From a hang over TCP to the file (issue 17)."""
FORMS = {
    "accepts no connection": "tcp-unaccepted",
    "reads no connection": "tcp-unread",
    "answers no connection": "tcp-mute",
}


def measure_hangs(root: Path, rounds: int) -> Iterator[tuple[str, list[float]]]:
    for name, script in FORMS.items():
        yield name, [_hang(root / f"{script}{number}", script) for number in range(rounds)]


def _hang(root: Path, script: str) -> float:
    """Return the seconds from the hang to the file."""
    with _healthy(root) as (node, server):
        began = time.monotonic()
        server.play(script)
        while (took := time.monotonic() - began) < DEADLINE_S:
            if node.servers() == [UPSTREAM]:
                break
    if took >= DEADLINE_S:
        raise CannotMeasureError(f"{NODE_LOCAL} stays\n{node.log.read_text()}")
    return took


@contextmanager
def _healthy(root: Path) -> Iterator[tuple[Node, Nameserver]]:
    """Have a node that is handed over, its NodeLocalDNS in a container."""
    with namespace() as where, upstream(where), container() as box:
        where.bridge("nodelocal", NODE_LOCAL)
        node = Node(root, where)
        (root / "etc/dnsguard/dnsguard.toml").write_text(CONFIG)
        with nameserver(where, NODE_LOCAL, box=box) as server, node.guarded():
            node.wait_for(NODE_LOCAL, UPSTREAM, within=DEADLINE_S)
            yield node, server


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench/hang",
        description="Whether hangs are found in time, and nothing else is taken for one.",
        epilog="Exit status: 0 all bars met, 1 otherwise.",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=300,
        help="of each scene that is no hang (%(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=20, help="of each hang (%(default)s)")
    parser.add_argument("--only", default="", metavar="WORDS", help="scenes with these words")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if options.rounds < 0 or options.seconds <= 0:
        parser.error("--rounds can't be below 0, --seconds has to be above 0")
    return options


def main() -> int:
    options = _arguments()
    return measure_beside_nodelocal(lambda program: _report(options, program))


def _report(options: argparse.Namespace, program: str) -> int:
    with tempfile.TemporaryDirectory(prefix=PREFIX) as root:
        hangs = dict(measure_hangs(Path(root), options.rounds))
        found = list(measure_alarms(Path(root), options.seconds, options.only))
    bars = [
        Bar(name=f"over TCP it {name}", value=1000 * max(times), limit=WITHIN_MS, unit=" ms")
        for name, times in hangs.items()
        if times
    ]
    return conclude(
        as_json=options.json,
        facts={"nodelocal": program},
        figures={
            "hangs_ms": {name: [1000 * one for one in times] for name, times in hangs.items()},
            "alarms": [dict(zip(BELOW, one.row(), strict=True)) for one in found],
        },
        text=table(HEADER, [BELOW, *(one.row() for one in found)]),
        bars=[*bars, *(one.bar() for one in found)],
    )
