"""The documents say what the code does: whoever changes one is told of the other."""

import importlib
import os
import re
import subprocess

import pytest

from static.manual import PAGES, ROOT

DOCUMENTS = (
    "README.md",
    "README.zh-CN.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/incident.md",
    "docs/runbook.md",
    "docs/states.md",
    "packaging/ansible/roles/dnsguard/README.md",
)


def test_every_manual_page_is_looked_at() -> None:
    """A new page is to be added to PAGES above."""
    assert sorted(path.name for path in (ROOT / "docs/man").iterdir()) == list(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_the_manual_pages_are_clean(name: str) -> None:
    """man(1) has nothing to warn of; it is what lintian runs."""
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", ROOT / "docs/man" / name],
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    assert done.stderr.decode() == ""


@pytest.mark.parametrize("name", PAGES)
def test_the_manual_pages_quote_what_mdoc_would_swallow(name: str) -> None:
    """A quotation mark that begins an argument is mdoc's own; one that is meant is escaped."""
    text = (ROOT / "docs/man" / name).read_text(encoding="utf-8")
    quoting = re.findall(r'^\.(?:Li|Ql) (?:.* )?"(.*)$', text, re.MULTILINE)
    assert [line for line in quoting if not re.fullmatch(r'[^"]*"( [.,;])?', line)] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files(name: str) -> None:
    """A link to a file in this repository names one that is there."""
    path = ROOT / name
    links = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_the_paths_and_names_in_contributing_are_there() -> None:
    """A dotted name is found in the package, and a path in the tree."""
    named = re.findall(
        r"`([\w./]+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("sudo ", "")
    )
    names = [name for name in named if re.fullmatch(r"[\w.]+\.\w+", name)]
    assert names
    assert [name for name in names if not _is_there(name)] == []
    paths = [name for name in named if name.startswith(("tests/", "docs/", "packaging/"))]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_map_names_every_part_of_the_package() -> None:
    """Each module of the top level and each folder, once, and nothing that is gone."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^    (\S.*?)(?:  +|$)", text.partition("## Layout")[2], re.MULTILINE)
    named = [name.removesuffix("/") for row in rows for name in row.split()]
    parts = {path.name for path in (ROOT / "dnsguard").iterdir() if not path.name.startswith("__")}
    assert sorted(named) == sorted(parts - {"py.typed"})


def _is_there(name: str) -> bool:
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            thing: object = importlib.import_module(".".join(("dnsguard", *parts[:count])))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            thing = getattr(thing, part, None)
        return thing is not None
    return False
