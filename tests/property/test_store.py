"""The state on the disk: what is written comes back, and damage is only that."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.model import Candidate, Source
from dnsguard.core.plan import Remember
from dnsguard.host.store import VERSION, dump, load
from property.text import ADDRESSES


def _in_seconds(milliseconds: int) -> float:
    return milliseconds / 1000


_CANDIDATES: st.SearchStrategy[tuple[Candidate, ...]] = st.lists(
    st.builds(
        Candidate,
        address=st.sampled_from(ADDRESSES),
        source=st.just(Source.REMEMBERED),
        origin=st.text(),
        seen=st.integers(0, 4_000_000_000_000).map(_in_seconds),
    )
).map(tuple)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@contextmanager
def _files(state: bytes, foreign: bytes) -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as directory:
        paths = Path(directory, "state.json"), Path(directory, "foreign")
        for path, content in zip(paths, (state, foreign), strict=True):
            path.write_bytes(content)
        yield paths


@given(_CANDIDATES, st.binary(max_size=100))
def test_what_is_written_is_read(candidates: tuple[Candidate, ...], foreign: bytes) -> None:
    """Addresses with their zones, origins in any script, times to the millisecond."""
    with _files(dump(Remember(candidates=candidates)), foreign) as paths:
        found = load(*paths)
    assert found.complaint is None
    assert found.foreign == foreign
    assert [(c.address, c.source, c.origin) for c in found.remembered] == [
        (c.address, c.source, c.origin) for c in candidates
    ]
    assert all(
        abs(a.seen - b.seen) < 0.001 for a, b in zip(found.remembered, candidates, strict=True)
    )


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_read_or_complained_of(noise: bytes, at: int) -> None:
    """A damaged state costs what it held, and never the daemon."""
    known = Candidate(address=ADDRESSES[0], source=Source.REMEMBERED, origin="here", seen=1.0)
    convicts = {ADDRESSES[1]: 1.0}
    whole = dump(
        Remember(candidates=(known,), cluster_resolvers=convicts, kubernetes=frozenset(convicts))
    )
    for content in (noise, whole[:at], whole[:at] + noise, whole[:at] + noise + whole[at:]):
        with _files(content, noise) as paths:
            found = load(*paths)
        assert (found.complaint is None) or (found.remembered == ())


@given(_JSON, _JSON, _JSON)
def test_any_json_is_read_or_complained_of(address: object, origin: object, seen: object) -> None:
    """Every type in every place, infinities included."""
    entry = {"address": address, "origin": origin, "seen": seen}
    whole: dict[str, object] = {
        "version": VERSION,
        "remembered": [entry],
        "cluster_dns": [entry],
        "kubernetes": [address],
    }
    for state in (entry, [entry], whole, {"version": entry}):
        with _files(json.dumps(state).encode(), b"") as paths:
            found = load(*paths)
        assert (found.complaint is None) or (found.remembered == ())
        dump(Remember(candidates=found.remembered, cluster_resolvers=found.convicts))
