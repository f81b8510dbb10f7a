"""The guard of a node that is handed over: what it rests on, and what ends the rest."""

import time
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnsguard.core.answers import NOERROR, NXDOMAIN, Answer, Outcome, ProbeKind, ProbeTarget
from dnsguard.core.health import HEARTBEAT, ONE_TIME, list_targets
from dnsguard.core.hold import Serves
from dnsguard.formats.address import IPAddress
from dnsguard.guard import Guard
from unit.machine import POISON, REAL, Machine

NODELOCAL, UPSTREAM = ip_address("169.254.25.10"), ip_address("10.0.0.2")
KUBELET = "clusterDNS: [169.254.25.10]\nresolvConf: {}\n"


def _answered(address: IPAddress, *ways: ProbeTarget, rcode: int = NOERROR) -> tuple[Answer, ...]:
    return tuple(
        Answer(
            address=address,
            outcome=Outcome.ANSWERED,
            rtt=0.001,
            detail="answers",
            at=time.monotonic(),
            kind=leg.kind,
            tcp=leg.tcp,
            rcode=rcode,
            has_records=rcode == NOERROR,
        )
        for leg in ways
    )


def _hand_over(
    machine: Machine, said: str, poison: bytes = POISON, *, is_prepared: bool = False
) -> Guard:
    """Let all that a handover needs happen, and kubelet's file say this meanwhile."""
    file = machine.paths.root / "etc/kubernetes/kubelet-config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(KUBELET.format("/var/lib/dnsguard/resolv.conf"))
    machine.write(poison)
    machine.backup()
    guard = machine.start()
    guard.search()
    guard.surroundings.set_addresses(frozenset({NODELOCAL}), None)
    guard.look()
    prepared = guard.file.prepared
    if is_prepared:
        assert prepared.wanted is not None
        assert prepared.prepare(prepared.wanted)
        prepared.repair = prepared.wanted
    file.write_text(KUBELET.format(said))
    guard.look(_answered(UPSTREAM, ProbeTarget(ProbeKind.CLUSTER), rcode=NXDOMAIN))
    guard.look(_answered(UPSTREAM, ProbeTarget(ProbeKind.UPSTREAM)))
    for _ in range(guard.policy.successes):
        guard.look(_answered(NODELOCAL, *list_targets(guard.policy), ONE_TIME))
    guard.apply_deferred()
    return guard


@pytest.mark.parametrize(
    ("said", "serves"),
    [("/var/lib/dnsguard/resolv.conf", Serves.NODELOCAL), ("/etc/resolv.conf", Serves.UPSTREAM)],
)
def test_a_node_is_handed_over_on_what_kubelets_files_say_now(
    machine: Machine, said: str, serves: Serves
) -> None:
    """Not on what they said at the last refresh; the control has them say the same."""
    assert _hand_over(machine, said).memory.serves is serves


def test_what_was_a_poison_may_be_the_guards_own_text_by_now(machine: Machine) -> None:
    """The repair that lay ready for it made three writes and a trample of each handover."""
    text = b"nameserver 169.254.25.10\nnameserver 10.0.0.2\n"
    guard = _hand_over(machine, "/var/lib/dnsguard/resolv.conf", text, is_prepared=True)
    try:
        assert guard.file.prepared.repair is not None
        assert machine.content == guard.file.prepared.repair.poisoned == text
        assert not guard.apply_prepared()
        assert machine.content == text
    finally:
        guard.file.prepared.discard()


def test_an_answer_is_taken_in_without_a_look_only_if_it_tells_nothing_new(
    machine: Machine,
) -> None:
    """Nothing is read or decided for it, and it counts all the same."""
    guard = _hand_over(machine, "/var/lib/dnsguard/resolv.conf")
    plan, heard = guard.plan, guard.memory.health.streak(HEARTBEAT).successes
    (well,) = _answered(NODELOCAL, HEARTBEAT)
    assert guard.confirm((well,))
    assert guard.plan is plan
    assert guard.memory.health.streak(HEARTBEAT).successes == heard + 1
    (outside,) = _answered(UPSTREAM, ProbeTarget(ProbeKind.UPSTREAM))
    assert guard.confirm((well, outside))
    before = guard.memory
    for one in (well, outside):
        assert not guard.confirm((well, replace(one, outcome=Outcome.TIMED_OUT)))
    assert guard.memory is before


@pytest.mark.parametrize("text", [POISON, REAL])
def test_a_file_that_another_has_written_is_no_rest(machine: Machine, text: bytes) -> None:
    """Whether or not anybody was told of it: the next question is put after a look."""
    guard = _hand_over(machine, "/var/lib/dnsguard/resolv.conf")
    guard.look()  # at what it has written itself
    rests = [guard.is_at_rest]
    machine.write(text)
    rests.append(guard.is_at_rest)
    guard.look()
    guard.look()
    rests.append(guard.is_at_rest)
    assert rests == [True, False, True]
