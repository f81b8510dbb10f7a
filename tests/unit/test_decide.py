"""Whole worlds: what stands in the file, what is known, and what is decided."""

import math
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from property import promises
from property.node import Node
from property.text import CLUSTER, NODELOCAL

from dnsguard.core import fight, upstreams
from dnsguard.core.address import IPAddress
from dnsguard.core.answers import Outcome
from dnsguard.core.decide import draw_border, forget, rank
from dnsguard.core.hold import Hold, Serves
from dnsguard.core.model import (
    Candidate,
    EndHold,
    HandoverMode,
    KeepForeign,
    Mode,
    NodeLocal,
    Policy,
    Remember,
    ReplaceFile,
    ReplacePodFile,
    Source,
    Stub,
    Trouble,
    UpstreamState,
)
from dnsguard.core.pods import PodsFile
from dnsguard.core.rewrite import GRACE, PATIENCE, PEEK

REAL, OTHER = ip_address("10.0.0.2"), ip_address("192.0.2.53")
RESOLVED = "/run/systemd/resolve/resolv.conf"
SAME = PodsFile(path="/etc/resolv.conf", nameservers=(REAL,), follows=True)
COPY = PodsFile(path=RESOLVED, nameservers=(REAL,), follows=True)
NAMES_IT = PodsFile(path=RESOLVED, nameservers=(REAL, NODELOCAL))
LOOPBACK = PodsFile(path=RESOLVED, nameservers=(ip_address("127.0.0.53"),))
UNSPECIFIED = PodsFile(path=RESOLVED, nameservers=(ip_address("0.0.0.0"),))
NOBODY, UNREAD = PodsFile(path=RESOLVED), PodsFile(path=RESOLVED, nameservers=None)
OWN = PodsFile(path="/var/lib/dnsguard/resolv.conf", nameservers=(REAL,))
STUB = ip_address("127.0.0.53")
POISON = b"search cluster.local\nnameserver 169.254.25.10\n"
GUARDED = (
    b"search cluster.local\n# held back by dnsguard: nameserver 169.254.25.10\n"
    b"# added by dnsguard: 10.0.0.2\nnameserver 10.0.0.2\n"
)
HANDED_OVER = (
    b"search cluster.local\nnameserver 169.254.25.10\n"
    b"# added by dnsguard: 10.0.0.2\nnameserver 10.0.0.2\n"
)
POLICY = Policy(nodelocal=(NODELOCAL,), cluster=CLUSTER)


def _candidate(address: IPAddress = REAL, source: Source = Source.LEASE) -> Candidate:
    return Candidate(address=address, source=source, origin="a lease", seen=0.0)


def _node(
    content: bytes | None = None,
    *,
    knows: tuple[Candidate, ...] = (),
    **policy: Any,  # noqa: ANN401 -- dataclasses.replace
) -> Node:
    node = Node(policy=replace(POLICY, **policy), found=knows, bound=frozenset())
    if content is not None:
        node.write(content)
    return node


def _pool(node: Node) -> upstreams.Pool:
    """Return whom the guard takes for a candidate now."""
    seen = node.observe()
    border = draw_border(node.memory, seen, node.policy)
    return upstreams.pool(rank(node.memory, seen, node.policy, border))


def _answers(node: Node, *addresses: IPAddress, times: int = 1) -> None:
    for _ in range(times):
        for address in addresses:
            node.answer(address, Outcome.ANSWERED)


def _handed_over() -> Node:
    """Return a node that serves itself by NodeLocalDNS, with a real server behind it."""
    node = _node(POISON, knows=(_candidate(),))
    node.bound = frozenset({NODELOCAL})
    _answers(node, REAL, NODELOCAL, times=3)
    assert node.look().mode is Mode.HANDED_OVER
    assert node.file.content == HANDED_OVER
    return node


