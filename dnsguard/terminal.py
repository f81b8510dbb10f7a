r"""What people read: lines as wide as the terminal, with colour where somebody looks.

The one place that writes to stdout and stderr. Most of what is shown was written by
somebody else: in files, on command lines, by a DHCP server. So nothing leaves here that a
terminal would take for a command (C0, DEL and C1 of ECMA-48, ISO 6429), that turns a line
around (Unicode's bidirectional controls), or that makes one line two: it is shown as what
it is, ``\x1b``. The colours are ours and are added behind that.

A reader that has gone, a full disk and a closed descriptor end a command in one way:
:class:`~dnsguard.errors.OutputError`, raised here and caught by ``cli.main``.
"""

import difflib
import errno
import json
import os
import re
import select
import signal
import sys
import termios
import textwrap
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Self, TextIO

from dnsguard.errors import OutputError, ReaderGoneError

LABEL = 13
"""Columns of the labels."""
_LEAST = 40
"""Columns below which folding would only do harm."""
_CODES = {
    "good": "32",
    "bad": "31",
    "warn": "33",
    "loud": "1;33",
    "bold": "1",
    "dim": "2",
    "": "",
}
"""SGR parameters (ECMA-48, 8.3.117)."""
_GONE = (errno.EPIPE, errno.ECONNRESET)


class Line(NamedTuple):
    """One line and how it is to be painted."""

    text: str
    style: str = ""


def escape(text: str) -> str:
    """Return the text with all that is no printable character written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if 0x80 <= code <= 0xFF:  # "\\x9b" would be that byte
        return f"\\u{code:04x}"
    return chr(code).encode("unicode_escape").decode()


@dataclass(frozen=True, slots=True)
class Page:
    """How to lay text out."""

    width: int | None = None
    """Columns; None: lines are as long as they are, for pipes and files."""
    height: int | None = None
    has_colour: bool = False

    def row(self, label: str, text: str, style: str = "", *, hang: int = 0) -> tuple[Line, ...]:
        """Return a label and its text, folded below itself; ``hang`` indents what is folded."""
        head = f"{label:<{LABEL}}"
        return self.fold(escape(text), style, head=head, hang=LABEL + hang)

    def fold(
        self, text: str, style: str = "", *, head: str = "", hang: int = 0
    ) -> tuple[Line, ...]:
        """Return a text folded at words, ``head`` before it and what follows indented."""
        text = escape(text)
        if self.width is None:
            return (Line(f"{head}{text}".rstrip(), style),)
        lines = textwrap.wrap(
            text,
            max(_LEAST, self.width),
            initial_indent=head,
            subsequent_indent=" " * hang,
            break_on_hyphens=False,
        )
        return tuple(Line(line, style) for line in lines or [head.rstrip()])

    def indent(self, text: str) -> tuple[Line, ...]:
        """Return a line folded at words below its own beginning, two columns further in."""
        body = text.lstrip(" ")
        indent = len(text) - len(body)
        label = re.match(r"\w[\w ]*  +", body)  # a label in a column of its own
        hang = indent + (label.end() if label else 2)
        return self.fold(body, head=" " * indent, hang=hang)

    def paint(self, line: str | Line) -> str:
        """Return a line as it goes to the terminal."""
        text, style = line if isinstance(line, Line) else (line, "")
        code = _CODES[style]
        shown = escape(text)
        return f"\x1b[{code}m{shown}\x1b[0m" if code and self.has_colour else shown


def page_for(stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> Page:
    """Return the page for a stream: folded and coloured on a terminal only.

    ``NO_COLOR`` (no-color.org) and ``TERM=dumb`` turn colour off, ``COLUMNS`` sets the width.
    """
    if stream is None or not stream.isatty():
        return Page()
    is_plain = bool(environ.get("NO_COLOR")) or environ.get("TERM", "dumb") == "dumb"
    columns, rows = _size(stream, environ)
    return Page(width=columns, height=rows, has_colour=not is_plain)


def _size(stream: TextIO, environ: Mapping[str, str]) -> tuple[int, int]:
    """Return the window's columns and rows. shutil has it, too, and costs 10 ms here."""
    columns, rows = 0, 0
    with suppress(OSError, ValueError):
        columns, rows = os.get_terminal_size(stream.fileno())
    told = environ.get("COLUMNS", "")
    if told.isascii() and told.isdecimal() and len(told) < 6:
        columns = int(told)
    return columns or 80, rows or 24


def stdout() -> Page:
    """Return the page for the standard output."""
    return page_for(_stdout())


# --- writing


def say(*lines: str | Line) -> None:
    """Write lines to stdout, each of them one line whatever it holds.

    :raises OutputError: they can't be written.
    """
    page = stdout()
    _write("".join(f"{page.paint(line)}\n" for line in lines))


def say_json(data: object, *, indent: int | None = 2) -> None:
    """Write JSON to stdout, in ASCII; the one control character that it would leave is DEL.

    :raises OutputError: it can't be written.
    """
    _write(json.dumps(data, indent=indent).replace("\x7f", "\\u007f") + "\n")


def complain(text: str) -> None:
    """Write what is wrong to stderr, one line. Never fails: there is nobody left to tell."""
    log(f"dnsguard: {text}")


def log(line: str) -> None:
    """Write a line to stderr. Never fails: a guard goes on, whoever reads its log."""
    stream = _stderr()
    if stream is not None:
        with suppress(OSError, ValueError):
            stream.write(_make_encodable(escape(line), stream) + "\n")
            stream.flush()


