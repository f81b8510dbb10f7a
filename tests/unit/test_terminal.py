"""What reaches a terminal: nothing that it would take for a command, and no line forged."""

import io
import json
import os
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard import terminal
from dnsguard.errors import OutputError
from dnsguard.page import Line, Page, escape

HOSTILE = (
    "\x1b[2J",  # clears the screen
    "\x9b2J",  # the same, of one character (C1)
    b"\x9b2J".decode("utf-8", "surrogateescape"),  # and as a raw byte
    "\x1b]0;title\x07",
    "\r\n",
    "\x08",
    "\x7f",
    "\u202e",  # right to left override
    "\u2066",  # an isolate
    "\u2028",  # a line separator
    "\ud800",  # half a character
    "\u200b",  # no width
    "\t",
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_control_character_is_shown_as_what_it_is(text: str) -> None:
    """Not dropped either: who looks must see that it is there."""
    shown = escape(f"a{text}b")
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert escape(shown) == shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b", "\\x1b"),
        ("\n", "\\n"),
        ("\u009b", "\\u009b"),
        ("\udc9b", "\\x9b"),
        ("\u202e", "\\u202e"),
        ("\U000e0001", "\\U000e0001"),
        ("nameserver ü 日本", "nameserver ü 日本"),
    ],
)
def test_each_is_written_in_one_way(text: str, expected: str) -> None:
    """A byte and a character of the same number are told apart."""
    assert escape(text) == expected


@given(st.text(st.characters()))
def test_any_text_becomes_printable(text: str) -> None:
    """All of Unicode, unpaired surrogates too; what is printable stays as it is."""
    shown = escape(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp", "Co"}
    if text.isprintable():
        assert shown == text


def test_a_line_is_one_line_and_only_the_colours_are_escapes() -> None:
    """However the value tries to begin a line of its own."""
    painted = Page(has_colour=True).paint(Line("x\x1b[0m\nDEGRADED", "bad"))
    assert painted == "\x1b[31mx\\x1b[0m\\nDEGRADED\x1b[0m"


@pytest.mark.parametrize("text", ["x" * 60 + "  and more", "options" + " " * 300 + "rotate"])
def test_what_looks_like_a_label_leaves_room_for_the_rest(text: str) -> None:
    """A file's line may begin with anything: no character stands on a line of its own."""
    for indent in ("", "      "):
        lines = [line.text for line in Page(width=40).indent(indent + text)]
        assert len(lines) <= 4
        assert max(map(len, lines)) <= 40


def test_a_label_has_a_column_of_its_own() -> None:
    """What is folded stands below the text, not below the label."""
    text = "cluster domain  cluster.local  (/var/lib/kubelet/config.yaml)"
    assert [line.text for line in Page(width=40).indent(text)] == [
        "cluster domain  cluster.local",
        "                (/var/lib/kubelet/config",
        "                .yaml)",
    ]


def test_a_row_is_folded_by_what_is_shown() -> None:
    """An escape takes four columns, not one."""
    lines = Page(width=60).row("file", "\x1b " * 40)
    assert len(lines) > 3
    assert max(len(line.text) for line in lines) <= 60


class _Latin(io.TextIOWrapper):
    """A terminal of another character set."""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_any_character_set_will_do(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lacks is written out."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", _Latin(raw, encoding))
    terminal.say("\u2026 \x9b \udcff")
    terminal.flush()
    assert raw.getvalue().decode(encoding).endswith(" \\u009b \\xff\n")
    assert b"\x9b" not in raw.getvalue()


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With DEL, which Python's encoder leaves."""
    data = {"a": "".join(HOSTILE)}
    terminal.say_json(data)
    said = capsys.readouterr().out
    assert json.loads(said) == data
    assert said.isascii()
    assert escape(said.replace("\n", "")) == said.replace("\n", "")


def test_a_closed_descriptor_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has no stream then, and a write would be lost in silence."""
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="standard output: Bad file descriptor"):
        terminal.say("x")
    terminal.flush()
    monkeypatch.setattr(sys, "stderr", None)
    terminal.complain("x")


def test_a_full_disk_is_an_error_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves nothing behind that the interpreter would try to write at its end."""
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        terminal.say("x")
        with pytest.raises(OutputError, match="No space left on device"):
            terminal.flush()
        terminal.flush()


def test_a_reader_that_goes_is_noticed_while_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As head(1) does behind ``watch``; a pipe that is read is waited with."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert terminal.wait(0.01) == frozenset()
        os.close(read)
        with pytest.raises(OutputError) as raised:
            terminal.wait(60)
        assert raised.value.status == 141