class TestEdited:
    """What a person does to the file by hand."""

    def _completed(self) -> Node:
        """Return a node whose file dnsguard has completed with a server that answers."""
        node = _node(POISON, knows=(_candidate(),))
        node.look()
        _answers(node, REAL)
        node.look()
        assert node.file.content == GUARDED
        return node

    def _edit(self, node: Node, text: bytes) -> None:
        node.write(text)
        node.look()
        _answers(node, REAL, OTHER)
        node.look()

    @pytest.mark.parametrize("is_restarted", [False, True])
    def test_an_added_server_removes_nobody(self, *, is_restarted: bool) -> None:
        """Both answer and both stay, in the file for pods too, whatever comes between."""
        node = self._completed()
        self._edit(node, GUARDED + b"nameserver 192.0.2.53\n")
        if is_restarted:
            node.restart()
            node.look()
            _answers(node, REAL, OTHER)
            node.look()
        assert node.file.content == GUARDED + b"nameserver 192.0.2.53\n"
        assert promises.used(node.pod_file or b"") == (REAL, OTHER)

    def test_the_persons_order_is_kept(self) -> None:
        """The first one of the file is asked first."""
        node = self._completed()
        self._edit(node, b"nameserver 192.0.2.53\n" + GUARDED)
        assert promises.used(node.file.content) == (OTHER, REAL)

    def test_an_added_server_that_is_silent_is_held_back_and_told(self) -> None:
        """The one that works stays alone, and the journal says why."""
        node = self._completed()
        node.write(GUARDED + b"nameserver 192.0.2.53\n")
        node.look()
        for _ in range(upstreams.LOST_AFTER):
            _answers(node, REAL)
            node.answer(OTHER, Outcome.TIMED_OUT)
            plan = node.look()
        assert promises.used(node.file.content) == (REAL,)
        assert [one.address for one in plan.unused] == [OTHER]
        assert node.look().unused == ()

    def test_a_server_is_added_behind_nodelocal(self) -> None:
        """The same while the node is handed over."""
        node = _handed_over()
        self._edit(node, HANDED_OVER + b"nameserver 192.0.2.53\n")
        assert promises.used(node.file.content) == (NODELOCAL, REAL, OTHER)

    def test_what_is_deleted_stays_away_and_is_the_last_resort(self) -> None:
        """Across a restart, too; when the other one falls silent it is back, and that is told."""
        node = self._completed()
        node.write(GUARDED.replace(b"\nnameserver 10.0.0.2", b"\nnameserver 192.0.2.53"))
        plan = node.look()
        assert promises.used(node.file.content) == (OTHER,)
        assert REAL in [one.address for one in plan.unused]
        for _ in range(2):
            _answers(node, REAL, OTHER)
            assert node.look().wanted == (OTHER,)
            node.restart()
            node.look()
        for _ in range(upstreams.LOST_AFTER):
            node.answer(OTHER, Outcome.TIMED_OUT)
        node.now += 1
        _answers(node, REAL)
        assert node.look().wanted == (REAL,)
        _answers(node, OTHER)
        assert node.look().wanted == (OTHER,)

    def test_the_only_server_that_is_known_can_not_be_deleted(self) -> None:
        """It comes back, and the journal says how to have it otherwise."""
        node = self._completed()
        node.write(GUARDED.replace(b"\nnameserver 10.0.0.2", b""))
        plan = node.look()
        assert promises.used(node.file.content) == (REAL,)
        told = [one for one in plan.unused if one.address == REAL]
        assert ["forget" in one.otherwise for one in told] == [True]

    def test_who_is_named_again_is_no_last_resort_any_more(self) -> None:
        """A person may change their mind."""
        node = self._completed()
        node.write(GUARDED.replace(b"\nnameserver 10.0.0.2", b"\nnameserver 192.0.2.53"))
        node.look()
        assert node.memory.deleted
        node.write(b"nameserver 10.0.0.2\n")
        node.look()
        assert REAL not in node.memory.deleted

    def test_a_trample_deletes_nobody(self) -> None:
        """Whoever makes the poisoned file anew took nobody out of it."""
        node = self._completed()
        node.write(POISON)
        node.look()
        node.write(POISON + b"options ndots:2\n")
        node.look()
        assert not node.memory.deleted
        assert promises.used(node.file.content) == (REAL,)

    def test_a_forgotten_server_is_gone_unless_something_names_it(self) -> None:
        """From memory; a lease that names it goes on doing so."""
        node = self._completed()
        node.memory = forget(node.memory, REAL)
        node.look()
        assert promises.used(node.file.content) == (REAL,)
        node.found = ()
        node.memory = forget(node.memory, REAL)
        _answers(node, OTHER)
        node.found = (_candidate(OTHER),)
        node.look()
        assert promises.used(node.file.content) == (OTHER,)
        assert REAL not in {one.address for one in node.memory.remembered}


def test_rotate_is_held_back_while_nodelocal_shares_the_file() -> None:
    """With it glibc would ask the upstream for every second of the cluster's names."""
    text = b"nameserver 169.254.25.10\nnameserver 10.0.0.2\noptions ndots:2 rotate\n"
    node = _node(text)
    node.bound = frozenset({NODELOCAL})
    _answers(node, REAL, NODELOCAL, times=3)
    assert node.look().mode is Mode.HANDED_OVER
    assert node.file.content == (
        b"nameserver 169.254.25.10\nnameserver 10.0.0.2\n"
        b"# held back by dnsguard: options ndots:2 rotate\noptions ndots:2\n"
    )
    node.write(b"nameserver 10.0.0.2\n" + b"".join(node.file.content.splitlines(True)[2:]))
    node.bound = frozenset()
    node.look()
    assert node.file.content == b"nameserver 10.0.0.2\noptions ndots:2 rotate\n"


