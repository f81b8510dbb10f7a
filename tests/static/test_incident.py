"""docs/incident.md: its picture is made of its source, and its log lines are README.md's."""

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from lab import needs

from static.manual import ROOT

SOURCE, PICTURE = ROOT / "docs/incident.dot", ROOT / "docs/incident.svg"
SVG = "{http://www.w3.org/2000/svg}"
AGAIN = "dot -Tsvg docs/incident.dot -o docs/incident.svg"
"""What makes the picture; its source says so, too."""


def _read(picture: str) -> list[tuple[str, ...]]:
    """Return each part of a picture with its texts and colours; where it stands is the font's."""
    root = ET.fromstring(picture)  # noqa: S314 -- our own file, or dot's output
    parts = []
    for group in root.iter(f"{SVG}g"):
        title = group.findtext(f"{SVG}title", default="")
        drawn = [
            "".join(one.itertext()) or f"{one.get('fill')} {one.get('stroke')}"
            for one in group
            if one.tag != f"{SVG}g"
        ]
        parts.append((group.get("class", ""), title, *drawn))
    return sorted(parts)


def test_the_picture_is_made_of_its_source(tmp_path: Path) -> None:
    """By graphviz, whatever its version and the fonts of the machine."""
    if shutil.which("dot") is None:
        needs.leave_out("dot (graphviz)")
    made = tmp_path / "made.svg"
    subprocess.run(["dot", "-Tsvg", SOURCE, "-o", made], check=True)
    assert _read(made.read_text("utf-8")) == _read(PICTURE.read_text("utf-8")), f"again: {AGAIN}"


def test_the_picture_says_what_its_source_says() -> None:
    """Every label, also where there is no graphviz."""
    labels = re.findall(r'\blabel="([^"]+)"', SOURCE.read_text("utf-8"))
    lines = {line for label in labels for line in label.split("\\n")}
    shown = {text for part in _read(PICTURE.read_text("utf-8")) for text in part}
    assert lines <= shown, f"again: {AGAIN}"
    assert f"//     {AGAIN}\n" in SOURCE.read_text("utf-8")


@pytest.mark.parametrize("name", ["lookup ", "[FATAL] ", "[ERROR] "])
def test_the_log_lines_are_those_of_readme(name: str) -> None:
    """Which an integration test compares with what the programs print (test_chain_control)."""
    lines = [
        {line.strip() for line in (ROOT / file).read_text("utf-8").splitlines() if name in line}
        for file in ("README.md", "docs/incident.md")
    ]
    assert lines[0] == lines[1] != set()
