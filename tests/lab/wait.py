"""Wait for a condition, never for a time."""

import select
import time
from collections.abc import Callable
from typing import Protocol

STEP = 0.005


class Descriptor(Protocol):
    """What select(2) takes."""

    def fileno(self) -> int: ...


def readable(source: Descriptor, *, within: float = 2.0) -> bool:
    """Wait until there is something to read; say whether there was in time."""
    return bool(select.select([source], [], [], within)[0])


def until(condition: Callable[[], bool], *, within: float = 5.0) -> None:
    """Wait until this is so.

    :raises TimeoutError: it was not so in time.
    """
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not so after {within} s")
        time.sleep(STEP)
