"""When the node is handed over, what stands against it, and what an operator holds."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from property.node import EPOCH
from property.text import NODELOCAL

from dnsguard.core.answers import Outcome
from dnsguard.core.hold import Serves
from dnsguard.core.model import Candidate, HookRecord, Mode, NodeLocal
from dnsguard.core.observation import PodsFile
from dnsguard.core.plan import EndHold
from dnsguard.core.policy import HandoverMode
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.records import DhclientEvent, Reason
from unit.decisions import (
    COPY,
    GUARDED,
    HANDED_OVER,
    LOOPBACK,
    NAMES_IT,
    NOBODY,
    OTHER,
    OWN,
    POISON,
    REAL,
    SAME,
    UNREAD,
    UNSPECIFIED,
    let_answer,
    make_candidate,
    make_handed_over_node,
    make_hold,
    make_node,
)


class TestHandingOver:
    """When NodeLocalDNS is healthy."""

    def test_nodelocal_comes_first_and_the_real_one_behind_it(self) -> None:
        """Three answers in a row, and an upstream that answers."""
        make_handed_over_node()

    def test_at_most_two_stand_behind_it(self) -> None:
        """Glibc reads three nameservers."""
        servers = tuple(make_candidate(ip_address(f"10.0.0.{n}")) for n in range(2, 7))
        node = make_node(POISON, knows=servers)
        node.bound = frozenset({NODELOCAL})
        let_answer(node, *(server.address for server in servers), *[NODELOCAL] * 3)
        plan = node.look()
        assert plan.wanted == (NODELOCAL, servers[0].address, servers[1].address)

    def test_a_renewal_that_names_both_keeps_both(self) -> None:
        """Where dhclient.conf supersedes with NodeLocalDNS and a backup: nothing of it was lost."""
        node = make_handed_over_node()
        node.now += 10.0
        told = DhclientEvent(reason=Reason.RENEW, interface="eth0", nameservers=(NODELOCAL, REAL))
        node.records = (HookRecord(told=told, written=EPOCH + node.now),)
        plan = node.look()
        assert plan.wanted == (NODELOCAL, REAL)
        assert resolvconf.read_addresses(node.file.content) == (NODELOCAL, REAL)
        assert len(node.written_at) == 2

    @pytest.mark.parametrize("failures", [1, 2, 3])
    def test_its_death_brings_the_upstream_back(self, failures: int) -> None:
        """As many failures as configured, and the file is the guarded one again."""
        node = make_handed_over_node()
        node.policy = replace(node.policy, failures=failures)
        for number in range(1, failures + 1):
            node.answer(NODELOCAL, Outcome.TIMED_OUT)
            node.look()
            assert (node.file.content == GUARDED) is (number == failures)

    def test_its_address_gone_brings_the_upstream_back_at_once(self) -> None:
        """Netlink says so before any probe does."""
        node = make_handed_over_node()
        node.bound = frozenset()
        assert node.look().mode is Mode.GUARDING
        assert node.file.content == GUARDED

    def test_an_outage_of_the_upstreams_does_not_end_it(self) -> None:
        """NodeLocalDNS works; that its backup does not is no reason to leave it."""
        node = make_handed_over_node()
        for _ in range(5):
            node.answer(REAL, Outcome.TIMED_OUT)
        assert node.look().mode is Mode.HANDED_OVER
        assert node.file.content == HANDED_OVER

    def test_a_foreign_write_is_met_as_in_the_other_mode(self) -> None:
        """A poisoned file gets its backup again."""
        node = make_handed_over_node()
        node.write(POISON)
        node.look()
        assert node.file.content == HANDED_OVER

    WAITS = (
        pytest.param({"handover": HandoverMode.NEVER}, None, True, id="the operator says never"),
        pytest.param({}, SAME, True, id="pods would inherit the loop"),
        pytest.param({}, COPY, True, id="pods get what resolved makes of it"),
        pytest.param({}, NAMES_IT, True, id="pods get cluster DNS from elsewhere"),
        pytest.param({}, LOOPBACK, True, id="pods get a loopback address"),
        pytest.param({}, UNSPECIFIED, True, id="pods get 0.0.0.0"),
        pytest.param({}, NOBODY, True, id="pods get nobody"),
        pytest.param({}, UNREAD, True, id="nobody can read what pods get"),
        pytest.param({}, None, False, id="no upstream answers"),
    )

    @pytest.mark.parametrize(("policy", "pods", "answers"), WAITS)
    def test_what_it_waits_for(
        self, policy: dict[str, Any], pods: PodsFile | None, *, answers: bool
    ) -> None:
        """Healthy is not enough; the trace says what is missing."""
        node = make_node(POISON, knows=(make_candidate(),), **policy)
        node.bound, node.pods = frozenset({NODELOCAL}), pods
        let_answer(node, NODELOCAL, times=3)
        if answers:
            let_answer(node, REAL)
        plan = node.look()
        assert plan.nodelocal is NodeLocal.HEALTHY
        assert plan.mode is Mode.GUARDING
        assert dict(plan.because)["handover"] != "done"
        assert node.file.content == GUARDED

    def test_always_is_taken_at_its_word(self) -> None:
        """The operator knows better what pods read."""
        node = make_node(POISON, knows=(make_candidate(),), handover=HandoverMode.ALWAYS)
        node.bound, node.pods = frozenset({NODELOCAL}), SAME
        let_answer(node, REAL, NODELOCAL, times=3)
        assert node.look().mode is Mode.HANDED_OVER

    def test_a_copy_that_follows_ends_it_and_is_remembered(self) -> None:
        """Some program copies what resolv.conf says: it would do so at each handover."""
        node = make_handed_over_node()
        copy = replace(OWN, path="/etc/custom-resolv.conf")
        node.pods = copy
        assert node.look().mode is Mode.HANDED_OVER
        node.pods = replace(copy, nameservers=(NODELOCAL, REAL))
        assert node.look().mode is Mode.GUARDING
        node.pods = copy
        let_answer(node, REAL, NODELOCAL, times=3)
        plan = node.look()
        assert plan.mode is Mode.GUARDING
        assert "made of /etc/resolv.conf" in dict(plan.because)["handover"]
        node.pods = OWN  # adopted
        node.now += 60
        let_answer(node, REAL, NODELOCAL, times=3)
        assert node.look().mode is Mode.HANDED_OVER

    def test_what_cannot_be_told_stands_against_it(self) -> None:
        """Pods are started here, and nobody knows which file they get; unless the operator does."""
        node = make_handed_over_node()
        node.pods_doubt = "no kubelet is understood here, but there is /run/k3s"
        plan = node.look()
        assert (plan.mode, node.file.content) == (Mode.GUARDING, GUARDED)
        assert node.pods_doubt in dict(plan.because)["handover"]
        node = make_node(POISON, knows=(make_candidate(),), handover=HandoverMode.ALWAYS)
        node.bound, node.pods_doubt = frozenset({NODELOCAL}), "nobody can tell"
        let_answer(node, REAL, NODELOCAL, times=3)
        assert node.look().mode is Mode.HANDED_OVER

    @pytest.mark.parametrize(
        ("address", "says"),
        [(OTHER, "is this node"), (ip_address("10.233.10.10"), "may be cluster DNS")],
    )
    def test_whom_pods_ask_may_lead_back_here(self, address: IPAddress, says: str) -> None:
        """Dnsmasq on the node asks whom resolv.conf names: NodeLocalDNS, whose pod asks dnsmasq."""
        node = make_node(POISON, knows=(make_candidate(),))
        node.bound = frozenset({NODELOCAL, OTHER})
        node.pods = replace(OWN, nameservers=(address, REAL))
        let_answer(node, REAL, NODELOCAL, times=3)
        plan = node.look()
        assert plan.mode is Mode.GUARDING
        assert says in dict(plan.because)["handover"]
        node.policy = replace(node.policy, handover=HandoverMode.ALWAYS)
        assert node.look().mode is Mode.HANDED_OVER

    def test_whom_pods_ask_may_be_shown_to_lead_outside(self) -> None:
        """Among the cluster's services by its number alone."""
        address = ip_address("10.233.10.10")
        node = make_node(POISON, knows=(make_candidate(address),))
        node.bound, node.pods = frozenset({NODELOCAL}), replace(OWN, nameservers=(address,))
        let_answer(node, address, NODELOCAL, times=3)
        assert node.look().mode is Mode.HANDED_OVER

    def test_kubelet_coming_up_ends_it(self) -> None:
        """A kubelet that hands /etc/resolv.conf to pods is configured after the handover."""
        node = make_handed_over_node()
        node.pods = SAME
        assert node.look().mode is Mode.GUARDING
        assert node.file.content == GUARDED


