"""What a person writes into the file by hand."""

import pytest
from property import promises
from property.node import Node
from property.text import NODELOCAL

from dnsguard.core import probe_record
from dnsguard.core.answers import Outcome
from dnsguard.core.decide import forget
from dnsguard.core.model import Mode
from unit.decisions import (
    GUARDED,
    HANDED_OVER,
    OTHER,
    POISON,
    REAL,
    let_answer,
    make_candidate,
    make_handed_over_node,
    make_node,
)


class TestEdited:
    """What a person does to the file by hand."""

    def _completed(self) -> Node:
        """Return a node whose file dnsguard has completed with a server that answers."""
        node = make_node(POISON, knows=(make_candidate(),))
        node.look()
        let_answer(node, REAL)
        node.look()
        assert node.file.content == GUARDED
        return node

    def _edit(self, node: Node, text: bytes) -> None:
        node.write(text)
        node.look()
        let_answer(node, REAL, OTHER)
        node.look()

    @pytest.mark.parametrize("is_restarted", [False, True])
    def test_an_added_server_removes_nobody(self, *, is_restarted: bool) -> None:
        """Both answer and both stay, in the file for pods too, whatever comes between."""
        node = self._completed()
        self._edit(node, GUARDED + b"nameserver 192.0.2.53\n")
        if is_restarted:
            node.restart()
            node.look()
            let_answer(node, REAL, OTHER)
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
        for _ in range(probe_record.LOST_AFTER):
            let_answer(node, REAL)
            node.answer(OTHER, Outcome.TIMED_OUT)
            plan = node.look()
        assert promises.used(node.file.content) == (REAL,)
        assert [one.address for one in plan.unused] == [OTHER]
        assert node.look().unused == ()

    def test_a_server_is_added_behind_nodelocal(self) -> None:
        """The same while the node is handed over."""
        node = make_handed_over_node()
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
            let_answer(node, REAL, OTHER)
            assert node.look().wanted == (OTHER,)
            node.restart()
            node.look()
        for _ in range(probe_record.LOST_AFTER):
            node.answer(OTHER, Outcome.TIMED_OUT)
        node.now += 1
        let_answer(node, REAL)
        assert node.look().wanted == (REAL,)
        let_answer(node, OTHER)
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
        let_answer(node, OTHER)
        node.found = (make_candidate(OTHER),)
        node.look()
        assert promises.used(node.file.content) == (OTHER,)
        assert REAL not in {one.address for one in node.memory.remembered}


def test_rotate_is_held_back_while_nodelocal_shares_the_file() -> None:
    """With it glibc would ask the upstream for every second of the cluster's names."""
    text = b"nameserver 169.254.25.10\nnameserver 10.0.0.2\noptions ndots:2 rotate\n"
    node = make_node(text)
    node.bound = frozenset({NODELOCAL})
    let_answer(node, REAL, NODELOCAL, times=3)
    assert node.look().mode is Mode.HANDED_OVER
    assert node.file.content == (
        b"nameserver 169.254.25.10\nnameserver 10.0.0.2\n"
        b"# held back by dnsguard: options ndots:2 rotate\noptions ndots:2\n"
    )
    node.write(b"nameserver 10.0.0.2\n" + b"".join(node.file.content.splitlines(True)[2:]))
    node.bound = frozenset()
    node.look()
    assert node.file.content == b"nameserver 10.0.0.2\noptions ndots:2 rotate\n"
