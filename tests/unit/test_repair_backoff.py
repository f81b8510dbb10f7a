"""A program that keeps rewriting the file."""

from itertools import pairwise

import pytest

from dnsguard.core.backoff import (
    BURST,
    LONGEST_DELAY,
    QUIET_TIMES,
    SHORTEST_DELAY,
    WINDOW,
    RepairBackoff,
)


def _repair(
    fight: RepairBackoff, *, every: float, times: int, start: float = 100.0
) -> tuple[RepairBackoff, list[float]]:
    """Repair whenever somebody tramples, as soon as the fight allows it."""
    now, made = start, []
    for _ in range(times):
        now = max(now + every, fight.until)
        assert now >= fight.until
        fight = fight.record_repair(now)
        made.append(now)
    return fight, made


def test_some_repairs_are_made_at_once() -> None:
    """Twenty in a second cost nothing worth sparing."""
    fight, made = _repair(RepairBackoff(), every=0.001, times=BURST)
    assert fight.delay == 0.0
    assert made[-1] >= fight.until


def test_more_earn_a_delay_that_doubles_up_to_its_limit() -> None:
    """Each round wakes both programs, so the rounds become rare, but never end."""
    _, made = _repair(RepairBackoff(), every=0.001, times=BURST + 12)
    gaps = [later - earlier for earlier, later in pairwise(made)][BURST:]
    expected = [min(LONGEST_DELAY, SHORTEST_DELAY * 2**turn) for turn in range(len(gaps))]
    assert gaps == pytest.approx(expected)
    assert gaps[-1] == LONGEST_DELAY


def test_a_slow_program_is_always_met_at_once() -> None:
    """A write every 100 ms is no fight."""
    fight, _ = _repair(RepairBackoff(), every=0.1, times=1000)
    assert fight.delay == 0.0


def test_quiet_ends_the_fight() -> None:
    """After four delays without a repair the next one is made at once again."""
    fight, made = _repair(RepairBackoff(), every=0.001, times=BURST + 4)
    quiet = max(WINDOW, QUIET_TIMES * fight.delay)
    still = fight.record_repair(made[-1] + quiet - 0.01)
    over = fight.record_repair(made[-1] + quiet + 0.01)
    assert still.delay == 2 * fight.delay
    assert over.delay == 0.0


def test_quiet_ends_it_without_another_repair() -> None:
    """A node stayed DEGRADED for good after one burst, until it was trampled again."""
    fight, made = _repair(RepairBackoff(), every=0.001, times=BURST + 4)
    quiet = max(WINDOW, QUIET_TIMES * fight.delay)
    assert fight.delay_at(made[-1] + quiet - 0.01) == fight.delay
    assert fight.delay_at(made[-1] + quiet + 0.01) == 0.0


def test_the_memory_of_it_is_short() -> None:
    """What is remembered is bounded by the window, however long the fight."""
    fight, _ = _repair(RepairBackoff(), every=0.01, times=5000)
    assert len(fight.repairs) <= WINDOW / 0.01 + 1
