"""Time spans as operators write and read them."""

import pytest

from dnsguard.formats.timespan import describe, parse


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("30 min", 1800),
        ("1h 30min", 5400),
        ("1h30min", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        ("1w", 604800),
        ("500ms", 0.5),
        (" 5 seconds ", 5),
    ],
)
def test_as_systemd_time_7_has_it(text: str, seconds: float) -> None:
    """The units that anybody uses."""
    assert parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "-5", "soon", "5x", "m", "1h-", "1,5h", "inf", "nan", "9e9", "400d", "5 5 x"]
)
def test_nonsense_is_named(text: str) -> None:
    """With what it should be."""
    with pytest.raises(ValueError, match="write 90s, 30m or 1h 30min"):
        parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (-3, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3601, "1 h"),
        (5400, "1 h 30 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_for_people(seconds: float, text: str) -> None:
    """Two units say enough."""
    assert describe(seconds) == text