class TestGuarding:
    """While NodeLocalDNS is not healthy."""

    @pytest.mark.parametrize("source", [source for source in Source if source != "guess"])
    def test_any_source_repairs_a_poisoned_file(self, source: Source) -> None:
        """The best known server is written before it has answered."""
        node = _node(POISON, knows=(_candidate(source=source),))
        plan = node.look()
        assert node.file.content == GUARDED
        assert (plan.mode, plan.upstream) == (Mode.GUARDING, UpstreamState.UNVERIFIED)

    def test_the_first_look_knows_no_address_and_repairs_all_the_same(self) -> None:
        """Boot: netlink is not loaded yet."""
        node = _node(POISON, knows=(_candidate(),))
        node.bound = None
        plan = node.look()
        assert node.file.content == GUARDED
        assert plan.is_settled
        assert plan.nodelocal is NodeLocal.UNKNOWN

    def test_a_healthy_file_is_left_alone(self) -> None:
        """Not a byte is written where nothing is wrong."""
        node = _node(b"nameserver 10.0.0.2\noptions rotate\n")
        plan = node.look()
        assert not [action for action in plan.actions if isinstance(action, ReplaceFile)]
        assert plan.wanted == (REAL,)

    def test_an_answer_moves_to_a_server_that_works(self) -> None:
        """The file's own server is silent, the lease's answers."""
        node = _node(b"nameserver 192.0.2.53\n", knows=(_candidate(),))
        node.look()
        _answers(node, REAL)
        plan = node.look()
        assert plan.wanted == (REAL,)
        assert b"# held back by dnsguard: nameserver 192.0.2.53" in node.file.content

    def test_who_fell_silent_comes_back_to_its_place(self) -> None:
        """Held back while it was silent, and in the file's own line again when it answers."""
        text = b"nameserver 10.0.0.2\nnameserver 192.0.2.53\n"
        node = _node(text)
        _answers(node, REAL, OTHER)
        node.look()
        for _ in range(upstreams.LOST_AFTER):
            node.answer(REAL, Outcome.TIMED_OUT)
        assert node.look().wanted == (OTHER,)
        _answers(node, REAL)
        node.look()
        assert node.file.content == text

    def test_nothing_known_takes_a_dead_end_away(self) -> None:
        """No nameserver beats a loop: the cluster address is held back, nothing is added."""
        node = _node(POISON)
        plan = node.look()
        assert node.file.content == (
            b"search cluster.local\n# held back by dnsguard: nameserver 169.254.25.10\n"
        )
        assert plan.upstream is UpstreamState.NONE
        assert plan.wanted == ()

    def test_nothing_known_leaves_what_answers(self) -> None:
        """NodeLocalDNS is all there is, and it works: it stays until it falls silent."""
        node = _node(POISON)
        node.bound = frozenset({NODELOCAL})
        _answers(node, NODELOCAL, times=3)
        plan = node.look()
        assert (node.file.content, plan.mode) == (POISON, Mode.GUARDING)
        node.answer(NODELOCAL, Outcome.TIMED_OUT)
        node.answer(NODELOCAL, Outcome.TIMED_OUT)
        node.look()
        assert promises.used(node.file.content) == ()

    def _held_back(self, pods: PodsFile | None, **policy: Any) -> Node:  # noqa: ANN401
        """Return a node that knew nobody at boot, and whose NodeLocalDNS is healthy by now."""
        node = _node(POISON, **policy)
        node.pods = pods
        node.look()
        assert promises.used(node.file.content) == ()
        node.bound = frozenset({NODELOCAL})
        _answers(node, NODELOCAL, times=3)
        node.look()
        return node

    @pytest.mark.parametrize("pods", [None, OWN, NOBODY, UNREAD, NAMES_IT])
    def test_the_last_server_is_given_back(self, pods: PodsFile | None) -> None:
        """Held back at boot, for nobody was known: once healthy it is all that works."""
        node = self._held_back(pods)
        assert node.file.content == POISON
        assert node.plan is not None
        assert (node.plan.mode, node.plan.wanted) == (Mode.GUARDING, (NODELOCAL,))

    def test_what_was_given_back_goes_when_it_is_silent_and_when_an_upstream_comes(self) -> None:
        """It is an exception for as long as it is the only server that works."""
        node = self._held_back(None)
        node.answer(NODELOCAL, Outcome.TIMED_OUT)
        node.answer(NODELOCAL, Outcome.TIMED_OUT)
        node.look()
        assert promises.used(node.file.content) == ()
        node = self._held_back(None, handover=HandoverMode.NEVER)
        node.found = (_candidate(),)
        node.look()
        assert node.file.content == GUARDED

    @pytest.mark.parametrize("pods", [SAME, COPY])
    def test_what_pods_get_is_given_nothing_back(self, pods: PodsFile) -> None:
        """CoreDNS would be started with it and forward to itself."""
        assert promises.used(self._held_back(pods).file.content) == ()
        assert self._held_back(pods, handover=HandoverMode.ALWAYS).file.content == POISON

    def test_where_nobody_can_tell_what_pods_get_nothing_is_given_back(self) -> None:
        """A kubelet that is not understood may give them resolv.conf."""
        node = _node(POISON)
        node.pods_doubt = "nobody understands its kubelet"
        node.look()
        node.bound = frozenset({NODELOCAL})
        _answers(node, NODELOCAL, times=3)
        node.look()
        assert promises.used(node.file.content) == ()

    def test_the_operator_has_the_first_and_the_last_word(self) -> None:
        """upstream.servers before all that is found, upstream.fallback behind it."""
        node = _node(POISON, servers=(OTHER,), fallback=(STUB,), knows=(_candidate(),))
        assert node.look().wanted == (OTHER,)
        node = _node(POISON, fallback=(OTHER,), knows=(_candidate(),))
        assert node.look().wanted == (REAL,)
        assert _node(POISON, fallback=(OTHER,)).look().wanted == (OTHER,)

    def test_a_guess_is_used_once_it_answered(self) -> None:
        """A router may serve DNS, or drop it: nobody has said that it does."""
        node = _node(POISON, knows=(_candidate(source=Source.GUESS),))
        assert node.look().wanted == ()
        _answers(node, REAL)
        assert node.look().wanted == (REAL,)
        assert REAL not in {kept.address for kept in node.memory.remembered}

    def test_cluster_dns_is_found_out_at_any_address(self) -> None:
        """It answers, and it answers the cluster's own name: no upstream, whoever names it."""
        node = _node(POISON, knows=(_candidate(OTHER, Source.DHCP), _candidate()))
        node.impostors = frozenset({OTHER})
        node.look()
        _answers(node, OTHER, REAL)
        assert node.look().wanted == (REAL,)
        assert OTHER not in {kept.address for kept in node.memory.remembered}
        node.write(b"nameserver 192.0.2.53\nnameserver 10.0.0.2\n")
        node.look()
        assert promises.used(node.file.content) == (REAL,)

    def test_the_operator_may_name_it_all_the_same(self) -> None:
        """A resolver that forwards the cluster's domain to the cluster is a real one."""
        node = _node(POISON, knows=(_candidate(OTHER, Source.CONFIG),), servers=(OTHER,))
        node.impostors = frozenset({OTHER})
        _answers(node, OTHER)
        plan = node.look()
        assert (plan.wanted, plan.upstream) == ((OTHER,), UpstreamState.VERIFIED)

    def test_where_nothing_else_is_known_cluster_dns_found_out_is_left(self) -> None:
        """It works, and nobody has called it a cluster address: no nameserver were worse."""
        node = _node(b"nameserver 192.0.2.53\n")
        node.impostors = frozenset({OTHER})
        node.look()
        _answers(node, OTHER)
        assert node.look().upstream is UpstreamState.NONE
        assert promises.used(node.file.content) == (OTHER,)

    def test_a_resolver_on_the_node_itself_counts_once_it_was_shown_to_be_one(self) -> None:
        """The company's resolver at the node's LAN address, named by the file (case 70).

        It stays, first as it was, and is back after a poison and after a reboot. Where nobody
        was seen to answer there, it is named by nobody: the control.
        """
        node = _node(b"nameserver 192.0.2.53\nnameserver 10.0.0.2\n", knows=(_candidate(),))
        node.bound = frozenset({OTHER})
        _answers(node, OTHER, REAL)
        assert node.look().wanted == (OTHER, REAL)
        node.write(POISON)
        assert node.look().wanted[0] == OTHER
        node.restart()
        node.write(POISON)
        assert node.look().wanted[0] == OTHER

        node = _node(POISON, knows=(_candidate(OTHER, Source.DHCP),))
        node.bound = frozenset({OTHER})
        assert node.look().wanted == ()

    @pytest.mark.parametrize(("asks", "expected"), [(REAL, STUB), (NODELOCAL, REAL)])
    def test_a_stub_is_as_good_as_whom_it_asks(self, asks: IPAddress, expected: IPAddress) -> None:
        """systemd-resolved with Kubespray's servers is a loop with one more hop."""
        node = _node(knows=(_candidate(),))
        node.write(b"nameserver 127.0.0.53\n", link="../run/systemd/resolve/stub-resolv.conf")
        node.stubs = (Stub(addresses=frozenset({STUB}), asks=(asks,), origin="resolved"),)
        assert node.look().wanted == (expected,)

    def test_a_stub_that_reads_our_file_tells_nothing_new(self) -> None:
        """A node was dead for good: its file named 127.0.0.53, which asked whom the file names.

        Where resolv.conf is no link to a file of resolved's, neither the stub nor resolved's
        list is an upstream. The control is the link.
        """
        echo = _candidate(OTHER, Source.RESOLVED)
        stub = Stub(addresses=frozenset({STUB}), asks=(OTHER,), origin="resolved")
        text = b"nameserver 127.0.0.53\n"
        link = "/run/systemd/resolve/resolv.conf"
        for is_foreign, expected in ((True, (REAL,)), (False, (STUB,))):
            node = _node(knows=(_candidate(), echo))
            node.stubs = (stub,)
            node.write(text, link=None if is_foreign else link)
            assert node.look().wanted == expected
            assert {u.address for u in _pool(node)} == {
                REAL,
                *(() if is_foreign else (OTHER, STUB)),
            }

    def test_a_cluster_address_is_no_candidate_wherever_it_comes_from(self) -> None:
        """A poisoned lease, a poisoned backup, a poisoned memory."""
        poisoned = tuple(_candidate(NODELOCAL, source) for source in Source)
        assert _node(POISON, knows=poisoned).look().upstream is UpstreamState.NONE

    def test_what_dhclient_renews_is_learned(self) -> None:
        """A foreign file with a new real server is not just overwritten."""
        node = _node(POISON, knows=(_candidate(),))
        node.look()
        node.write(b"nameserver 169.254.25.10\nnameserver 192.0.2.53\n")
        plan = node.look()
        assert plan.wanted == (OTHER,)
        assert any(isinstance(action, Remember) for action in plan.actions)
        node.write(POISON)
        _answers(node, OTHER)
        assert node.look().wanted == (OTHER,)


