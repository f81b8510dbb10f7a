"""Lines for the journal: whatever an event holds, a field is one line and is that field."""

import pytest

from dnsguard.log import LONGEST, _flatten, _make_entry

FORGED = "x\nPRIORITY=0\nMESSAGE=all is well"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (FORGED, "x PRIORITY=0 MESSAGE=all is well"),
        ("a\x1b[2J\r\u2028b", "a\\x1b[2J\\r\\u2028b"),
        ("resolv.conf.\udcff~", "resolv.conf.\\xff~"),
        ("  Traceback:\n\tline\n", "Traceback: line"),
        ("\0", "\\x00"),
    ],
)
def test_a_field_can_forge_none(value: str, expected: str) -> None:
    """A newline is a blank, the rest is written out; python3-systemd could not encode a byte."""
    fields = _make_entry("started", "info", "started", _flatten(None, "info", {"why": value}))
    assert fields["DNSGUARD_WHY"] == expected
    for field in fields.values():
        assert field.isprintable()
        assert field.encode()
    assert fields["PRIORITY"] == "6"


def test_a_field_is_short() -> None:
    """An entry that is too large would be dropped by journald."""
    fields = _make_entry("started", "info", "x" * 100_000, {"why": "x" * 100_000})
    assert max(map(len, fields.values())) <= 2 * LONGEST
