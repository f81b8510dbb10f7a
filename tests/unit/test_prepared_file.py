"""The prepared file: the repair of a known poison, one rename away."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnsguard import config
from dnsguard.formats import guarded_resolvconf
from dnsguard.guard import Guard
from dnsguard.paths import Paths
from dnsguard.reporting.events import Event

POISON = b"search cluster.local\nnameserver 169.254.25.10\n"
ALIKE = b"options ndots:2\nnameserver 169.254.25.10\n"
LONGER = POISON + b"# 1\n" * 50
SHORTER = b"nameserver 169.254.25.10"
SERVER = ip_address("192.0.2.53")


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """Yield a guard that has repaired POISON once, with the file prepared."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_bytes(POISON)
    (tmp_path / "etc/resolv.conf.bak").write_bytes(b"nameserver 192.0.2.53\n")
    paths = Paths(tmp_path)
    guard = Guard(paths, config.load(paths.config).policy, _ignore)
    guard.refresh()
    guard.look()
    guard.apply_deferred()
    _prepare(guard)
    yield guard
    guard.file.prepared.discard()


def _ignore(_: Event) -> None: ...


def _prepare(guard: Guard) -> None:
    assert guard.plan is not None
    assert guard.plan.prepared is not None
    assert guard.file.prepared.prepare(guard.plan.prepared)
    guard.file.prepared.repair = guard.plan.prepared


def _write(guard: Guard, text: bytes) -> None:
    guard.paths.resolv_conf.write_bytes(text)


def test_the_known_poison_is_replaced_by_what_the_decision_would_write(guard: Guard) -> None:
    """It leaves the very file that the first, decided repair left."""
    repaired = guard.paths.resolv_conf.read_bytes()
    _write(guard, POISON)
    assert guard.apply_prepared()
    guard.account_for_repair()
    assert guard.paths.resolv_conf.read_bytes() == repaired
    assert guard.memory.tramples.count == 1
    guard.look()
    assert guard.paths.resolv_conf.read_bytes() == repaired
    assert guard.memory.tramples.count == 1


@pytest.mark.parametrize("text", [ALIKE, LONGER, SHORTER], ids=["alike", "longer", "shorter"])
def test_a_text_with_the_same_servers_gets_what_the_decision_would_write(
    guard: Guard, text: bytes
) -> None:
    """Its other lines stay, byte for byte, and it is kept as what somebody else wrote last."""
    _write(guard, text)
    assert guard.apply_prepared()
    struck = guard.paths.resolv_conf.read_bytes()
    guard.account_for_repair()
    assert struck == guarded_resolvconf.guard(text, (SERVER,))
    assert guard.memory.foreign == text
    guard.look()
    assert guard.paths.resolv_conf.read_bytes() == struck


@pytest.mark.parametrize(
    "text",
    [
        ALIKE.replace(b"10\n", b"10\nnameserver 192.0.2.9\n"),
        ALIKE.replace(b"nameserver 169", b"\tnameserver 169"),
        ALIKE.replace(b"254.25.10", b"254.25.100"),
        guarded_resolvconf.guard(ALIKE, ()),
    ],
    ids=["another-server", "indented", "a-longer-address", "held-back-by-us"],
)
def test_any_other_text_is_left_to_the_decision(guard: Guard, text: bytes) -> None:
    """Who is named decides who is written; nothing of ours is guarded twice."""
    _write(guard, text)
    assert not guard.apply_prepared()
    assert guard.paths.resolv_conf.read_bytes() == text


def test_the_file_that_is_put_in_place_has_a_later_time_than_the_poison(guard: Guard) -> None:
    """Go's reader takes a file with the same one for the same file."""
    _write(guard, ALIKE)
    poisoned_at = guard.paths.resolv_conf.stat().st_mtime_ns
    assert guard.apply_prepared()
    assert guard.paths.resolv_conf.stat().st_mtime_ns > poisoned_at


def test_a_file_that_is_being_written_is_not_struck(guard: Guard) -> None:
    """The writer finishes first: the rest of its text would go to a dead inode."""
    with guard.paths.resolv_conf.open("wb") as file:
        file.write(POISON)
        file.flush()
        assert not guard.apply_prepared()


def test_a_fight_takes_the_file_away(guard: Guard) -> None:
    """Strikes count as repairs, so a program that never stops is slowed down."""
    for _ in range(30):
        _write(guard, POISON)
        if not guard.apply_prepared():
            break
        guard.account_for_repair()
        assert guard.plan is not None
        if guard.plan.prepared is not None:
            _prepare(guard)
    assert guard.memory.fight.delay > 0


def test_nothing_of_ours_stays_beside_the_file(guard: Guard) -> None:
    """The end of the daemon removes the file."""
    guard.shut_down()
    names = {path.name for path in guard.paths.resolv_conf.parent.iterdir()}
    assert names == {"resolv.conf", "resolv.conf.bak"}