class TestHandingOver:
    """When NodeLocalDNS is healthy."""

    def test_nodelocal_comes_first_and_the_real_one_behind_it(self) -> None:
        """Three answers in a row, and an upstream that answers."""
        _handed_over()

    def test_at_most_two_stand_behind_it(self) -> None:
        """Glibc reads three nameservers."""
        servers = tuple(_candidate(ip_address(f"10.0.0.{n}")) for n in range(2, 7))
        node = _node(POISON, knows=servers)
        node.bound = frozenset({NODELOCAL})
        _answers(node, *(server.address for server in servers), *[NODELOCAL] * 3)
        plan = node.look()
        assert plan.wanted == (NODELOCAL, servers[0].address, servers[1].address)

    @pytest.mark.parametrize("failures", [1, 2, 3])
    def test_its_death_brings_the_upstream_back(self, failures: int) -> None:
        """As many failures as configured, and the file is the guarded one again."""
        node = _handed_over()
        node.policy = replace(node.policy, failures=failures)
        for number in range(1, failures + 1):
            node.answer(NODELOCAL, Outcome.TIMED_OUT)
            node.look()
            assert (node.file.content == GUARDED) is (number == failures)

    def test_its_address_gone_brings_the_upstream_back_at_once(self) -> None:
        """Netlink says so before any probe does."""
        node = _handed_over()
        node.bound = frozenset()
        assert node.look().mode is Mode.GUARDING
        assert node.file.content == GUARDED

    def test_an_outage_of_the_upstreams_does_not_end_it(self) -> None:
        """NodeLocalDNS works; that its backup does not is no reason to leave it."""
        node = _handed_over()
        for _ in range(5):
            node.answer(REAL, Outcome.TIMED_OUT)
        assert node.look().mode is Mode.HANDED_OVER
        assert node.file.content == HANDED_OVER

    def test_a_foreign_write_is_met_as_in_the_other_mode(self) -> None:
        """A poisoned file gets its backup again."""
        node = _handed_over()
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
        node = _node(POISON, knows=(_candidate(),), **policy)
        node.bound, node.pods = frozenset({NODELOCAL}), pods
        _answers(node, NODELOCAL, times=3)
        if answers:
            _answers(node, REAL)
        plan = node.look()
        assert plan.nodelocal is NodeLocal.HEALTHY
        assert plan.mode is Mode.GUARDING
        assert dict(plan.because)["handover"] != "done"
        assert node.file.content == GUARDED

    def test_always_is_taken_at_its_word(self) -> None:
        """The operator knows better what pods read."""
        node = _node(POISON, knows=(_candidate(),), handover=HandoverMode.ALWAYS)
        node.bound, node.pods = frozenset({NODELOCAL}), SAME
        _answers(node, REAL, NODELOCAL, times=3)
        assert node.look().mode is Mode.HANDED_OVER

    def test_a_copy_that_follows_ends_it_and_is_remembered(self) -> None:
        """Some program copies what resolv.conf says: it would do so at each handover."""
        node = _handed_over()
        copy = replace(OWN, path="/etc/custom-resolv.conf")
        node.pods = copy
        assert node.look().mode is Mode.HANDED_OVER
        node.pods = replace(copy, nameservers=(NODELOCAL, REAL))
        assert node.look().mode is Mode.GUARDING
        node.pods = copy
        _answers(node, REAL, NODELOCAL, times=3)
        plan = node.look()
        assert plan.mode is Mode.GUARDING
        assert "made of /etc/resolv.conf" in dict(plan.because)["handover"]
        node.pods = OWN  # adopted
        node.now += 60
        _answers(node, REAL, NODELOCAL, times=3)
        assert node.look().mode is Mode.HANDED_OVER

    def test_what_cannot_be_told_stands_against_it(self) -> None:
        """Pods are started here, and nobody knows which file they get; unless the operator does."""
        node = _handed_over()
        node.pods_doubt = "no kubelet is understood here, but there is /run/k3s"
        plan = node.look()
        assert (plan.mode, node.file.content) == (Mode.GUARDING, GUARDED)
        assert node.pods_doubt in dict(plan.because)["handover"]
        node = _node(POISON, knows=(_candidate(),), handover=HandoverMode.ALWAYS)
        node.bound, node.pods_doubt = frozenset({NODELOCAL}), "nobody can tell"
        _answers(node, REAL, NODELOCAL, times=3)
        assert node.look().mode is Mode.HANDED_OVER

    def test_kubelet_coming_up_ends_it(self) -> None:
        """A kubelet that hands /etc/resolv.conf to pods is configured after the handover."""
        node = _handed_over()
        node.pods = SAME
        assert node.look().mode is Mode.GUARDING
        assert node.file.content == GUARDED


