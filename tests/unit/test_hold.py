"""What an operator pins: how it is asked for, kept, and when it is over."""

import math

import pytest

from dnsguard.core.hold import Hold, Serves, active_hold
from dnsguard.host.hold import MOST_NAME, dump, from_request, load, name

HOLD = Hold(serves=Serves.NODELOCAL, by="alice", since=10.0, until=1810.0)


def test_it_is_over_when_its_time_is_up() -> None:
    """And not before; one without an end never is."""
    assert active_hold(HOLD, 1809.9) is HOLD
    assert active_hold(HOLD, 1810.0) is None
    assert active_hold(None, 0.0) is None
    assert active_hold(Hold(serves=Serves.UPSTREAM, by="x", since=0.0), 1e12) is not None


@pytest.mark.parametrize("until", [1810.0, math.inf])
def test_what_is_kept_is_read_back(until: float) -> None:
    """Across a restart of the daemon."""
    hold = Hold(serves=Serves.UPSTREAM, by="bob", since=10.0, until=until)
    assert load(dump(hold)) == hold


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 5000,
        b'{"version": 2}',
        dump(HOLD).replace(b"nodelocal", b"both"),
        dump(HOLD).replace(b"1810.0", b'"soon"'),
        dump(HOLD).replace(b"1810.0", b"NaN"),
        dump(HOLD).replace(b"1810.0", b"true"),
        dump(HOLD).replace(b"1810.0", b"1" + b"0" * 400),
        dump(HOLD).replace(b"1810.0", b"1" + b"0" * 5000),
        dump(HOLD).replace(b"10.0", b"null", 1),
    ],
)
def test_a_damaged_one_is_refused(content: bytes) -> None:
    """Nothing is held by accident."""
    with pytest.raises(ValueError, match="no hold can be read"):
        load(content)


def test_a_request() -> None:
    """Who, what, how long."""
    wish = {"serves": "nodelocal", "seconds": 1800, "by": "alice"}
    assert from_request(wish, 10.0) == HOLD
    assert from_request({"serves": "upstream"}, 10.0).until == math.inf


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"serves": "both"},
        {"serves": ["upstream"]},
        {"serves": "upstream", "seconds": 0},
        {"serves": "upstream", "seconds": -1},
        {"serves": "upstream", "seconds": "30m"},
        {"serves": "upstream", "seconds": math.nan},
        {"serves": "upstream", "seconds": True},
        {"serves": "upstream", "seconds": 10**400},
    ],
)
def test_nonsense_is_refused(wish: dict[str, object]) -> None:
    """The socket's client is not the only one that can talk to it."""
    with pytest.raises(ValueError, match=r"."):
        from_request(wish, 10.0)


def test_a_name_is_one_short_line() -> None:
    """It is shown on terminals and in the journal."""
    assert name("al\x1bice\n ") == "alice"
    assert name(None) == name("") == "root"
    assert len(name("x" * 1000)) == MOST_NAME
