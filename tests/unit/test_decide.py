"""Whole worlds: what stands in the file, what is known, and what is decided."""

from typing import Any

import pytest
from property import promises
from property.node import Node
from property.text import NODELOCAL

from dnsguard.core import probe_record, remembered
from dnsguard.core.answers import REFUSED, Outcome
from dnsguard.core.model import Mode, NodeLocal, Source, Stub, UpstreamState
from dnsguard.core.observation import PodsFile
from dnsguard.core.plan import KeepForeign, Remember, ReplaceFile
from dnsguard.core.policy import HandoverMode
from dnsguard.formats.address import IPAddress
from unit.decisions import (
    COPY,
    GUARDED,
    NAMES_IT,
    NOBODY,
    OTHER,
    OWN,
    POISON,
    REAL,
    SAME,
    STUB,
    UNREAD,
    find_pool,
    let_answer,
    make_candidate,
    make_node,
)


class TestGuarding:
    """While NodeLocalDNS is not healthy."""

    @pytest.mark.parametrize("source", [source for source in Source if source != "guess"])
    def test_any_source_repairs_a_poisoned_file(self, source: Source) -> None:
        """The best known server is written before it has answered."""
        node = make_node(POISON, knows=(make_candidate(source=source),))
        plan = node.look()
        assert node.file.content == GUARDED
        assert (plan.mode, plan.upstream) == (Mode.GUARDING, UpstreamState.UNVERIFIED)

    def test_the_first_look_knows_no_address_and_repairs_all_the_same(self) -> None:
        """Boot: netlink is not loaded yet."""
        node = make_node(POISON, knows=(make_candidate(),))
        node.bound = None
        plan = node.look()
        assert node.file.content == GUARDED
        assert plan.is_settled
        assert plan.nodelocal is NodeLocal.UNKNOWN

    def test_a_healthy_file_is_left_alone(self) -> None:
        """Not a byte is written where nothing is wrong."""
        node = make_node(b"nameserver 10.0.0.2\noptions rotate\n")
        plan = node.look()
        assert not [action for action in plan.actions if isinstance(action, ReplaceFile)]
        assert plan.wanted == (REAL,)

    def test_an_answer_moves_to_a_server_that_works(self) -> None:
        """The file's own server is silent, the lease's answers."""
        node = make_node(b"nameserver 192.0.2.53\n", knows=(make_candidate(),))
        node.look()
        let_answer(node, REAL)
        plan = node.look()
        assert plan.wanted == (REAL,)
        assert b"# held back by dnsguard: nameserver 192.0.2.53" in node.file.content

    def test_who_fell_silent_comes_back_to_its_place(self) -> None:
        """Held back while it was silent, and in the file's own line again when it answers."""
        text = b"nameserver 10.0.0.2\nnameserver 192.0.2.53\n"
        node = make_node(text)
        let_answer(node, REAL, OTHER)
        node.look()
        for _ in range(probe_record.LOST_AFTER):
            node.answer(REAL, Outcome.TIMED_OUT)
        assert node.look().wanted == (OTHER,)
        let_answer(node, REAL)
        node.look()
        assert node.file.content == text

    def test_nothing_known_takes_a_dead_end_away(self) -> None:
        """No nameserver beats a loop: the cluster address is held back, nothing is added."""
        node = make_node(POISON)
        plan = node.look()
        assert node.file.content == (
            b"search cluster.local\n# held back by dnsguard: nameserver 169.254.25.10\n"
        )
        assert plan.upstream is UpstreamState.NONE
        assert plan.wanted == ()

    def test_nothing_known_leaves_what_answers(self) -> None:
        """NodeLocalDNS is all there is, and it works: it stays until it falls silent."""
        node = make_node(POISON)
        node.bound = frozenset({NODELOCAL})
        let_answer(node, NODELOCAL, times=3)
        plan = node.look()
        assert (node.file.content, plan.mode) == (POISON, Mode.GUARDING)
        node.answer(NODELOCAL, Outcome.TIMED_OUT)
        node.answer(NODELOCAL, Outcome.TIMED_OUT)
        node.look()
        assert promises.used(node.file.content) == ()

    def _held_back(self, pods: PodsFile | None, **policy: Any) -> Node:  # noqa: ANN401
        """Return a node that knew nobody at boot, and whose NodeLocalDNS is healthy by now."""
        node = make_node(POISON, **policy)
        node.pods = pods
        node.look()
        assert promises.used(node.file.content) == ()
        node.bound = frozenset({NODELOCAL})
        let_answer(node, NODELOCAL, times=3)
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
        node.found = (make_candidate(),)
        node.look()
        assert node.file.content == GUARDED

    @pytest.mark.parametrize("pods", [SAME, COPY])
    def test_what_pods_get_is_given_nothing_back(self, pods: PodsFile) -> None:
        """CoreDNS would be started with it and forward to itself."""
        assert promises.used(self._held_back(pods).file.content) == ()
        assert self._held_back(pods, handover=HandoverMode.ALWAYS).file.content == POISON

    def test_where_nobody_can_tell_what_pods_get_nothing_is_given_back(self) -> None:
        """A kubelet that is not understood may give them resolv.conf."""
        node = make_node(POISON)
        node.pods_doubt = "nobody understands its kubelet"
        node.look()
        node.bound = frozenset({NODELOCAL})
        let_answer(node, NODELOCAL, times=3)
        node.look()
        assert promises.used(node.file.content) == ()

    def test_the_operator_has_the_first_and_the_last_word(self) -> None:
        """upstream.servers before all that is found, upstream.fallback behind it."""
        node = make_node(POISON, servers=(OTHER,), fallback=(STUB,), knows=(make_candidate(),))
        assert node.look().wanted == (OTHER,)
        node = make_node(POISON, fallback=(OTHER,), knows=(make_candidate(),))
        assert node.look().wanted == (REAL,)
        assert make_node(POISON, fallback=(OTHER,)).look().wanted == (OTHER,)

    def test_a_guess_is_used_once_it_answered(self) -> None:
        """A router may serve DNS, or drop it: nobody has said that it does."""
        node = make_node(POISON, knows=(make_candidate(source=Source.GUESS),))
        assert node.look().wanted == ()
        let_answer(node, REAL)
        assert node.look().wanted == (REAL,)
        assert REAL not in {kept.address for kept in node.memory.remembered}

    def test_cluster_dns_is_found_out_at_any_address(self) -> None:
        """It answers, and it answers the cluster's own name: no upstream, whoever names it."""
        node = make_node(POISON, knows=(make_candidate(OTHER, Source.DHCP), make_candidate()))
        node.impostors = frozenset({OTHER})
        node.look()
        let_answer(node, OTHER, REAL)
        assert node.look().wanted == (REAL,)
        assert OTHER not in {kept.address for kept in node.memory.remembered}
        node.write(b"nameserver 192.0.2.53\nnameserver 10.0.0.2\n")
        node.look()
        assert promises.used(node.file.content) == (REAL,)

    def test_the_operator_may_name_it_all_the_same(self) -> None:
        """A resolver that forwards the cluster's domain to the cluster is a real one."""
        node = make_node(POISON, knows=(make_candidate(OTHER, Source.CONFIG),), servers=(OTHER,))
        node.impostors = frozenset({OTHER})
        let_answer(node, OTHER)
        plan = node.look()
        assert (plan.wanted, plan.upstream) == ((OTHER,), UpstreamState.VERIFIED)

    def test_where_nothing_else_is_known_cluster_dns_found_out_is_left(self) -> None:
        """It works, and nobody has called it a cluster address: no nameserver were worse."""
        node = make_node(b"nameserver 192.0.2.53\n")
        node.impostors = frozenset({OTHER})
        node.look()
        let_answer(node, OTHER)
        assert node.look().upstream is UpstreamState.NONE
        assert promises.used(node.file.content) == (OTHER,)

    def test_a_resolver_on_the_node_itself_counts_once_it_was_shown_to_be_one(self) -> None:
        """The company's resolver at the node's LAN address, named by the file (case 70).

        It stays, first as it was, and is back after a poison and after a reboot. Where nobody
        was seen to answer there, it is named by nobody: the control.
        """
        node = make_node(b"nameserver 192.0.2.53\nnameserver 10.0.0.2\n", knows=(make_candidate(),))
        node.bound = frozenset({OTHER})
        let_answer(node, OTHER, REAL)
        assert node.look().wanted == (OTHER, REAL)
        node.write(POISON)
        assert node.look().wanted[0] == OTHER
        node.restart()
        node.write(POISON)
        assert node.look().wanted[0] == OTHER

        node = make_node(POISON, knows=(make_candidate(OTHER, Source.DHCP),))
        node.bound = frozenset({OTHER})
        assert node.look().wanted == ()

    @pytest.mark.parametrize(("rcode", "stays"), [(REFUSED, True), (None, False)])
    def test_who_refuses_names_outside_may_know_the_companys(
        self, rcode: int | None, *, stays: bool
    ) -> None:
        """Glibc asks the next one at once; who is silent costs its time-out, and is the control."""
        text = b"nameserver 192.0.2.53\nnameserver 10.0.0.2\n"
        node = make_node(text)
        for _ in range(4):
            node.answer(OTHER, Outcome.FAILED if stays else Outcome.TIMED_OUT, rcode=rcode)
            let_answer(node, REAL)
            node.look()
        assert (node.file.content == text) is stays
        assert promises.used(node.file.content) == ((OTHER, REAL) if stays else (REAL,))

    @pytest.mark.parametrize(("asks", "expected"), [(REAL, STUB), (NODELOCAL, REAL)])
    def test_a_stub_is_as_good_as_whom_it_asks(self, asks: IPAddress, expected: IPAddress) -> None:
        """systemd-resolved with Kubespray's servers is a loop with one more hop."""
        node = make_node(knows=(make_candidate(),))
        node.write(b"nameserver 127.0.0.53\n", link="../run/systemd/resolve/stub-resolv.conf")
        node.stubs = (Stub(addresses=frozenset({STUB}), asks=(asks,), origin="resolved"),)
        assert node.look().wanted == (expected,)

    def test_a_stub_that_reads_our_file_tells_nothing_new(self) -> None:
        """A node was dead for good: its file named 127.0.0.53, which asked whom the file names.

        Where resolv.conf is no link to a file of resolved's, neither the stub nor resolved's
        list is an upstream. The control is the link.
        """
        echo = make_candidate(OTHER, Source.RESOLVED)
        stub = Stub(addresses=frozenset({STUB}), asks=(OTHER,), origin="resolved")
        text = b"nameserver 127.0.0.53\n"
        link = "/run/systemd/resolve/resolv.conf"
        for is_foreign, expected in ((True, (REAL,)), (False, (STUB,))):
            node = make_node(knows=(make_candidate(), echo))
            node.stubs = (stub,)
            node.write(text, link=None if is_foreign else link)
            assert node.look().wanted == expected
            assert {u.address for u in find_pool(node)} == {
                REAL,
                *(() if is_foreign else (OTHER, STUB)),
            }

    def test_a_cluster_address_is_no_candidate_wherever_it_comes_from(self) -> None:
        """A poisoned lease, a poisoned backup, a poisoned memory."""
        poisoned = tuple(make_candidate(NODELOCAL, source) for source in Source)
        assert make_node(POISON, knows=poisoned).look().upstream is UpstreamState.NONE

    def test_what_dhclient_renews_is_learned(self) -> None:
        """A foreign file with a new real server is not just overwritten."""
        node = make_node(POISON, knows=(make_candidate(),))
        node.look()
        node.write(b"nameserver 169.254.25.10\nnameserver 192.0.2.53\n")
        plan = node.look()
        assert plan.wanted == (OTHER,)
        assert any(isinstance(action, Remember) for action in plan.actions)
        node.write(POISON)
        let_answer(node, OTHER)
        assert node.look().wanted == (OTHER,)