class TestTheFileForKubelet:
    """/var/lib/dnsguard/resolv.conf."""

    def _written(self, node: Node) -> bytes | None:
        node.look()
        return node.pod_file

    def test_it_names_real_servers_and_the_nodes_own_search_list(self) -> None:
        """Without the cluster's domains, which kubelet adds where they belong."""
        node = _node(POISON.replace(b"cluster.local", b"cluster.local corp.example"))
        node.found = (_candidate(),)
        assert self._written(node) == (
            b"# Real upstreams for kubelet (resolvConf), kept by dnsguard(8).\n"
            b"search corp.example\nnameserver 10.0.0.2\n"
        )

    def test_it_stays_the_same_over_a_handover(self) -> None:
        """Pods never see NodeLocalDNS's address here."""
        assert promises.used(_handed_over().pod_file or b"") == (REAL,)

    def test_a_stub_on_loopback_is_not_for_pods(self) -> None:
        """127.0.0.53 is nobody in a pod's network namespace."""
        node = _node(b"nameserver 127.0.0.53\n", knows=(_candidate(),))
        assert promises.used(self._written(node) or b"") == (REAL,)

    def test_the_same_servers_come_in_the_same_order(self) -> None:
        """In both files, whoever is the faster one, and whatever the order was before."""
        node = _node(POISON, knows=(_candidate(REAL), _candidate(OTHER)))
        node.pod_file = b"nameserver 192.0.2.53\nnameserver 10.0.0.2\n"
        node.answer(REAL, Outcome.ANSWERED, rtt=0.9)
        node.answer(OTHER, Outcome.ANSWERED, rtt=0.1)
        assert promises.used(self._written(node) or b"") == (REAL, OTHER)
        assert promises.used(node.file.content) == (REAL, OTHER)

    @pytest.mark.parametrize("named", ["169.254.25.10", "192.0.2.53", "127.0.0.53"])
    def test_cluster_dns_never_stays_in_it(self, named: str) -> None:
        """Known as such, found out in an earlier boot, or a stub: not even for want of others."""
        node = _node(POISON)
        node.memory = replace(node.memory, convicts={OTHER: 1.0})
        node.pod_file = f"nameserver {named}\n".encode()
        assert promises.used(self._written(node) or b"") == ()

    def test_it_is_not_written_with_nobody_in_it(self) -> None:
        """What was there stays, since nothing better is known."""
        node = _node(POISON)
        node.pod_file = b"nameserver 10.9.9.9\n"
        plan = node.look()
        assert not [a for a in plan.actions if isinstance(a, ReplacePodFile) and not a.wanted]
        assert promises.used(node.pod_file) == (ip_address("10.9.9.9"),)


