"""What the benches print: percentiles, bars and tables.

It judges nothing by itself: a bar is a limit of the issue, handed in with the figure.
"""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A figure against a limit; ``at_least`` turns the comparison round."""

    name: str
    value: float
    limit: float
    unit: str
    at_least: bool = False
    strict: bool = False

    @property
    def is_met(self) -> bool:
        if math.isnan(self.value) or (self.strict and self.value == self.limit):
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def bound(self) -> str:
        sign = (">" if self.at_least else "<") + ("" if self.strict else "=")
        return f"{sign} {self.limit:g}{self.unit}"

    def as_json(self) -> Mapping[str, object]:
        return {
            "name": self.name,
            "value": finite(self.value),
            "bound": self.bound,
            "met": self.is_met,
        }


def filesystem(directory: Path) -> str:
    """Return the kind of filesystem that a directory is on, as findmnt(8) calls it."""
    command = ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(directory)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.split()[-1] if found.stdout else "unknown"  # mounts can lie on mounts


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: a figure that was really measured, never one between two."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def finite(value: float) -> float | None:
    """JSON has no infinity (never repaired) and no NaN (not measured)."""
    return round(value, 3) if math.isfinite(value) else None


def machine() -> Mapping[str, object]:
    """Return what a reader needs to compare figures with another run's."""
    return {
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "debian": Path("/etc/debian_version").read_text("utf-8").strip()
        if Path("/etc/debian_version").exists()
        else "no Debian",
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned; the first to the left, the rest to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])


def bars_table(bars: Sequence[Bar]) -> str:
    rows = [
        [bar.name, f"{bar.value:.2f}{bar.unit}", bar.bound, "met" if bar.is_met else "NOT MET"]
        for bar in bars
    ]
    return table(["bar", "measured", "allowed", ""], rows)


def conclude(
    *,
    as_json: bool,
    figures: Mapping[str, object],
    text: str,
    bars: Sequence[Bar],
    facts: Mapping[str, object] | None = None,
) -> int:
    """Print the figures for a program or a person; the exit code says whether all bars are met.

    :param facts: what a reader needs beside what the machine is.
    """
    facts = {**machine(), **(facts or {})}
    if as_json:
        found = [bar.as_json() for bar in bars]
        document: dict[str, object] = {"machine": facts, **figures, "bars": found}
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        told = ", ".join(f"{key} {value}" for key, value in facts.items())
        print(f"{text}\n\n{bars_table(bars)}\n\n{told}")
    return 0 if all(bar.is_met for bar in bars) else 1
