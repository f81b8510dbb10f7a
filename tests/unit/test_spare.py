"""The spare: the remedy for a known poison, one rename away."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnsguard import config
from dnsguard.formats.resolvconf import guard
from dnsguard.guard import Guard
from dnsguard.paths import Paths
from dnsguard.reporting.events import Event

POISON = b"search cluster.local\nnameserver 169.254.25.10\n"
ALIKE = b"options ndots:2\nnameserver 169.254.25.10\n"
LONGER = POISON + b"# 1\n" * 50
SHORTER = b"nameserver 169.254.25.10"
SERVER = ip_address("192.0.2.53")


@pytest.fixture
def cycle(tmp_path: Path) -> Iterator[Guard]:
    """Yield a guard that has repaired POISON once, with the spare laid ready."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_bytes(POISON)
    (tmp_path / "etc/resolv.conf.bak").write_bytes(b"nameserver 192.0.2.53\n")
    paths = Paths(tmp_path)
    cycle = Guard(paths, config.load(paths.config).policy, _ignore)
    cycle.refresh()
    cycle.look()
    cycle.apply_deferred()
    _lay_ready(cycle)
    yield cycle
    cycle.prepared.discard()


def _ignore(_: Event) -> None: ...


def _lay_ready(cycle: Guard) -> None:
    assert cycle.plan is not None
    assert cycle.plan.prepared is not None
    assert cycle.prepared.prepare(cycle.plan.prepared)
    cycle.prepared.repair = cycle.plan.prepared


def _write(cycle: Guard, text: bytes) -> None:
    cycle.paths.resolv_conf.write_bytes(text)


def test_the_known_poison_is_replaced_by_what_the_decision_would_write(cycle: Guard) -> None:
    """A strike leaves the very file that the first, decided repair left."""
    repaired = cycle.paths.resolv_conf.read_bytes()
    _write(cycle, POISON)
    assert cycle.apply_prepared()
    cycle.account_for_repair()
    assert cycle.paths.resolv_conf.read_bytes() == repaired
    assert cycle.memory.tramples.count == 1
    cycle.look()
    assert cycle.paths.resolv_conf.read_bytes() == repaired
    assert cycle.memory.tramples.count == 1


@pytest.mark.parametrize("text", [ALIKE, LONGER, SHORTER], ids=["alike", "longer", "shorter"])
def test_a_text_with_the_same_servers_gets_what_the_decision_would_write(
    cycle: Guard, text: bytes
) -> None:
    """Its other lines stay, byte for byte, and it is kept as what somebody else wrote last."""
    _write(cycle, text)
    assert cycle.apply_prepared()
    struck = cycle.paths.resolv_conf.read_bytes()
    cycle.account_for_repair()
    assert struck == guard(text, (SERVER,))
    assert cycle.memory.foreign == text
    cycle.look()
    assert cycle.paths.resolv_conf.read_bytes() == struck


@pytest.mark.parametrize(
    "text",
    [
        ALIKE.replace(b"10\n", b"10\nnameserver 192.0.2.9\n"),
        ALIKE.replace(b"nameserver 169", b"\tnameserver 169"),
        ALIKE.replace(b"254.25.10", b"254.25.100"),
        guard(ALIKE, ()),
    ],
    ids=["another-server", "indented", "a-longer-address", "held-back-by-us"],
)
def test_any_other_text_is_left_to_the_decision(cycle: Guard, text: bytes) -> None:
    """Who is named decides who is written; nothing of ours is guarded twice."""
    _write(cycle, text)
    assert not cycle.apply_prepared()
    assert cycle.paths.resolv_conf.read_bytes() == text


def test_the_spare_that_is_put_in_place_has_a_later_time_than_the_poison(cycle: Guard) -> None:
    """Go's reader takes a file with the same one for the same file."""
    _write(cycle, ALIKE)
    poisoned_at = cycle.paths.resolv_conf.stat().st_mtime_ns
    assert cycle.apply_prepared()
    assert cycle.paths.resolv_conf.stat().st_mtime_ns > poisoned_at


def test_a_file_that_is_being_written_is_not_struck(cycle: Guard) -> None:
    """The writer finishes first: the rest of its text would go to a dead inode."""
    with cycle.paths.resolv_conf.open("wb") as file:
        file.write(POISON)
        file.flush()
        assert not cycle.apply_prepared()


def test_a_fight_takes_the_spare_away(cycle: Guard) -> None:
    """Strikes count as repairs, so a program that never stops is slowed down."""
    for _ in range(30):
        _write(cycle, POISON)
        if not cycle.apply_prepared():
            break
        cycle.account_for_repair()
        assert cycle.plan is not None
        if cycle.plan.prepared is not None:
            _lay_ready(cycle)
    assert cycle.memory.fight.delay > 0


def test_nothing_of_ours_stays_beside_the_file(cycle: Guard) -> None:
    """Standing down removes the spare."""
    cycle.shut_down()
    names = {path.name for path in cycle.paths.resolv_conf.parent.iterdir()}
    assert names == {"resolv.conf", "resolv.conf.bak"}
