"""Waiting for a condition with a deadline, never for time to pass."""

import time
from collections.abc import Callable


def wait_for(what: str, look: Callable[[], bool], *, seconds: float, every: float = 0.02) -> None:
    """Return as soon as ``look`` says yes.

    ``every`` is the pause between looks; 0 looks as fast as the machine can.
    Raises TimeoutError naming ``what`` once ``seconds`` have passed.
    """
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s still not: {what}")
        time.sleep(every)
