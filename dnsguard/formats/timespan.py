"""Time spans as systemd.time(7) writes them: ``30m``, ``1h 30min``, ``90``."""

import re

_UNITS = {
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "days": 86400.0,
    "w": 604800.0,
    "week": 604800.0,
    "weeks": 604800.0,
    "ms": 0.001,
    "msec": 0.001,
}
_PART = re.compile(r"\s*(\d{1,12}(?:\.\d{1,9})?)\s*([a-z]*)", re.ASCII)
LONGEST = 366 * 86400.0


def parse(text: str) -> float:
    """Return a time span in seconds.

    :raises ValueError: it is none, it is 0, or it is longer than a year.
    """
    total, at, rest = 0.0, 0, text.strip()
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None or part[2] not in _UNITS:
            raise ValueError(f"{text!r} is no time span: write 90s, 30m or 1h 30min")
        total += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    if not 0 < total <= LONGEST:
        raise ValueError(f"{text!r} is not between 0 and a year: write 90s, 30m or 1h 30min")
    return total


def describe(seconds: float) -> str:
    """Return a time span for people, its two largest units: ``1 h 30 min``."""
    rest = max(0, round(seconds))
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])
