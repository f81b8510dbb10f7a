"""The terminal: the one place that writes to stdout and stderr.

Whatever is written passes :mod:`dnsguard.page`, which makes it harmless. A reader that has
gone, a full disk and a closed descriptor end a command in one way:
:class:`~dnsguard.errors.OutputError`, raised here and caught by ``cli.main``.
"""

import errno
import json
import os
import select
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TextIO

from dnsguard.errors import OutputError, ReaderGoneError
from dnsguard.page import Line, Page, escape

_GONE = (errno.EPIPE, errno.ECONNRESET)


def make_page(stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> Page:
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


def find_page() -> Page:
    """Return the page for the standard output."""
    return make_page(_stdout())


# --- writing


def say(*lines: str | Line) -> None:
    """Write lines to stdout, each of them one line whatever it holds.

    :raises OutputError: they can't be written.
    """
    page = find_page()
    write("".join(f"{page.paint(line)}\n" for line in lines))


def say_json(data: object, *, indent: int | None = 2) -> None:
    """Write JSON to stdout, in ASCII; the one control character that it would leave is DEL.

    :raises OutputError: it can't be written.
    """
    write(json.dumps(data, indent=indent).replace("\x7f", "\\u007f") + "\n")


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
    keyboard = stdin()
    if keyboard is None or not keyboard.isatty():
        return None
    write(f"{escape(question)} [y/N] ")
    flush()
    try:
        return keyboard.readline().strip().lower() in ("y", "yes")
    except UnicodeDecodeError:  # another character set's letter is no yes
        return False


def flush() -> None:
    """Have all that was said written.

    :raises OutputError: it can't be.
    """
    stream = _stdout()
    if stream is not None:
        with _translate_errors(stream):
            stream.flush()


def wait(seconds: float | None, *descriptors: int) -> frozenset[int]:
    """Wait until one of these can be read, or the time is up; return which can.

    :raises ReaderGoneError: nobody reads stdout any more, who would not be missed otherwise
        until something is written.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    output = _find_descriptor(_stdout())
    if output is not None:
        poll.register(output, 0)  # the kernel tells of an error or a hang-up all the same
    ready = {number for number, _ in poll.poll(None if seconds is None else seconds * 1000)}
    if output in ready:
        _discard(_stdout())
        raise ReaderGoneError
    return frozenset(ready)


# --- the two streams


def open_streams() -> None:
    """Take descriptors 0 to 2 where they are closed, so that no file of ours becomes one.

    As gnulib's stdopen does, so that writing there fails as it did: for reading only. Where all
    are open, nothing is asked of /dev/null: on a node whose /dev/kmsg is a link to it, which
    kubelet in a container is often given, ProtectKernelLogs= takes it from the daemon (EACCES).
    """
    if all(_is_open(number) for number in range(3)):
        return
    while (number := os.open(os.devnull, os.O_RDONLY)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


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


def write(text: str) -> None:
    """Write a text to stdout as it is: commands to the terminal are the caller's own.

    :raises OutputError: it can't be written.
    """
    stream = _stdout()
    if stream is None:  # Python found descriptor 1 closed
        raise OutputError(f"standard output: {os.strerror(errno.EBADF)}")
    with _translate_errors(stream):
        stream.write(_make_encodable(text, stream))


def _make_encodable(text: str, stream: TextIO) -> str:
    """Return the text with what the terminal's character set lacks written out."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def _translate_errors(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _discard(stream)
        if error.errno in _GONE:
            raise ReaderGoneError from error
        raise OutputError(f"standard output: {error.strerror}") from error


def _discard(stream: TextIO | None) -> None:
    """Have what is still buffered go nowhere (Python's "Note on SIGPIPE" in signal)."""
    descriptor = _find_descriptor(stream)
    if stream is not None and descriptor is not None:
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
            stream.flush()


def _find_descriptor(stream: TextIO | None) -> int | None:
    """Return a stream's descriptor, None of one in memory."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


# Typed as they are: None where the descriptor was closed when Python started.
def stdin() -> TextIO | None:
    return sys.stdin


def _stdout() -> TextIO | None:
    return sys.stdout


def _stderr() -> TextIO | None:
    return sys.stderr
