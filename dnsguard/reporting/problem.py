"""What is wrong, and what to do about it: an entry of the status' ``degraded``."""

from dataclasses import dataclass
from typing import Self

_JOINTS = ("; remedy: ", ": ")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is so and what helps; ``what: remedy`` wherever it is text."""

    what: str
    remedy: str = ""
    joint: str = ": "
    """What stands between the two in the text."""

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return what a line says that came over the control socket, or is no value yet."""
        for joint in _JOINTS:
            what, found, remedy = text.rpartition(joint)
            if found and remedy and ": " not in remedy:
                return cls(what, remedy, joint)
        return cls(text)

    def __str__(self) -> str:
        return f"{self.what}{self.joint}{self.remedy}" if self.remedy else self.what

    @property
    def remedy_first(self) -> str:
        """Return the line turned around: what is cut off it is not the remedy."""
        return f"{self.remedy} ({self.what})" if self.remedy else self.what
