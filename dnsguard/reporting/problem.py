"""What is wrong, and what to do about it: an entry of the status' ``degraded``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What is so and what helps; ``what: remedy`` wherever it is text."""

    what: str
    remedy: str = ""
    joint: str = ": "
    """What stands between the two in the text."""

    def __str__(self) -> str:
        return f"{self.what}{self.joint}{self.remedy}" if self.remedy else self.what
