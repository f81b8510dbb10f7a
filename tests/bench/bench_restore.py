"""How long a poisoned resolv.conf stays poisoned: dnsguard beside the other ways to guard it.

Every tool has a directory tree of its own. In each round every tool is poisoned once, one
after the other, in an order that changes from round to round, so that whatever else happens
on the machine hits all alike. Between two poisonings of the same tool lie 60 ms at least:
dnsguard slows down against a program that rewrites the file more than 20 times a second,
which is a feature and not what is measured here.

The trees are on a disk (/var/tmp) by default, as /etc is on every node: a rename over a file
takes some 50 to 100 us there, for every tool. --directory /dev/shm leaves the disk out, and
with it much of what the C program does: the ratio to it is then nearly twice as high.
"""

import argparse
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_lab import PREFIX, Lab, open_lab
from bench_processes import Probe, give_probe_a_cpu
from bench_report import Bar, conclude, filesystem, finite, percentile, table
from bench_tree import HEALTHY, KUBESPRAY, NODE_LOCAL, UPSTREAM, CannotMeasureError, Tree, make_tree
from bench_world import end_on_sigterm, enter_namespaces, inside_command, is_inside

DISK = Path("/var/tmp")  # noqa: S108 -- private directories are made in it
# Each in turn; restore_probe.c does them.
KINDS = {
    "rename": "renamed over",
    "truncate": "truncated, written in place",
    "move-out": "renamed over, another file moved out before",
}
QUIET_S = 0.020  # after a repair, for what the tool does afterwards
PACE_S = 0.060  # between two poisonings of one tool
TIMEOUT_S = 2.0
PATH_UNIT_TREE = "DNSGUARD_BENCH_PATH_UNIT"
OUTLIER_S = 0.5
WARM_UP_ROUNDS = 6
NEVER = math.inf

# What people write. --monitor, so that no event between two starts of inotifywait is lost,
# and only the events that end a write.
SHELL_LOOP = """\
inotifywait --quiet --monitor --event close_write,moved_to --format %f "$1" |
while read -r name; do
    [ "$name" = resolv.conf ] || continue
    if grep -q "^nameserver $2" "$1/resolv.conf"; then
        sed "s/^nameserver $2/nameserver $3/" "$1/resolv.conf" > "$1/.resolv.conf.shell"
        mv "$1/.resolv.conf.shell" "$1/resolv.conf"
    fi
done
"""
PATH_SERVICE = """\
if grep -q "^nameserver $2" "$1/resolv.conf"; then
    sed "s/^nameserver $2/nameserver $3/" "$1/resolv.conf" > "$1/.resolv.conf.unit"
    mv "$1/.resolv.conf.unit" "$1/resolv.conf"
fi
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A way to guard resolv.conf: how to start it in a tree, and how it is called."""

    name: str
    start: Callable[[Lab, Tree], None]


def start_dnsguard(lab: Lab, tree: Tree) -> None:
    lab.start_dnsguard(tree).notifications.ready_at()
    lab.await_status_fine(tree)


def start_floor(lab: Lab, tree: Tree) -> None:
    lab.start([lab.compile("restore_floor.c"), tree.root / "etc", NODE_LOCAL, UPSTREAM])


def start_shell_loop(lab: Lab, tree: Tree) -> None:
    if shutil.which("inotifywait") is None:
        raise CannotMeasureError("inotifywait is missing: apt-get install inotify-tools")
    lab.start(["sh", "-c", SHELL_LOOP, "sh", tree.root / "etc", NODE_LOCAL, UPSTREAM])


def run_beside_path_unit(directory: Path) -> int:
    """Run the bench while a path unit of this machine's systemd guards a tree for it.

    The unit is started and stopped out here: systemctl can't talk to PID 1 from within
    another PID namespace.
    """
    end_on_sigterm()
    unit = f"dnsguard-bench-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=directory) as base:
        tree = make_tree(Path(base) / "systemd")
        try:
            start_path_unit(unit, tree)
            os.environ[PATH_UNIT_TREE] = str(tree.root)
            return subprocess.run(inside_command(), check=False).returncode
        except subprocess.CalledProcessError as problem:
            sys.exit(f"cannot measure: {problem}")
        finally:
            stop_path_unit(unit)