class TestHeld:
    """When an operator has pinned who serves."""

    def test_to_the_upstream_although_nodelocaldns_is_healthy(self) -> None:
        """The upstream is back at once, and stays."""
        node = make_handed_over_node()
        node.hold = make_hold(Serves.UPSTREAM)
        plan = node.look()
        assert (plan.mode, node.file.content) == (Mode.HELD, GUARDED)
        assert dict(plan.because)["handover"] == "held to upstream by alice"

    def test_to_nodelocaldns_although_it_is_dead(self) -> None:
        """It stands first, and the upstream behind it still resolves."""
        node = make_node(POISON, knows=(make_candidate(),))
        node.bound = frozenset()
        node.look()
        node.hold = make_hold(Serves.NODELOCAL)
        plan = node.look()
        assert (plan.mode, plan.wanted) == (Mode.HELD, (NODELOCAL, REAL))
        assert node.file.content == HANDED_OVER

    REFUSED = (
        pytest.param({"pods": SAME}, (make_candidate(),), id="pods"),
        pytest.param({}, (), id="nothing to stand behind it"),
    )

    @pytest.mark.parametrize(("world", "knows"), REFUSED)
    def test_never_into_a_loop(
        self, world: dict[str, PodsFile], knows: tuple[Candidate, ...]
    ) -> None:
        """The promises outrank the operator; the reason says so."""
        node = make_node(POISON, knows=knows)
        node.bound, node.hold = frozenset(), make_hold(Serves.NODELOCAL)
        node.pods = world.get("pods")
        plan = node.look()
        assert plan.mode is Mode.HELD
        assert node.memory.serves is Serves.UPSTREAM
        assert dict(plan.because)["handover"].startswith("held to nodelocal by alice, but ")

    def test_it_ends_by_itself(self) -> None:
        """To the second, and the node is handed over again."""
        node = make_handed_over_node()
        node.hold = make_hold(Serves.UPSTREAM, until=node.now + 60)
        assert node.look().look_at <= node.now + 60
        node.now += 60
        let_answer(node, REAL, NODELOCAL, times=3)
        plan = node.look()
        assert plan.mode is Mode.HANDED_OVER
        assert [type(action) for action in plan.actions][-1] is EndHold

    def test_a_poison_is_repaired_as_ever(self) -> None:
        """Held to the upstream, the file is guarded."""
        node = make_node(POISON, knows=(make_candidate(),))
        node.bound, node.hold = frozenset(), make_hold(Serves.UPSTREAM)
        node.look()
        node.write(POISON)
        node.look()
        assert node.file.content == GUARDED
