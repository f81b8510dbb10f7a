"""README.md's samples of what dnsguard says, and what of them is the same in each run."""

import re
from pathlib import Path

_README = Path(__file__).parents[2] / "README.md"
_OF_THE_RUN = (
    (re.compile(r"^\w{3} \d\d (?=\d\d:)"), ""),
    (re.compile(r"\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\b[\d.]+ m?s\b"), "SPAN"),
    (re.compile(r"\[\d+\]|\bpid \d+"), "PID"),
    # Which of dhclient's signs is seen first, and how often its hook's writes, is the scheduler's.
    (
        re.compile(r'(?<=evidence=)"[^"]*"|(?<=^tramples     ).*(?=by dhclient)|(?<=dhclient: ).*'),
        "-",
    ),
)


def find_sample(first: str) -> list[str]:
    """Return the lines of the sample whose first one begins so."""
    paragraphs = _README.read_text(encoding="utf-8").split("\n\n")
    (found,) = [one for one in paragraphs if re.match(f"    {first}", one)]
    return [line.removeprefix("    ") for line in found.splitlines()]


def drop_run(line: str) -> str:
    """Return a line without what differs between two runs: times, process ids, signs of a writer."""
    for pattern, instead in _OF_THE_RUN:
        line = pattern.sub(instead, line)
    return line


DOCTOR = find_sample(r"LOOP \(")
STATUS = find_sample("OK guarding: ")
EVENTS = find_sample(r"\d\d:\d\d:\d\d  ")
JOURNAL = find_sample(r"\w{3} \d\d \d\d:\d\d:\d\d ")
FILE = find_sample("domain cluster.local")
