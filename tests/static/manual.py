"""The manual pages as text."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("dnsguard-metrics.7", "dnsguard.8", "dnsguard.toml.5")


def page(name: str) -> str:
    """Return the source of a manual page, its escapes resolved."""
    text = (ROOT / "docs/man" / name).read_text(encoding="utf-8")
    return text.replace(r"\&", "").replace(r"\(dq", '"')


def section(text: str, name: str) -> str:
    """Return what stands below the header."""
    found = re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {name}"
    return found[1]


def items(text: str, macro: str) -> list[str]:
    """Return the arguments of list items that begin with this macro."""
    return re.findall(rf"^\.It {macro} (.*)$", text, re.MULTILINE)


def prose(text: str) -> str:
    """Return the page as running text: no macros, single blanks."""
    words = re.sub(r"^\.[A-Z][a-z]\b ?", "", text, flags=re.MULTILINE).split()
    return re.sub(r" ([.,;:)])", r"\1", " ".join(words))
