"""What can stand against a handover, as values: :mod:`.handover` finds them."""

import math
from dataclasses import dataclass
from enum import Enum, auto


class BlockerKind(Enum):
    """What can stand against a handover, and the incident for which it does."""

    STOPPING = auto()
    """The guard ends, and nobody else watches NodeLocalDNS."""
    HELD = auto()
    """An operator wants the upstream."""
    UNHEALTHY = auto()
    """The reboot that dnsguard is for: the file named NodeLocalDNS, and nothing answered there."""
    NEVER = auto()
    """``handover.mode = "never"``."""
    PODS = auto()
    """What kubelet gives to pods is, or is made of, resolv.conf: CoreDNS forwards to itself, and
    ``loop`` has it exit (6 of 12 starts beside systemd-resolved)."""
    PODS_UNKNOWN = auto()
    """A kubelet inside another program (k3s, MicroK8s) made the same loop unseen."""
    LINK = auto()
    """A manager's link would become a file, and search list and servers of its own stand still."""
    NO_UPSTREAM = auto()
    """Nobody would stand behind NodeLocalDNS when it dies."""
    UNVERIFIED = auto()
    """The same, as far as is known so far."""
    HOLD_DOWN = auto()
    """It has just broken: a crash-looping pod answered for seconds at a time (RFC 2439's idea)."""
    UNPROVEN = auto()
    """It may answer from its cache while its upstream is dead, so it is asked for a name that no
    cache can have: milliseconds."""
    DISPROVEN = auto()
    """It was asked for that, and did not answer."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """One of them, with what is to be said of it."""

    kind: BlockerKind
    reason: str
    remedy: str = ""
    """What an operator can do about it, where that is a command."""
    look_at: float = math.inf
    """When it may be gone (CLOCK_MONOTONIC)."""

    def describe(self) -> str:
        return f"{self.reason}; remedy: {self.remedy}" if self.remedy else self.reason
