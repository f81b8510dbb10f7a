"""The spare: the remedy for a known poison, one rename away."""

from pathlib import Path

import pytest

from dnsguard import config
from dnsguard.core.event import Event
from dnsguard.cycle import Cycle
from dnsguard.paths import Paths

POISON = b"search cluster.local\nnameserver 169.254.25.10\n"
OTHER_POISON = b"options ndots:2\nnameserver 169.254.25.10\n"


@pytest.fixture
def cycle(tmp_path: Path) -> Cycle:
    """Return a guard that has repaired POISON once, with the spare laid ready."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_bytes(POISON)
    (tmp_path / "etc/resolv.conf.bak").write_bytes(b"nameserver 192.0.2.53\n")
    paths = Paths(tmp_path)
    cycle = Cycle(paths, config.load(paths.config).policy, _ignore)
    cycle.refresh()
    cycle.look()
    cycle.settle()
    _lay_ready(cycle)
    return cycle


def _ignore(_: Event) -> None: ...


def _lay_ready(cycle: Cycle) -> None:
    assert cycle.plan is not None
    assert cycle.plan.remedy is not None
    assert cycle.spare.prepare(cycle.plan.remedy)
    cycle.spare.remedy = cycle.plan.remedy


def _write(cycle: Cycle, text: bytes) -> None:
    cycle.paths.resolv_conf.write_bytes(text)


def test_the_known_poison_is_replaced_by_what_the_decision_would_write(cycle: Cycle) -> None:
    """A strike leaves the very file that the first, decided repair left."""
    repaired = cycle.paths.resolv_conf.read_bytes()
    _write(cycle, POISON)
    assert cycle.strike()
    cycle.reckon()
    assert cycle.paths.resolv_conf.read_bytes() == repaired
    assert cycle.memory.tramples.count == 1
    cycle.look()
    assert cycle.paths.resolv_conf.read_bytes() == repaired
    assert cycle.memory.tramples.count == 1


def test_any_other_text_is_left_to_the_decision(cycle: Cycle) -> None:
    """A strike never drops a line that the prepared text does not have."""
    _write(cycle, OTHER_POISON)
    assert not cycle.strike()
    assert cycle.paths.resolv_conf.read_bytes() == OTHER_POISON
    cycle.look()
    assert b"options ndots:2" in cycle.paths.resolv_conf.read_bytes()
    assert b"\nnameserver 169.254.25.10" not in cycle.paths.resolv_conf.read_bytes()


def test_a_file_that_is_being_written_is_not_struck(cycle: Cycle) -> None:
    """The writer finishes first: the rest of its text would go to a dead inode."""
    with cycle.paths.resolv_conf.open("wb") as file:
        file.write(POISON)
        file.flush()
        assert not cycle.strike()


def test_a_fight_takes_the_spare_away(cycle: Cycle) -> None:
    """Strikes count as repairs, so a program that never stops is slowed down."""
    for _ in range(30):
        _write(cycle, POISON)
        if not cycle.strike():
            break
        cycle.reckon()
        assert cycle.plan is not None
        if cycle.plan.remedy is not None:
            _lay_ready(cycle)
    assert cycle.memory.fight.delay > 0


def test_nothing_of_ours_stays_beside_the_file(cycle: Cycle) -> None:
    """Standing down removes the spare."""
    cycle.stand_down()
    names = {path.name for path in cycle.paths.resolv_conf.parent.iterdir()}
    assert names == {"resolv.conf", "resolv.conf.bak"}
