"""The journal's catalog: every kind of event is explained, as journalctl reads it."""

import re
import subprocess
from pathlib import Path

import pytest

from dnsguard.reporting.message_ids import MESSAGE_IDS

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "systemd/dnsguard.catalog"
_ENTRY = re.compile(
    r"^# (\w+)\n-- ([0-9a-f]{32})\nSubject: ([^\n]+)\nDefined-By: dnsguard\n"
    r"Documentation: man:dnsguard\(8\)\n\n(.+?)\n(?=\n# |\Z)",
    re.DOTALL | re.MULTILINE,
)


def test_every_kind_is_explained_once() -> None:
    """The catalog and reporting.message_ids are one list, in one order."""
    entries = _ENTRY.findall(CATALOG.read_text(encoding="utf-8"))
    assert [(name, found) for name, found, _, _ in entries] == list(MESSAGE_IDS.items())
    assert len(set(MESSAGE_IDS.values())) == len(MESSAGE_IDS)


@pytest.mark.parametrize("name", MESSAGE_IDS)
def test_an_explanation_is_fit_to_read(name: str) -> None:
    """Its fields are ours, its lines fit a terminal, its subject is a line of its own."""
    entries = {entry[0]: entry[2:] for entry in _ENTRY.findall(CATALOG.read_text("utf-8"))}
    subject, text = entries[name]
    assert all(field.startswith("DNSGUARD_") for field in re.findall(r"@(\w+)@", subject + text))
    assert max(map(len, (subject, *text.splitlines()))) <= 80


def test_journalctl_takes_it(tmp_path: Path) -> None:
    """Compiled and listed by systemd itself."""
    place = tmp_path / "usr/lib/systemd/catalog"
    place.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    (place / CATALOG.name).write_bytes(CATALOG.read_bytes())
    command = ["journalctl", f"--root={tmp_path}", "--no-pager"]
    done = subprocess.run([*command, "--update-catalog"], check=True, capture_output=True)
    assert done.stderr == b""
    database = (tmp_path / "var/lib/systemd/catalog/database").read_bytes()
    for message_id in MESSAGE_IDS.values():
        assert bytes.fromhex(message_id) in database