class TestWhen:
    """The time of a repair."""

    def test_poison_is_repaired_in_the_same_look(self) -> None:
        """Nothing is waited for."""
        node = _node(GUARDED, knows=(_candidate(),))
        node.look()
        node.write(POISON)
        plan = node.look()
        assert node.file.content == GUARDED
        assert plan.is_settled

    @pytest.mark.parametrize("content", [b"", b"\n", b" \n\t\n", None])
    def test_an_empty_or_missing_file_gets_a_moment(self, content: bytes | None) -> None:
        """Its writer is likely on the way; then it comes back as it was."""
        node = _node(POISON, knows=(_candidate(),))
        node.look()
        start = node.now
        if content is None:
            node.spoil(Trouble.MISSING)
        else:
            node.write(content)
        plan = node.look()
        assert (plan.is_settled, plan.look_at) == (False, start + GRACE)
        node.now = start + GRACE
        assert node.look().is_settled
        assert promises.used(node.file.content) == (REAL,)
        if not content:
            assert node.file.content == GUARDED

    def test_a_writer_is_waited_for(self) -> None:
        """A file that is open for writing is looked at every millisecond, and left alone."""
        node = _node(GUARDED, knows=(_candidate(),))
        node.look()
        start = node.now
        node.write(b"nameserver 169.254.", being_written=True)
        while node.now < start + PATIENCE - PEEK:
            plan = node.look()
            assert plan.look_at == pytest.approx(node.now + PEEK)
            node.now = plan.look_at
        node.write(POISON)
        assert node.look().is_settled
        assert node.file.content == GUARDED

    def test_a_writer_that_never_ends_is_not_waited_for_for_ever(self) -> None:
        """A quarter of a second is enough for anyone to write 100 bytes."""
        node = _node(GUARDED, knows=(_candidate(),))
        node.look()
        node.write(POISON, being_written=True)
        start = node.now
        node.quiet(within=PATIENCE + PEEK)
        assert node.now == pytest.approx(start + PATIENCE)
        assert node.file.content == GUARDED

    @pytest.mark.parametrize("trouble", [Trouble.TOO_BIG, Trouble.NOT_A_FILE, Trouble.UNREADABLE])
    def test_what_is_no_file_is_replaced_at_once(self, trouble: Trouble) -> None:
        """Nobody can read a name server from it."""
        node = _node(POISON, knows=(_candidate(),))
        node.look()
        node.spoil(trouble)
        assert node.look().is_settled
        assert node.file.content == GUARDED

    def test_a_fight_is_met_with_growing_delays_and_a_last_word(self) -> None:
        """A hundred writes a second for ten seconds; then one repair, and quiet."""
        node = _node(GUARDED, knows=(_candidate(),))
        node.look()
        start = node.now
        while node.now < start + 10.0:
            node.write(POISON)
            plan = node.look()
            node.now += 0.01
        assert len(node.written_at) < fight.BURST + 12
        assert dict(plan.because)["write"].startswith("delayed")
        node.quiet(within=fight.LONGEST)
        assert node.file.content == GUARDED

    def test_a_file_that_cannot_be_written_is_tried_again(self) -> None:
        """Immutable: no success, no false memory of one, and no learning from it."""
        node = _node(POISON, knows=(_candidate(),))
        node.can_write = False
        for _ in range(3):
            assert any(isinstance(action, ReplaceFile) for action in node.look().actions)
            node.now += 5.0
        assert node.memory.tramples.count == 0
        node.can_write = True
        node.look()
        assert node.file.content == GUARDED


