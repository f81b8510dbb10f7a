"""The places where nameservers are named: whatever stands there, candidates in order."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core import candidates
from dnsguard.core.candidates import NotedFile
from dnsguard.core.model import Source
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.formats.nameservers import NamedServers
from dnsguard.host.places import PLACES, SourceSpec

ADDRESSES = st.sampled_from(
    [ip_address(text) for text in ("10.0.0.2", "10.0.0.3", "169.254.25.10", "fe80::1", "::")]
)
SERVERS: st.SearchStrategy[tuple[IPAddress, ...]] = st.lists(ADDRESSES, max_size=3).map(tuple)
INTERFACES = st.sampled_from([None, "eth0", "eth1", "a b", ""])
NOW = 1e9


@pytest.mark.parametrize("place", PLACES)
def test_any_bytes_are_notes(place: SourceSpec) -> None:
    """Of a file of any kind, with as many bytes as are read of it; and always the same."""

    @given(st.binary(max_size=300), st.booleans())
    def check(content: bytes, is_long: bool) -> None:  # noqa: FBT001
        text = (content * place.limit)[: place.limit] if is_long else content
        said = place.read(text)
        assert said == place.read(text)
        assert all(note.nameservers or note.lease for note in said.notes)

    check()


def _named_by(lease: Lease, interface: str | None) -> NamedServers:
    return NamedServers(
        nameservers=lease.nameservers, interface=interface, line=lease.line, lease=lease
    )


@st.composite
def _files(draw: st.DrawFn) -> NotedFile:
    leases = st.builds(
        Lease,
        version=st.sampled_from([4, 6]),
        line=st.integers(1, 9),
        nameservers=SERVERS,
        routers=SERVERS,
        server=st.none() | ADDRESSES,
        expires=st.sampled_from([None, NOW - 1, NOW + 1]),
        is_released=st.booleans(),
    )
    plain = st.builds(
        NamedServers, nameservers=SERVERS, interface=INTERFACES, tier=st.integers(0, 1)
    )
    leased = st.builds(
        _named_by,
        leases,
        INTERFACES,
    )
    return NotedFile(
        path=draw(st.sampled_from(["/a", "/b"])),
        source=draw(st.sampled_from([Source.LEASE, Source.BACKUP, Source.NETWORKD])),
        tier=draw(st.integers(0, 2)),
        seen=draw(st.sampled_from([NOW - 9, NOW])),
        interface=draw(INTERFACES),
        notes=tuple(draw(st.lists(st.one_of(plain, leased), max_size=6))),
    )


@given(st.lists(_files(), max_size=4), st.none() | st.just(frozenset({"eth0"})))
def test_all_that_is_named_is_a_candidate_in_order(
    files: list[NotedFile], interfaces: frozenset[str] | None
) -> None:
    """None is lost, none doubled; what is over stands behind what is in force."""
    leases = candidates.find_leased(files, NOW, interfaces)
    found = candidates.in_order(candidates.candidates(files, leases))
    assert list(found) == sorted(found, key=lambda one: one.rank)
    assert len({(one.address, one.source, one.tier, one.origin) for one in found}) == len(found)
    for file in files:
        named = {(file.source, str(one)) for note in file.notes for one in note.nameservers}
        assert named <= {(one.source, str(one.address).partition("%")[0]) for one in found}
    for lease in candidates.find_current(leases):
        assert lease.interface
