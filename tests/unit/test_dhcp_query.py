"""When a DHCP server is asked, and what its answer becomes."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core import dhcp_query
from dnsguard.core.answers import Outcome
from dnsguard.core.dhcp_query import FIRST, LONGEST, LOST, DhcpQueryRecord, DueQueries, Informs
from dnsguard.core.model import CurrentLease, Source
from dnsguard.core.observation import DhcpAnswer
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhcp import Reply

NODELOCAL, REAL, ADDRESS = map(ip_address, ("169.254.25.10", "10.0.0.53", "10.0.0.5"))
SERVER = IPv4Address("10.0.0.1")
CLUSTER = frozenset({NODELOCAL})
POISONED = CurrentLease(
    interface="eth0",
    address=ADDRESS,
    nameservers=(NODELOCAL,),
    servers=frozenset({SERVER}),
    origin="/var/lib/dhcp/dhclient.eth0.leases",
)
HONEST = replace(POISONED, nameservers=(REAL,))
NOW, WALL = 1000.0, 1.7e9


def due(
    memory: Informs,
    *leases: CurrentLease,
    now: float = NOW,
    bound: frozenset[IPAddress] | None = None,
    is_stranded: bool = False,
) -> tuple[Informs, DueQueries]:
    return dhcp_query.find_due(
        memory, leases, now, cluster=CLUSTER, bound=bound, is_stranded=is_stranded
    )


def answer(lease: CurrentLease = POISONED, *nameservers: str, at: float = NOW) -> DhcpAnswer:
    """Return that the server names these, without any that none answers."""
    addresses = tuple(map(IPv4Address, nameservers))
    return DhcpAnswer(
        lease=lease,
        outcome=Outcome.ANSWERED if addresses else Outcome.TIMED_OUT,
        detail="",
        at=at,
        reply=Reply(nameservers=addresses, server=SERVER) if addresses else None,
    )


@pytest.mark.parametrize("outcome", [answer(POISONED, "10.0.0.53"), answer(POISONED)])
def test_a_poisoned_lease_is_asked_about_at_once_and_once(outcome: DhcpAnswer) -> None:
    """Also where something else answers; and never again, whatever came of it."""
    memory, asked = due({}, POISONED)
    assert asked == DueQueries(now=(POISONED,), next_at=NOW + LOST)
    memory = dhcp_query.apply_answer(memory, outcome, WALL)
    _, asked = due(memory, POISONED, now=NOW + 1e6)
    assert asked == DueQueries(now=(), next_at=float("inf"))


def test_an_honest_lease_is_not_asked_about() -> None:
    """What works needs no question."""
    _, asked = due({}, HONEST)
    assert asked == DueQueries(now=(), next_at=float("inf"))


def test_without_a_lease_nobody_is_asked() -> None:
    """However badly an answer is needed."""
    _, asked = due({}, is_stranded=True)
    assert asked == DueQueries(now=(), next_at=float("inf"))


def test_a_stranded_node_asks_less_and_less_often() -> None:
    """On every lease's interface: at once, then after 1, 2, 4 ... and at last 300 s."""
    memory: Informs = {}
    now, waited = NOW, []
    for _ in range(12):
        memory, asked = due(memory, HONEST, now=now, is_stranded=True)
        assert asked.now == (HONEST,)
        memory = dhcp_query.apply_answer(memory, answer(HONEST), WALL)
        _, asked = due(memory, HONEST, now=now, is_stranded=True)
        assert not asked.now
        waited.append(asked.next_at - now)
        now = asked.next_at
    assert waited == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


@pytest.mark.parametrize("is_stranded", [True, False])
def test_a_lease_of_the_last_boot_waits_for_its_interface(*, is_stranded: bool) -> None:
    """No try is wasted before dhclient has put the address there, so the first comes at once."""
    memory, asked = due({}, POISONED, bound=frozenset({NODELOCAL}), is_stranded=is_stranded)
    assert asked == DueQueries(now=(), next_at=float("inf"))
    bound = frozenset({NODELOCAL, ADDRESS})
    _, asked = due(memory, POISONED, bound=bound, is_stranded=is_stranded)
    assert asked.now == (POISONED,)
    addressless = replace(POISONED, address=None)
    assert due({}, addressless, bound=bound)[1].now == (addressless,)


