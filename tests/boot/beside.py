"""Something that is done beside a test, for as long as a block lasts."""

import threading
from types import TracebackType
from typing import Self


class Beside:
    """Does one turn after another in a thread of its own while the block lasts."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def turn(self) -> None:
        """Do it once."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self.done.is_set():
            self.turn()