class TestMemory:
    """What is kept of others' writing."""

    def test_the_foreign_file_is_kept_once(self) -> None:
        """Byte for byte, and not again while it says the same."""
        node = _node(POISON, knows=(_candidate(),))
        assert KeepForeign(content=POISON) in node.look().actions
        node.write(POISON)
        assert not [a for a in node.look().actions if isinstance(a, KeepForeign)]

    def test_tramples_are_counted(self) -> None:
        """Each write of somebody else's over ours, and none of ours."""
        node = _node(POISON, knows=(_candidate(),))
        node.look()
        for count in range(1, 4):
            node.now += 2.0
            node.write(POISON)
            node.look()
            node.look()
            assert node.memory.tramples.count == count

    def test_a_truncated_file_takes_nothing_back(self) -> None:
        """Between truncation and writing nothing is said yet."""
        node = _node(b"nameserver 10.0.0.2\nnameserver 169.254.25.10\n")
        node.look()
        node.write(b"", being_written=True)
        node.look()
        assert node.memory.foreign == b"nameserver 10.0.0.2\nnameserver 169.254.25.10\n"
        assert [candidate.address for candidate in node.memory.learned] == [REAL, NODELOCAL]

    def test_what_an_earlier_run_added_is_known_when_the_state_is_lost(self) -> None:
        """/var/lib/dnsguard is gone; the file itself still names the server we had found."""
        node = _node(GUARDED)
        node.look()
        node.write(POISON)
        assert node.look().wanted == (REAL,)

    def test_a_moved_node_forgets_the_other_network(self) -> None:
        """Once something answers here, what no longer does is dropped."""
        node = _node(b"nameserver 10.0.0.2\n")
        _answers(node, REAL)
        node.look()
        node.write(b"nameserver 192.0.2.53\n")
        for _ in range(upstreams.FORGOTTEN_AFTER):
            node.answer(REAL, Outcome.TIMED_OUT)
        node.look()
        assert REAL in {kept.address for kept in node.memory.remembered}
        _answers(node, OTHER)
        node.look()
        assert {kept.address for kept in node.memory.remembered} == {OTHER}

    def test_a_restart_knows_what_was_learned(self) -> None:
        """The daemon is killed, the file is poisoned meanwhile, the server is remembered."""
        node = _node(b"nameserver 10.0.0.2\n")
        node.look()
        _answers(node, REAL)
        node.look()
        node.restart()
        node.write(POISON)
        assert node.look().wanted == (REAL,)


