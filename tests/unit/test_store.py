"""What outlives the daemon."""

import json
import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnsguard.core.model import Candidate, Source
from dnsguard.core.plan import Remember
from dnsguard.host.atomic import write
from dnsguard.host.store import VERSION, dump, load, set_aside

KNOWN = (
    Candidate(address=ip_address("10.0.0.2"), source=Source.REMEMBERED, origin="a lease", seen=1.5),
    Candidate(address=ip_address("fe80::1%eth0"), source=Source.REMEMBERED, origin="ü", seen=2.0),
)

CLUSTER_DNS = ip_address("10.233.10.10")
KEPT = Remember(
    candidates=KNOWN,
    cluster_resolvers={CLUSTER_DNS: 3.5},
    kubernetes=frozenset({ip_address("10.233.0.1")}),
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def test_what_was_written_is_read(state: Path) -> None:
    """Addresses, origins and times, and the foreign file byte for byte."""
    write(state, dump(KEPT))
    foreign = state.with_name("foreign")
    write(foreign, b"search x\r\n\xff\0")
    found = load(state, foreign)
    assert (found.remembered, found.foreign, found.complaint) == (
        KNOWN,
        b"search x\r\n\xff\0",
        None,
    )
    assert (found.convicts, found.kubernetes) == (KEPT.cluster_resolvers, KEPT.kubernetes)


@pytest.mark.parametrize("version", [1, 2])
def test_an_earlier_state_is_taken_over(state: Path, version: int) -> None:
    """What was learned before cluster DNS was remembered is not lost with an upgrade."""
    state.write_bytes(json.dumps({"version": version, "remembered": [_entry()]}).encode())
    found = load(state, state.with_name("foreign"))
    assert (len(found.remembered), found.convicts, found.complaint) == (1, {}, None)


def test_the_first_start_complains_of_nothing(state: Path) -> None:
    """No state is no damage."""
    found = load(state, state.with_name("foreign"))
    assert (found.remembered, found.foreign, found.complaint) == ((), None, None)


def _entry(**other: object) -> dict[str, object]:
    return {"address": "10.0.0.2", "origin": "x", "seen": 1.0} | other


def _state(**other: object) -> bytes:
    state = {"version": VERSION, "remembered": [_entry()], "cluster_dns": [], "kubernetes": []}
    return json.dumps(state | other).encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_state(version=VERSION + 1), id="from the future"),
        pytest.param(_state(version="1"), id="a version that is no number"),
        pytest.param(dump(KEPT)[:-10], id="truncated"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 512, id="zeroes, as after a power cut"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no version"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"9" * 5000, id="a number too long for Python"),
        pytest.param(_state(remembered=[_entry(seen=10**400)]), id="a number no float holds"),
        pytest.param(_state(version=10**400), id="a version of 400 digits"),
        pytest.param(_state(remembered=[_entry(seen=[] * 5000)]), id="a list for a time"),
        pytest.param(_state() + b" " * (1 << 18), id="longer than any"),
        pytest.param(_state(remembered=None), id="no list"),
        pytest.param(
            _state(cluster_dns=[{"address": "10.0.0.2"}]), id="cluster DNS without a time"
        ),
        pytest.param(_state(kubernetes=["x"]), id="no service address"),
        pytest.param(_state(remembered=[1]), id="no entry"),
        pytest.param(_state(remembered=[{}]), id="an entry without keys"),
        pytest.param(_state(remembered=[_entry(address="10.0.0")]), id="no address"),
        pytest.param(_state(remembered=[_entry(address=167772162)]), id="an address as a number"),
        pytest.param(_state(remembered=[_entry(seen="yesterday")]), id="no time"),
        pytest.param(_state(remembered=[_entry(seen=None)]), id="null for a time"),
    ],
)
def test_a_damaged_state_is_said_and_left(state: Path, content: bytes) -> None:
    """One line that names the file; the daemon starts with nothing remembered."""
    state.write_bytes(content)
    found = load(state, state.with_name("foreign"))
    assert found.remembered == ()
    assert found.complaint is not None
    assert found.complaint.startswith(f"{state}: ")
    assert "\n" not in found.complaint
    assert state.read_bytes() == content


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("/dev/zero"),
    ],
)
def test_a_state_that_is_no_file_is_said(state: Path, make: Callable[[Path], None]) -> None:
    """A directory, a FIFO, a loop of links, a device: the same, and nothing waits for it."""
    make(state)
    found = load(state, state.with_name("foreign"))
    assert found.complaint is not None


def test_a_damaged_state_does_not_cost_the_foreign_file(state: Path) -> None:
    """Each is read for itself."""
    state.write_bytes(b"damaged")
    foreign = state.with_name("foreign")
    foreign.write_bytes(b"search x\n")
    assert load(state, foreign).foreign == b"search x\n"


def test_it_is_set_aside_before_it_is_written_anew(state: Path) -> None:
    """A later version's state is not destroyed by an earlier one's."""
    state.write_bytes(b"from the future")
    aside = set_aside(state)
    assert aside == state.with_name("state.json.unreadable")
    assert aside.read_bytes() == b"from the future"
    assert not state.exists()
    assert set_aside(state) is None


def test_writing_leaves_one_file(state: Path) -> None:
    """The directory is made, the old file replaced in one step, nothing left beside it."""
    path = state.parent / "var" / "lib" / "state.json"
    write(path, b"one")
    before = path.stat().st_ino
    write(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_ino != before
    assert os.listdir(path.parent) == ["state.json"]  # noqa: PTH208 -- names, not paths
