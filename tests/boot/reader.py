"""A reader that looks at a file as often as the machine can, as every program on a node might."""

from collections.abc import Callable
from pathlib import Path

from boot.beside import Beside


class Reader(Beside):
    """Reads a file all the while the block lasts and keeps what was not ``fine``."""

    def __init__(self, file: Path, fine: Callable[[str], bool]) -> None:
        super().__init__()
        self._file = file
        self._fine = fine
        self.reads = 0
        self.bad: list[str] = []

    def turn(self) -> None:
        text = self._text()
        self.reads += 1
        if not self._fine(text):
            self.bad.append(text)

    def _text(self) -> str:
        try:
            return self._file.read_text()
        except OSError as error:
            return f"({error})"
