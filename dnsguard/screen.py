"""The whole screen of a terminal, for what is watched."""

import os
import signal
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn, Self

from dnsguard.page import Line, escape
from dnsguard.terminal import find_page, flush, stdin, wait, write

# The alternate screen without a cursor (xterm's ctlseqs: 1049, 25), as less(1) has it.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _TO_END_OF_LINE, _TO_END = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """The terminal while it is ours; as it was before once it is left."""

    def __init__(self) -> None:
        self._shown: object = None
        self._keys: int | None = None
        self._settings: list[Any] = []
        self._is_suspended = False

    def __enter__(self) -> Self:
        signal.signal(signal.SIGTERM, _leave)  # not with the terminal in disorder
        signal.signal(signal.SIGTSTP, self._note_suspension)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def _take(self) -> None:
        keyboard = stdin()
        if keyboard is not None and keyboard.isatty():
            self._keys = keyboard.fileno()
            self._settings = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        write(_ENTER)

    def _give_back(self) -> None:
        if self._keys is not None:
            with suppress(termios.error):  # it has hung up
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._settings)
        write(_LEAVE)
        flush()

    def draw(self, lines: Sequence[Line]) -> None:
        """Show the first lines that the window holds, and say how many it does not."""
        page = find_page()
        rows, columns = page.height or 24, page.width or 80
        if len(lines) > rows:
            more = f"... {len(lines) - rows} more lines: dnsguard status; q ends"
            lines = (*lines[: rows - 1], Line(more, "dim"))
        painted = tuple(page.paint(Line(escape(text)[:columns], s)) for text, s in lines)
        if (painted, rows, columns) != self._shown:
            text = "\r\n".join(line + _TO_END_OF_LINE for line in painted)
            write(f"{_HOME}{text}{_TO_END}")
            flush()
            self._shown = (painted, rows, columns)

    def is_left(self, seconds: float) -> bool:
        """Wait, and tell whether somebody has typed ``q`` meanwhile. ^Z is for the shell."""
        if self._is_suspended:
            self._suspend()
        keys = () if self._keys is None else (self._keys,)
        if not wait(seconds, *keys) or self._keys is None:
            return False
        typed = os.read(self._keys, 64)
        if not typed:  # the terminal's input has ended
            self._keys = None
        return b"q" in typed.lower()

    def _note_suspension(self, *_: object) -> None:
        self._is_suspended = True  # in the middle of a line, it may be

    def _suspend(self) -> None:
        """Stop, with the terminal as it was, until somebody has this go on (SIGCONT)."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._is_suspended, self._shown = False, None
        self._take()


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)