def confirm(question: str) -> bool | None:
    """Ask whoever is at the terminal and tell whether it was a yes; None: nobody is.

    :raises OutputError: the question can't be written.
    """
    stdin = _stdin()
    if stdin is None or not stdin.isatty():
        return None
    _write(f"{escape(question)} [y/N] ")
    flush()
    return stdin.readline().strip().lower() in ("y", "yes")


def flush() -> None:
    """Have all that was said written.

    :raises OutputError: it can't be.
    """
    stream = _stdout()
    if stream is not None:
        with _one_way_to_fail(stream):
            stream.flush()


def wait(seconds: float | None, *descriptors: int) -> frozenset[int]:
    """Wait until one of these can be read, or the time is up; return which can.

    :raises ReaderGoneError: nobody reads stdout any more, who would not be missed otherwise
        until something is written.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    output = _descriptor(_stdout())
    if output is not None:
        poll.register(output, 0)  # the kernel tells of an error or a hang-up all the same
    ready = {number for number, _ in poll.poll(None if seconds is None else seconds * 1000)}
    if output in ready:
        _discard(_stdout())
        raise ReaderGoneError
    return frozenset(ready)


# --- the whole screen

# The alternate screen without a cursor (xterm's ctlseqs: 1049, 25), as less(1) has it.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _TO_END_OF_LINE, _TO_END = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """The terminal while it is ours; as it was before once it is left."""

    def __init__(self) -> None:
        self._shown: object = None
        self._keys: int | None = None
        self._settings: list[Any] = []

    def __enter__(self) -> Self:
        stdin = _stdin()
        if stdin is not None and stdin.isatty():
            self._keys = stdin.fileno()
            self._settings = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        signal.signal(signal.SIGTERM, _leave)  # not with the terminal in disorder
        _write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        if self._keys is not None:
            with suppress(termios.error):  # it has hung up
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._settings)
        _write(_LEAVE)
        flush()

    def draw(self, lines: Sequence[Line]) -> None:
        """Show the first lines that the window holds, and say how many it does not."""
        page = stdout()
        rows, columns = page.height or 24, page.width or 80
        if len(lines) > rows:
            more = f"... {len(lines) - rows} more lines: dnsguard status; q ends"
            lines = (*lines[: rows - 1], Line(more, "dim"))
        painted = tuple(page.paint(Line(escape(text)[:columns], s)) for text, s in lines)
        if (painted, rows, columns) != self._shown:
            text = "\r\n".join(line + _TO_END_OF_LINE for line in painted)
            _write(f"{_HOME}{text}{_TO_END}")
            flush()
            self._shown = (painted, rows, columns)

    def is_left(self, seconds: float) -> bool:
        """Wait, and tell whether somebody has typed ``q`` meanwhile."""
        keys = () if self._keys is None else (self._keys,)
        if not wait(seconds, *keys) or self._keys is None:
            return False
        typed = os.read(self._keys, 64)
        if not typed:  # the terminal's input has ended
            self._keys = None
        return b"q" in typed.lower()


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


# --- the two streams


def open_streams() -> None:
    """Take descriptors 0 to 2 where they are closed, so that no file of ours becomes one.

    As gnulib's stdopen does, so that writing there fails as it did: for reading only.
    """
    while (number := os.open(os.devnull, os.O_RDONLY)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def finish(error: OutputError | None = None) -> None:
    """Have the interpreter end in silence: it writes once more what could not be written."""
    if error is not None and not isinstance(error, ReaderGoneError):
        complain(str(error))
    stream = _stderr()
    if stream is not None:
        try:
            stream.flush()
        except OSError:
            _discard(stream)


def _write(text: str) -> None:
    stream = _stdout()
    if stream is None:  # Python found descriptor 1 closed
        raise OutputError(f"standard output: {os.strerror(errno.EBADF)}")
    with _one_way_to_fail(stream):
        stream.write(_make_encodable(text, stream))


def _make_encodable(text: str, stream: TextIO) -> str:
    """Return the text with what the terminal's character set lacks written out."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def _one_way_to_fail(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _discard(stream)
        if error.errno in _GONE:
            raise ReaderGoneError from error
        raise OutputError(f"standard output: {error.strerror}") from error


def _discard(stream: TextIO | None) -> None:
    """Have what is still buffered go nowhere (Python's "Note on SIGPIPE" in signal)."""
    descriptor = _descriptor(stream)
    if stream is not None and descriptor is not None:
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
            stream.flush()


def _descriptor(stream: TextIO | None) -> int | None:
    """Return a stream's descriptor, None of one in memory."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


# Typed as they are: None where the descriptor was closed when Python started.
def _stdin() -> TextIO | None:
    return sys.stdin


def _stdout() -> TextIO | None:
    return sys.stdout


def _stderr() -> TextIO | None:
    return sys.stderr


def diff(before: bytes, after: bytes, from_name: str, to_name: str) -> list[str]:
    """Return a unified diff, a line each, whatever bytes the files hold."""
    old, new = (_lines(content) for content in (before, after))
    return list(difflib.unified_diff(old, new, from_name, to_name, lineterm=""))


def _lines(content: bytes) -> list[str]:
    """Return the lines that a resolver sees; a form feed begins none."""
    text = content.decode("utf-8", "backslashreplace")
    return text.removesuffix("\n").split("\n") if text else []
