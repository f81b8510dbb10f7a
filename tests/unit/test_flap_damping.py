"""The hold-down."""

import pytest

from dnsguard.core.backoff import FORGIVEN, LONGEST_HOLD_DOWN, FlapDamping

FIRST = 1.0


def _broke(*times: float) -> FlapDamping:
    flaps = FlapDamping()
    for now in times:
        flaps = flaps.record_break(now, FIRST)
    return flaps


def test_who_never_broke_waits_for_nothing() -> None:
    """The first handover after the boot comes as soon as it can."""
    assert FlapDamping().until(FIRST) == 0.0


@pytest.mark.parametrize(
    ("breaks", "seconds"), [(1, 1.0), (2, 2.0), (5, 16.0), (99, LONGEST_HOLD_DOWN)]
)
def test_each_break_doubles_it(breaks: int, seconds: float) -> None:
    """One second, two, four, ... up to five minutes, from the last break on."""
    flaps = _broke(*(float(n) for n in range(1000, 1000 + breaks)))
    assert flaps.until(FIRST) == 999 + breaks + seconds


def test_a_long_time_without_a_break_is_forgiveness() -> None:
    """The next one is a first one."""
    long = LONGEST_HOLD_DOWN + FORGIVEN * FIRST
    assert _broke(1000.0, 1000.0 + long).count == 2
    assert _broke(1000.0, 1001.0 + long).count == 1


def test_none_at_all_is_possible() -> None:
    """health.hold_down at its least is no doubling of nothing."""
    assert FlapDamping().record_break(5.0, 0.0).until(0.0) == 5.0
