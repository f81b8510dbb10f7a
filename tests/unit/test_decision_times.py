"""When is looked, asked and written."""

import pytest
from property import promises

from dnsguard.core import backoff
from dnsguard.core.observation import Trouble
from dnsguard.core.plan import ReplaceFile
from dnsguard.core.rewrite import GRACE, PATIENCE, PEEK
from unit.decisions import GUARDED, POISON, REAL, make_candidate, make_node


class TestWhen:
    """The time of a repair."""

    def test_poison_is_repaired_in_the_same_look(self) -> None:
        """Nothing is waited for."""
        node = make_node(GUARDED, knows=(make_candidate(),))
        node.look()
        node.write(POISON)
        plan = node.look()
        assert node.file.content == GUARDED
        assert plan.is_settled

    @pytest.mark.parametrize("content", [b"", b"\n", b" \n\t\n", None])
    def test_an_empty_or_missing_file_gets_a_moment(self, content: bytes | None) -> None:
        """Its writer is likely on the way; then it comes back as it was."""
        node = make_node(POISON, knows=(make_candidate(),))
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
        node = make_node(GUARDED, knows=(make_candidate(),))
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
        node = make_node(GUARDED, knows=(make_candidate(),))
        node.look()
        node.write(POISON, being_written=True)
        start = node.now
        node.quiet(within=PATIENCE + PEEK)
        assert node.now == pytest.approx(start + PATIENCE)
        assert node.file.content == GUARDED

    @pytest.mark.parametrize("trouble", [Trouble.TOO_BIG, Trouble.NOT_A_FILE, Trouble.UNREADABLE])
    def test_what_is_no_file_is_replaced_at_once(self, trouble: Trouble) -> None:
        """Nobody can read a name server from it."""
        node = make_node(POISON, knows=(make_candidate(),))
        node.look()
        node.spoil(trouble)
        assert node.look().is_settled
        assert node.file.content == GUARDED

    def test_a_fight_is_met_with_growing_delays_and_a_last_word(self) -> None:
        """A hundred writes a second for ten seconds; then one repair, and quiet."""
        node = make_node(GUARDED, knows=(make_candidate(),))
        node.look()
        start = node.now
        while node.now < start + 10.0:
            node.write(POISON)
            plan = node.look()
            node.now += 0.01
        assert len(node.written_at) < backoff.BURST + 12
        assert dict(plan.because)["write"].startswith("delayed")
        node.quiet(within=backoff.LONGEST_DELAY)
        assert node.file.content == GUARDED

    def test_a_file_that_cannot_be_written_is_tried_again(self) -> None:
        """Immutable: no success, no false memory of one, and no learning from it."""
        node = make_node(POISON, knows=(make_candidate(),))
        node.can_write = False
        for _ in range(3):
            assert any(isinstance(action, ReplaceFile) for action in node.look().actions)
            node.now += 5.0
        assert node.memory.tramples.count == 0
        node.can_write = True
        node.look()
        assert node.file.content == GUARDED