def start_path_unit(unit: str, tree: Tree) -> None:
    properties = ["Type=oneshot", "StartLimitIntervalSec=0"]
    command = ["systemd-run", "--quiet", f"--unit={unit}"]
    command += [f"--path-property=PathChanged={tree.resolv_conf}"]
    command += [f"--property={item}" for item in properties]
    command += ["sh", "-c", PATH_SERVICE, "sh", str(tree.root / "etc"), NODE_LOCAL, UPSTREAM]
    subprocess.run(command, check=True)


def stop_path_unit(unit: str) -> None:
    for verb in ("stop", "reset-failed"):
        command = ["systemctl", "--quiet", verb, f"{unit}.path", f"{unit}.service"]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


DNSGUARD = Tool(name="dnsguard", start=start_dnsguard)
FLOOR = Tool(name="C program (the limit)", start=start_floor)
SHELL = Tool(name="inotifywait shell loop", start=start_shell_loop)
PATH_UNIT = Tool(name="systemd path unit", start=lambda _lab, _tree: None)  # it runs already

# Seconds by tool and kind, in the order measured.
Figures = Mapping[tuple[str, str], list[float]]


def systemd_runs() -> bool:
    return Path("/run/systemd/system").is_dir() and os.geteuid() == 0


def tree_for(tool: Tool, lab: Lab) -> Tree:
    if tool is PATH_UNIT:
        return Tree(root=Path(os.environ[PATH_UNIT_TREE]))
    return lab.tree(tool.name.split()[0])


def await_repair(tree: Tree) -> None:
    """Wait for a first repair: a shell loop says in no other way that it is there."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        tree.replace(KUBESPRAY)
        time.sleep(0.3)
        if not tree.is_poisoned:
            return
    raise CannotMeasureError(f"{tree.root.name} doesn't repair its file")


def measure(lab: Lab, tools: Sequence[Tool], rounds: int, *, is_varied: bool) -> Figures:
    probe = lab.probe(is_varied=is_varied)
    give_probe_a_cpu(probe)
    trees = {tool: tree_for(tool, lab) for tool in tools}
    for tool, tree in trees.items():
        tool.start(lab, tree)
        await_repair(tree)

    figures: Figures = {(tool.name, kind): [] for tool in tools for kind in KINDS}
    free_at = dict.fromkeys(tools, 0.0)
    order = list(tools)
    shuffle = random.Random(0).shuffle  # noqa: S311 -- an order, not a secret
    for number in range(-WARM_UP_ROUNDS, rounds):
        kind = list(KINDS)[number % len(KINDS)]
        shuffle(order)
        for tool in order:
            time.sleep(max(QUIET_S, free_at[tool] - time.monotonic()))
            seconds = poison(probe, kind, trees[tool])
            free_at[tool] = time.monotonic() + PACE_S
            if number >= 0:
                figures[tool.name, kind].append(seconds)
    return figures


def poison(probe: Probe, kind: str, tree: Tree) -> float:
    seconds = probe.poison(kind, tree, timeout_s=TIMEOUT_S)
    if seconds is None:
        tree.replace(HEALTHY)
        return NEVER
    return seconds


def ratios(figures: Figures, above: Tool, below: Tool) -> list[float]:
    """Return the ratio of the two medians, kind by kind."""
    return [
        percentile(figures[above.name, kind], 0.5) / percentile(figures[below.name, kind], 0.5)
        for kind in KINDS
    ]


def bars(figures: Figures) -> list[Bar]:
    """Return the issue's bars; a ratio counts as that of the kind where it is worst."""
    ours = [seconds for kind in KINDS for seconds in figures[DNSGUARD.name, kind]]
    return [
        Bar(
            name="dnsguard's median / the C program's, worst kind",
            value=max(ratios(figures, DNSGUARD, FLOOR)),
            limit=3,
            unit="x",
        ),
        Bar(
            name="the shell loop's median / dnsguard's, worst kind",
            value=min(ratios(figures, SHELL, DNSGUARD)),
            limit=10,
            unit="x",
            at_least=True,
        ),
        Bar(
            name=f"dnsguard's worst of {len(ours)}",
            value=max(ours) * 1000,
            limit=25,
            unit=" ms",
            strict=True,
        ),
        Bar(
            name="dnsguard's repairs of 500 ms or more",
            value=sum(seconds >= OUTLIER_S for seconds in ours),
            limit=0,
            unit="",
        ),
    ]