def test_a_question_that_never_went_out_is_asked_again() -> None:
    """The kernel would not send it: later it may."""
    memory, _ = due({}, POISONED)
    failed = replace(answer(POISONED), outcome=Outcome.UNREACHABLE)
    memory = dhcp_query.apply_answer(memory, failed, WALL)
    memory, asked = due(memory, POISONED)
    assert asked == DueQueries(now=(), next_at=NOW + FIRST)
    memory, asked = due(memory, POISONED, now=NOW + FIRST)
    assert asked.now == (POISONED,)
    memory = dhcp_query.apply_answer(memory, failed, WALL)
    assert due(memory, POISONED, now=NOW + FIRST)[1].next_at == NOW + FIRST + 2


def test_a_new_lease_is_a_new_beginning() -> None:
    """Another address or other nameservers: the back-off and the answer are gone."""
    memory: Informs = {"eth0": DhcpQueryRecord(lease=HONEST, asked_at=NOW, tries=9)}
    for changed in (POISONED, replace(HONEST, address=ip_address("10.0.0.6"))):
        _, asked = due(memory, changed, now=NOW + 1, is_stranded=True)
        assert asked.now == (changed,)
    renewed = replace(HONEST, servers=frozenset({SERVER, REAL}), origin="elsewhere")
    _, asked = due(memory, renewed, now=NOW + 1, is_stranded=True)
    assert asked.now == ()


def test_a_renewal_of_a_poisoned_lease_is_asked_about_once_more() -> None:
    """It may have brought another server; the old one counts until the answer.

    However fast renewals follow each other, each is asked about.
    """
    memory: Informs = {}
    for number in range(20):
        lease = replace(POISONED, expires=WALL + number)
        memory, asked = due(memory, lease, now=NOW + number)
        assert asked.now == (lease,)
        memory = dhcp_query.apply_answer(memory, answer(lease, f"10.0.1.{number}"), WALL)
        again, asked = due(memory, lease, now=NOW + number + 0.5)
        assert (again, asked.now) == (memory, ())
    memory, _ = due(memory, replace(POISONED, expires=WALL + 99), now=NOW + 99)
    assert [str(one.address) for one in dhcp_query.candidates(memory)] == ["10.0.1.19"]
    honest, _ = due({}, replace(HONEST, expires=WALL))
    assert due(honest, replace(HONEST, expires=WALL + 9))[1].now == ()


def test_a_long_rest_begins_a_new_row() -> None:
    """The next failure of all upstreams is not answered with a 300 s wait."""
    memory: Informs = {"eth0": DhcpQueryRecord(lease=HONEST, asked_at=NOW, tries=9)}
    memory, _ = due(memory, HONEST, now=NOW + 10_000, is_stranded=True)
    memory = dhcp_query.apply_answer(memory, answer(HONEST), WALL)
    _, asked = due(memory, HONEST, now=NOW + 10_000, is_stranded=True)
    assert asked.next_at == NOW + 10_000 + FIRST


def test_a_lost_answer_is_asked_for_again() -> None:
    """Even if nobody ever says what came of the question."""
    memory, _ = due({}, POISONED)
    assert due(memory, POISONED, now=NOW + LOST - 0.1)[1] == DueQueries(now=(), next_at=NOW + LOST)
    assert due(memory, POISONED, now=NOW + LOST)[1].now == (POISONED,)
    late: Informs = {"eth0": DhcpQueryRecord(lease=POISONED, asked_at=NOW, tries=9, waiting=True)}
    assert due(late, POISONED, now=NOW + LOST)[1].next_at == NOW + 256


