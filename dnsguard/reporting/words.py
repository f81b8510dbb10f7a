"""What status, watch and events call the same things. Light: ``status`` is typed in a hurry."""

import time

_WORDS = {"silent": "failing"}
"""What people are told where the data's word would mislead: SERVFAIL is not silence."""
UNKNOWN = "unknown"
"""The writer of whom nothing tells."""


def describe_nodelocal(state: str, detail: str) -> str:
    """Return how NodeLocalDNS is as people say it: ``failing: answers SERVFAIL``."""
    word = _WORDS.get(state, state)
    return f"{word}: {detail}" if detail else word


def split_state(value: str) -> tuple[str, str]:
    """Return state and detail of a fact: ``silent: 169.254.25.10 answers SERVFAIL``."""
    state, _, detail = value.partition(": ")
    return state, detail


def describe_hold(serves: str, by: str) -> str:
    return f"held to {serves} by {by}"


def describe_writer(writer: str) -> str:
    """Return who wrote resolv.conf, as far as that is known."""
    return "writer unknown" if writer == UNKNOWN else f"by {writer}"


def clock(at: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a time of day, in the longer form where it is not of today."""
    when, today = time.localtime(at), time.localtime()
    return time.strftime("%H:%M:%S" if when[:3] == today[:3] else form, when)