class TestHeld:
    """When an operator has pinned who serves."""

    def test_to_the_upstream_although_nodelocaldns_is_healthy(self) -> None:
        """The upstream is back at once, and stays."""
        node = _handed_over()
        node.hold = _hold(Serves.UPSTREAM)
        plan = node.look()
        assert (plan.mode, node.file.content) == (Mode.HELD, GUARDED)
        assert dict(plan.because)["handover"] == "held to upstream by alice"

    def test_to_nodelocaldns_although_it_is_dead(self) -> None:
        """It stands first, and the upstream behind it still resolves."""
        node = _node(POISON, knows=(_candidate(),))
        node.bound = frozenset()
        node.look()
        node.hold = _hold(Serves.NODELOCAL)
        plan = node.look()
        assert (plan.mode, plan.wanted) == (Mode.HELD, (NODELOCAL, REAL))
        assert node.file.content == HANDED_OVER

    REFUSED = (
        pytest.param({"pods": SAME}, (_candidate(),), id="pods"),
        pytest.param({}, (), id="nothing to stand behind it"),
    )

    @pytest.mark.parametrize(("world", "knows"), REFUSED)
    def test_never_into_a_loop(
        self, world: dict[str, PodsFile], knows: tuple[Candidate, ...]
    ) -> None:
        """The promises outrank the operator; the reason says so."""
        node = _node(POISON, knows=knows)
        node.bound, node.hold = frozenset(), _hold(Serves.NODELOCAL)
        node.pods = world.get("pods")
        plan = node.look()
        assert plan.mode is Mode.HELD
        assert node.memory.serves is Serves.UPSTREAM
        assert dict(plan.because)["handover"].startswith("held to nodelocal by alice, but ")

    def test_it_ends_by_itself(self) -> None:
        """To the second, and the node is handed over again."""
        node = _handed_over()
        node.hold = _hold(Serves.UPSTREAM, until=node.now + 60)
        assert node.look().look_at <= node.now + 60
        node.now += 60
        _answers(node, REAL, NODELOCAL, times=3)
        plan = node.look()
        assert plan.mode is Mode.HANDED_OVER
        assert [type(action) for action in plan.actions][-1] is EndHold

    def test_a_poison_is_repaired_as_ever(self) -> None:
        """Held to the upstream, the file is guarded."""
        node = _node(POISON, knows=(_candidate(),))
        node.bound, node.hold = frozenset(), _hold(Serves.UPSTREAM)
        node.look()
        node.write(POISON)
        node.look()
        assert node.file.content == GUARDED


def _hold(serves: Serves, until: float = math.inf) -> Hold:
    return Hold(serves=serves, by="alice", since=0.0, until=until)