def test_an_answer_becomes_candidates() -> None:
    """In the server's order, until a newer answer or another lease."""
    memory, _ = due({}, POISONED)
    assert dhcp_query.candidates(memory) == ()
    memory = dhcp_query.apply_answer(memory, answer(POISONED, "10.0.0.53", "10.0.0.54"), WALL)
    first, second = dhcp_query.candidates(memory)
    assert (str(first.address), str(second.address)) == ("10.0.0.53", "10.0.0.54")
    assert (first.source, first.interface, first.seen) == (Source.INFORM, "eth0", WALL)
    assert first.origin == "DHCP server 10.0.0.1 asked on eth0"
    memory = dhcp_query.apply_answer(memory, answer(POISONED), WALL + 1)
    assert dhcp_query.candidates(memory) == (first, second)
    memory = dhcp_query.apply_answer(memory, answer(POISONED, "10.0.0.55"), WALL + 2)
    assert [str(one.address) for one in dhcp_query.candidates(memory)] == ["10.0.0.55"]
    for leases in ((), (HONEST,)):
        assert dhcp_query.candidates(due(memory, *leases)[0]) == ()


def test_an_answer_about_another_lease_counts_for_nothing() -> None:
    """It was of another network, it may be; the question about this one is still open."""
    memory, _ = due({}, POISONED)
    assert dhcp_query.apply_answer(memory, answer(HONEST, "10.0.0.53"), WALL) == memory
    other = replace(POISONED, interface="eth1")
    assert dhcp_query.apply_answer(memory, answer(other, "10.0.0.53"), WALL) == memory


def test_interfaces_do_not_mix() -> None:
    """Each has its own back-off and its own answer; the first lease of an interface counts."""
    other = replace(POISONED, interface="eth1")
    memory, asked = due({}, POISONED, other, HONEST)
    assert asked.now == (POISONED, other)
    assert memory["eth0"].lease == POISONED
    memory = dhcp_query.apply_answer(memory, answer(other, "10.0.0.53"), WALL)
    assert [one.interface for one in dhcp_query.candidates(memory)] == ["eth1"]
    assert due(memory, POISONED, other, now=NOW + LOST)[1].now == (POISONED,)


def test_a_thousand_leases_are_not_a_thousand_sockets() -> None:
    """Old lease files of interfaces long gone may be many."""
    many = [replace(POISONED, interface=f"veth{number}") for number in range(1000)]
    assert len(due({}, *many)[1].now) == dhcp_query.MOST_INTERFACES


STEPS = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 3 * LOST), st.floats(0, 2 * LONGEST)),
        st.sampled_from([(), (HONEST,), (POISONED,), (POISONED, replace(HONEST, interface="b"))]),
        st.booleans(),
        st.sampled_from([None, answer(POISONED), answer(POISONED, "10.0.0.53"), answer(HONEST)]),
    ),
    max_size=40,
)


@given(STEPS)
def test_nobody_is_asked_more_often_than_the_back_off(
    steps: list[tuple[float, tuple[CurrentLease, ...], bool, DhcpAnswer | None]],
) -> None:
    """Whatever happens; and what is due is asked when it was said to be."""
    memory: Informs = {}
    rows: dict[str, tuple[CurrentLease, list[float]]] = {}
    now = NOW
    for wait, leases, is_stranded, said in steps:
        now += wait
        memory, asked = due(memory, *leases, now=now, is_stranded=is_stranded)
        assert set(asked.now) <= set(leases)
        assert is_stranded or all(lease.nameservers == (NODELOCAL,) for lease in asked.now)
        assert asked.next_at > now
        rows = {
            lease.interface: (lease, rows[lease.interface][1])
            if rows.get(lease.interface, (None,))[0] == lease
            else (lease, [])
            for lease in leases
        }
        for lease in asked.now:
            row = rows[lease.interface][1]
            if row and now - row[-1] > 2 * LONGEST:
                row.clear()
            assert not row or now - row[-1] >= min(LONGEST, 2.0 ** (len(row) - 1))
            row.append(now)
        if asked.next_at < float("inf"):
            assert due(memory, *leases, now=asked.next_at, is_stranded=is_stranded)[1].now
        if said is not None:
            memory = dhcp_query.apply_answer(memory, said, WALL)
