"""The story on the terminal: 80 columns of ASCII, colour only where somebody looks."""

import textwrap
import time
from collections.abc import Iterable

from dnsguard import page, terminal

_WIDTH = 80
_INDENT = " " * 5
_BOLD, _DIM, _RED, _GREEN = "bold", "dim", "bad", "good"


class Screen:
    """Writes lines, each at once: the story is read while it happens."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._chapter = -1

    def title(self, text: str, about: str) -> None:
        self._write(text, _BOLD)
        self._wrap(about)

    def chapter(self, text: str) -> None:
        """Begin the next chapter, with the time since the start of the story."""
        self._chapter += 1
        seconds = f"{time.monotonic() - self._started:.1f} s"
        self._write("")
        head = f"  {self._chapter}  {text}"
        self._write(f"{head}{seconds:>{_WIDTH - len(head)}}", _BOLD)

    def say(self, text: str) -> None:
        self._wrap(text, indent=_INDENT)

    def good(self, text: str) -> None:
        self._wrap(text, indent=_INDENT, mark="ok    ", colour=_GREEN)

    def bad(self, text: str) -> None:
        self._wrap(text, indent=_INDENT, mark="FAILS ", colour=_RED)

    def quote(self, name: str, lines: Iterable[str]) -> None:
        """Show a file as it is; what is too long for a line goes on below."""
        self._write(f"{_INDENT}{name}")
        for line in lines:
            self._wrap(line, indent=f"{_INDENT}| ", colour=_DIM, hang="    ")

    def log(self, lines: Iterable[str]) -> None:
        """Show lines of the daemon's log, each cut to one line of the terminal, and once."""
        for line in dict.fromkeys(lines):
            self._write(_cut(f"{_INDENT}log: {line}"), _DIM)

    def end(self, title: str, text: str) -> None:
        self._write("")
        self._write(title, _BOLD)
        self._wrap(text)

    def _wrap(
        self, text: str, *, indent: str = "", mark: str = "", colour: str = "", hang: str = ""
    ) -> None:
        following = indent + hang + " " * len(mark)
        lines = textwrap.wrap(
            text,
            _WIDTH,
            initial_indent=indent + mark,
            subsequent_indent=following,
            break_on_hyphens=False,
        )
        for line in lines or [indent]:
            self._write(line, colour)

    def _write(self, line: str, colour: str = "") -> None:
        terminal.say(page.Line(line, colour))
        terminal.flush()


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."