class TestMemory:
    """What is kept of others' writing."""

    def test_the_foreign_file_is_kept_once(self) -> None:
        """Byte for byte, and not again while it says the same."""
        node = make_node(POISON, knows=(make_candidate(),))
        assert KeepForeign(content=POISON) in node.look().actions
        node.write(POISON)
        assert not [a for a in node.look().actions if isinstance(a, KeepForeign)]

    def test_tramples_are_counted(self) -> None:
        """Each write of somebody else's over ours, and none of ours."""
        node = make_node(POISON, knows=(make_candidate(),))
        node.look()
        for count in range(1, 4):
            node.now += 2.0
            node.write(POISON)
            node.look()
            node.look()
            assert node.memory.tramples.count == count

    def test_a_truncated_file_takes_nothing_back(self) -> None:
        """Between truncation and writing nothing is said yet."""
        node = make_node(b"nameserver 10.0.0.2\nnameserver 169.254.25.10\n")
        node.look()
        node.write(b"", being_written=True)
        node.look()
        assert node.memory.foreign == b"nameserver 10.0.0.2\nnameserver 169.254.25.10\n"
        assert [candidate.address for candidate in node.memory.learned] == [REAL, NODELOCAL]

    def test_what_an_earlier_run_added_is_known_when_the_state_is_lost(self) -> None:
        """/var/lib/dnsguard is gone; the file itself still names the server we had found."""
        node = make_node(GUARDED)
        node.look()
        node.write(POISON)
        assert node.look().wanted == (REAL,)

    def test_a_moved_node_forgets_the_other_network(self) -> None:
        """Once something answers here, what no longer does is dropped."""
        node = make_node(b"nameserver 10.0.0.2\n")
        let_answer(node, REAL)
        node.look()
        node.write(b"nameserver 192.0.2.53\n")
        for _ in range(remembered.FORGOTTEN_AFTER):
            node.answer(REAL, Outcome.TIMED_OUT)
        node.look()
        assert REAL in {kept.address for kept in node.memory.remembered}
        let_answer(node, OTHER)
        node.look()
        assert {kept.address for kept in node.memory.remembered} == {OTHER}

    def test_a_restart_knows_what_was_learned(self) -> None:
        """The daemon is killed, the file is poisoned meanwhile, the server is remembered."""
        node = make_node(b"nameserver 10.0.0.2\n")
        node.look()
        let_answer(node, REAL)
        node.look()
        node.restart()
        node.write(POISON)
        assert node.look().wanted == (REAL,)