def summary(values: Sequence[float]) -> dict[str, float]:
    return {
        "p50_ms": percentile(values, 0.5) * 1000,
        "p99_ms": percentile(values, 0.99) * 1000,
        "worst_ms": max(values) * 1000,
    }


def text(figures: Figures, tools: Sequence[Tool], where: str) -> str:
    rows = []
    for kind, description in KINDS.items():
        floor = percentile(figures[FLOOR.name, kind], 0.5) * 1000
        rows.append([f"{description}:", "", "", "", "", ""])
        for tool in tools:
            values = figures[tool.name, kind]
            cells = summary(values)
            ratio = cells["p50_ms"] / floor
            times = [f"{cell:.3f}" if math.isfinite(cell) else "never" for cell in cells.values()]
            rows.append([f"  {tool.name}", str(len(values)), *times, f"{ratio:.2f}x"])
        if PATH_UNIT not in tools:
            rows.append([f"  {PATH_UNIT.name}: not measured: no systemd here", "", "", "", "", ""])
    header = [
        "from foreign write to repaired file",
        "rounds",
        "p50 ms",
        "p99 ms",
        "worst ms",
        "/ C",
    ]
    pace = f"each tool at most every {PACE_S * 1000:g} ms: dnsguard slows down in faster fights"
    return f"{table(header, rows)}\n({where}; {pace})"


def kind_as_json(values: Sequence[float]) -> dict[str, float | None]:
    cells = {key: finite(cell) for key, cell in summary(values).items()}
    return {"rounds": len(values), "never": values.count(NEVER), **cells}


def as_json(figures: Figures, tools: Sequence[Tool], where: str) -> dict[str, object]:
    results: dict[str, object] = {PATH_UNIT.name: "not measured: no systemd here"}
    for tool in tools:
        results[tool.name] = {kind: kind_as_json(figures[tool.name, kind]) for kind in KINDS}
    return {"where": where, "pace_ms": PACE_S * 1000, "tools": results}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench/restore",
        description="Time from a foreign write to the repaired file, beside other ways to guard it.",
        epilog="Exit status: 0 all bars met, 1 otherwise.",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=1000,
        help="poisonings of each tool, over all kinds (%(default)s)",
    )
    parser.add_argument(
        "--directory", type=Path, default=DISK, help="where the files are (%(default)s)"
    )
    parser.add_argument(
        "--varied",
        action="store_true",
        help="write another text each time, for which nothing can be kept ready",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if options.rounds < len(KINDS):
        parser.error(f"--rounds: {len(KINDS)} at least, one of each kind")
    return options


def main() -> int:
    options = arguments()
    if systemd_runs() and not is_inside():
        return run_beside_path_unit(options.directory)
    enter_namespaces()
    tools = [DNSGUARD, FLOOR, SHELL] + ([PATH_UNIT] if PATH_UNIT_TREE in os.environ else [])
    with open_lab(options.directory) as lab:
        figures = measure(lab, tools, options.rounds, is_varied=options.varied)
    texts = "each foreign text another" if options.varied else "always the same foreign text"
    where = f"{texts}; files on {filesystem(options.directory)}, in {options.directory}"
    return conclude(
        as_json=options.json,
        figures=as_json(figures, tools, where),
        text=text(figures, tools, where),
        bars=bars(figures),
    )
