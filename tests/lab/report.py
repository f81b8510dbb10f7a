"""What tests/run takes from pytest's report of a ring (--junitxml).

    report.py failed REPORT             the tests that failed, as pytest is told of them
    report.py count REPORT STATUS LEFT  passed, failed and skipped; LEFT gets a line for each
                                        reason to leave tests out, and for what was run again

STATUS is pytest's, or 0 where all that failed has passed when it was run once more.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

_GROUP = re.compile("@[^@\\]]*$")
"""Whose worker a test was: pytest-xdist appends it to the name (``--dist loadgroup``)."""


def main(verb: str, report: str, *rest: str) -> None:
    cases = list(ET.parse(report).iter("testcase")) if Path(report).exists() else []  # noqa: S314 -- ours
    if verb == "failed":
        sys.stdout.writelines(f"{name}\n" for name in find_failed(cases))
        return
    status, left = rest
    with Path(left).open("a") as lines:
        lines.writelines(f"{line}\n" for line in list_left(cases, int(status)))
    print(*count(cases, int(status)))


def find_failed(cases: list[ET.Element]) -> list[str]:
    """Return the tests that failed, each once: one whose end fails as well is there twice."""
    return list(dict.fromkeys(_name(case) for case in cases if _has_failed(case)))


def count(cases: list[ET.Element], status: int) -> tuple[int, int, int]:
    """Return how many passed, failed and were skipped."""
    failed = len(find_failed(cases)) if status else 0
    skipped = sum(case.find("skipped") is not None for case in cases)
    passed = len({_name(case) for case in cases}) - failed - skipped
    # A run that broke off, or collected nothing, has no failed test to show for it.
    return passed, max(failed, 1) if status else 0, skipped


def list_left(cases: list[ET.Element], status: int) -> Iterator[str]:
    """Yield what a reader of the result has to know beside the figures."""
    for name in () if status else find_failed(cases):
        yield f"failed, and passed when it was run again, alone: {name}"
    skips = (case.find("skipped") for case in cases)
    reasons = Counter(skip.get("message", "") for skip in skips if skip is not None)
    for reason, times in reasons.most_common():
        first = (reason.splitlines() or [""])[0]
        yield f"{times} test{'s' * (times != 1)} left out: {first}"


def _has_failed(case: ET.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None


def _name(case: ET.Element) -> str:
    """Return pytest's name of a test: its file, its class where it has one, itself."""
    places = case.get("classname", "").split(".")
    classes = [place for place in places if place[:1].isupper()]
    file = "/".join(places[: len(places) - len(classes)])
    return "::".join((f"{file}.py", *classes, _GROUP.sub("", case.get("name", ""))))


if __name__ == "__main__":
    main(*sys.argv[1:])
