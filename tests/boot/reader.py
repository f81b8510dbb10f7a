"""A reader that looks at a file as often as the machine can, as every program on a node might."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self


class Reader:
    """Reads a file all the while the block lasts and keeps what was not ``fine``."""

    def __init__(self, file: Path, fine: Callable[[str], bool]) -> None:
        self._file = file
        self._fine = fine
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read_on)
        self.reads = 0
        self.bad: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _read_on(self) -> None:
        while not self._done.is_set():
            text = self._text()
            self.reads += 1
            if not self._fine(text):
                self.bad.append(text)

    def _text(self) -> str:
        try:
            return self._file.read_text()
        except OSError as error:
            return f"({error})"
