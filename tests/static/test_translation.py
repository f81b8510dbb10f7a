"""README.zh-CN.md says what README.md says: its commands, samples, figures and links, in its order.

Paragraph by paragraph. That a paragraph's words have changed is told by the marks at the end of
the translation: one for each paragraph of README.md, taken when it was translated last.
"""

import hashlib
import re
from collections import Counter
from itertools import zip_longest

import pytest

from static.manual import ROOT

_TWINS = {"README.md": "README.zh-CN.md"}
"""Each leads to the other."""


def _paragraphs(text: str) -> list[str]:
    return text.rstrip("\n").split("\n\n")


ENGLISH = _paragraphs((ROOT / "README.md").read_text(encoding="utf-8"))
*CHINESE, NOTE = _paragraphs((ROOT / "README.zh-CN.md").read_text(encoding="utf-8"))
PAIRS = list(zip_longest(ENGLISH, CHINESE, fillvalue=""))


def _mark(paragraph: str) -> str:
    return hashlib.sha256(paragraph.encode()).hexdigest()[:8]


def _make_note() -> str:
    """Return what stands at the translation's end once all of it has been renewed."""
    marks = [_mark(paragraph) for paragraph in ENGLISH]
    rows = [" ".join(marks[at : at + 10]) for at in range(0, len(marks), 10)]
    return "\n".join(["<!-- Of README.md (tests/static/test_translation.py):", *rows, "-->"])


def test_what_has_changed_is_translated_anew() -> None:
    """A changed paragraph is named, and so is what is to be written once it is translated."""
    marks = re.findall(r"\b[0-9a-f]{8}\b", NOTE)
    changed = [paragraph for paragraph in ENGLISH if _mark(paragraph) not in marks]
    assert not changed, "\n\n".join(
        [
            "README.md has changed. Translate these anew in README.zh-CN.md:",
            *changed,
            "Then write this at its end:",
            _make_note(),
        ]
    )
    assert _make_note() == NOTE, f"write this at the end of README.zh-CN.md:\n\n{_make_note()}"


def _kind(paragraph: str) -> str:
    """Return what a paragraph is, with how deep a heading and how long a list or table is."""
    first = re.match(r"#+ |    |- |\||", paragraph)
    start = first[0] if first else ""
    return f"{start}{paragraph.count(chr(10)) if start in ('- ', '|') else ''}"


def test_the_paragraphs_are_the_same() -> None:
    """Headings, samples, lists and tables follow each other as in README.md."""
    differ = [(english, chinese) for english, chinese in PAIRS if _kind(english) != _kind(chinese)]
    assert differ[:1] == [], f"{len(ENGLISH)} paragraphs, {len(CHINESE)} translated"


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=range(len(PAIRS)))
def test_a_paragraph_has_the_same_facts(english: str, chinese: str) -> None:
    """Samples to the byte; in prose and tables the code, the figures and the links."""
    if english.startswith("    "):
        assert chinese == english
        return
    for one, other in zip_longest(english.split("\n"), chinese.split("\n"), fillvalue=""):
        assert _facts(other) == _facts(one), f"renew: {other}\nof: {one}"


def _facts(line: str) -> Counter[str]:
    """Return what no language changes: code, links' targets and figures."""
    code = re.findall(r"`([^`]+)`", line)
    prose = re.sub(r"`[^`]+`", "", line)
    links = [_TWINS.get(link, link) for link in re.findall(r"\]\(([^)]+)\)", prose)]
    figures = re.findall(r"\d(?:[\d,.]*\d)?", re.sub(r"\]\([^)]+\)", "]", prose))
    return Counter([*code, *links, *figures])


def test_what_differs_is_found() -> None:
    """The control: a figure, a command, a link."""
    line = "`kill -9`: 3.4, 8.3, 30 of 71,286, see [that](docs/states.md)"
    assert _facts(
        "`kill -9`\uff1a3.4\u30018.3\uff0c30 / 71,286 [\u89c1](docs/states.md)"
    ) == _facts(line)
    for damage in (("3.4", "3.5"), ("-9", "-15"), ("states", "state")):
        assert _facts(line.replace(*damage)) != _facts(line)
