"""A node's life in any order: whatever happens meanwhile, the promises hold.

The machine below plays everybody else: programs that write, truncate and delete the
file, NodeLocalDNS and upstreams that come and go, a disk that is full, a clock. The
checks stand in :mod:`property.promises` and come with every look.
"""

import math
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dnsguard.core import backoff, links
from dnsguard.core.answers import Outcome
from dnsguard.core.hold import Hold, Serves
from dnsguard.core.model import Candidate, HookRecord, Mode
from dnsguard.core.observation import PodsFile, Trouble
from dnsguard.core.rewrite import GRACE, PATIENCE
from dnsguard.formats import guarded_resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.records import DhclientEvent, Reason
from property import promises
from property.node import (
    EPOCH,
    Node,
    bound,
    candidates,
    nodes,
    outcomes,
    pods_files,
    steps,
    troubles,
)
from property.text import ADDRESSES, NODELOCAL, UPSTREAMS, foreign_files, nameserver_lines

MOST_REPAIRS = 2 * backoff.BURST
"""In any second: the burst, what the growing delays let through, and handovers."""
LONGEST = backoff.LONGEST_DELAY + PATIENCE + GRACE
"""Seconds until a repair that is due is made, the worst of all delays together."""


def _has_a_writer(life: "Life") -> bool:
    return life.node.file.being_written


class Life(RuleBasedStateMachine):
    """Everybody but the guard."""

    node: Node
    tramples = 0

    @initialize(node=nodes())
    def start(self, node: Node) -> None:
        self.node = node
        node.look()

    @rule(content=foreign_files(), being_written=st.booleans(), is_seen=st.booleans())
    def somebody_writes(self, content: bytes, *, being_written: bool, is_seen: bool) -> None:
        """Write the file anew; the hint may be lost."""
        self._write(content, being_written=being_written, is_seen=is_seen)

    @rule(line=nameserver_lines(), at=st.integers(0, 9), drop=st.integers(0, 2))
    def somebody_edits(self, line: bytes, at: int, drop: int) -> None:
        """Edit what is there, which may well be ours."""
        lines = self.node.file.content.split(b"\n")
        lines[at : at + drop] = [line]
        self._write(b"\n".join(lines))

    @rule(is_marked=st.booleans())
    def the_same_comes_again(self, *, is_marked: bool) -> None:
        """Write what was foreign last once more: dhclient at each lease."""
        if self.node.foreign is not None:
            self._write(self.node.foreign + b"# again\n" * is_marked)

    def _write(self, content: bytes, *, being_written: bool = False, is_seen: bool = True) -> None:
        self.tramples += 1
        self.node.write(content, being_written=being_written)
        if is_seen:
            self.node.look()

    @rule(content=st.none() | foreign_files())
    def a_manager_links(self, content: bytes | None) -> None:
        """Put a link into a manager's place there, as its package or an admin does."""
        self.tramples += 1
        self.node.link(content)
        self.node.look()

    @rule(content=foreign_files())
    def the_manager_writes(self, content: bytes) -> None:
        """Write what the link leads to, whether that is in place or not."""
        self.node.manage(content)
        self.node.look()

    @rule()
    def somebody_truncates(self) -> None:
        self._write(b"", being_written=True)

    @precondition(_has_a_writer)
    @rule(content=foreign_files())
    def the_writer_is_done(self, content: bytes) -> None:
        self._write(content)

    @rule(trouble=troubles)
    def the_file_is_spoiled(self, trouble: Trouble) -> None:
        self.node.spoil(trouble)
        self.node.look()

    @rule(addresses=bound)
    def addresses_change(self, addresses: frozenset[IPAddress] | None) -> None:
        self.node.bound = addresses
        self.node.look()

    @rule(address=st.sampled_from(ADDRESSES), outcome=outcomes, rtt=st.floats(0, 1))
    def somebody_answers(self, address: IPAddress, outcome: Outcome, rtt: float) -> None:
        self.node.answer(address, outcome, rtt)
        self.node.look()

    @rule(impostors=st.sets(st.sampled_from(UPSTREAMS), max_size=2), unsynced=st.booleans())
    def cluster_dns_is_somewhere_else(self, impostors: set[IPAddress], *, unsynced: bool) -> None:
        """Let cluster DNS answer at addresses that nobody has told of, synced or not yet."""
        self.node.impostors = frozenset(impostors)
        self.node.unsynced = frozenset(impostors if unsynced else ())

    @rule(
        servers=st.lists(
            st.sampled_from([one for one in ADDRESSES if one.version == 4]), max_size=3
        ),
        reason=st.sampled_from([Reason.BOUND, Reason.RENEW, Reason.EXPIRE]),
    )
    def dhclient_is_told(self, servers: list[IPAddress], reason: Reason) -> None:
        """Let our enter hook write down what a DHCP server said, poisoned or not."""
        self.node.now += 0.001
        told = DhclientEvent(
            reason=reason, interface="eth0", nameservers=tuple(servers), domain="a.test"
        )
        self.node.records = (HookRecord(told=told, written=EPOCH + self.node.now),)
        self.node.look()

    @rule()
    def nodelocal_becomes_healthy(self) -> None:
        """Let NodeLocalDNS and the real servers answer as often as it takes."""
        self.node.bound = frozenset({NODELOCAL})
        for _ in range(self.node.policy.successes):
            for address in (NODELOCAL, *UPSTREAMS):
                self.node.answer(address, Outcome.ANSWERED)
            self.node.look()

    @rule()
    def nodelocal_dies(self) -> None:
        """Let it fall silent; the guard must be back after ``failures`` answers."""
        for _ in range(self.node.policy.failures):
            self.node.answer(NODELOCAL, Outcome.UNREACHABLE)
            self.node.look()

    @rule(seconds=steps)
    def time_passes(self, seconds: float) -> None:
        self.node.now += seconds
        self.node.look()

    @rule()
    def the_timer_rings(self) -> None:
        if self.node.plan is not None:
            self.node.now = max(self.node.now, self.node.plan.look_at)
            self.node.look()

    @rule(found=candidates(), read=pods_files)
    def sources_change(self, found: tuple[Candidate, ...], read: PodsFile | None) -> None:
        self.node.found, self.node.pods = found, read
        self.node.look()

    @rule(serves=st.sampled_from([None, *Serves]), seconds=st.sampled_from([0.3, 6.0, math.inf]))
    def is_held(self, serves: Serves | None, seconds: float) -> None:
        """Let an operator pin who serves, or release it."""
        now = self.node.now
        hold = (
            None if serves is None else Hold(serves=serves, by="x", since=now, until=now + seconds)
        )
        self.node.hold = hold
        self.node.look()

    @rule(can_write=st.booleans())
    def the_disk_changes(self, *, can_write: bool) -> None:
        self.node.can_write = can_write
        self.node.look()

    @rule(contents=st.lists(foreign_files(), min_size=1, max_size=4))
    def somebody_is_faster(self, contents: list[bytes]) -> None:
        """Write between a look and its replacement, which is refused then."""
        self.tramples += len(contents)
        self.node.rivals += contents

    @rule()
    def the_repair_is_prepared(self) -> None:
        self.node.prepare()

    @rule()
    def the_daemon_is_killed(self) -> None:
        self.node.restart()
        self.node.look()

    @invariant()
    def repairs_are_bounded(self) -> None:
        """Never more writes a second than two fighting programs are worth."""
        recent = [at for at in self.node.written_at if at > self.node.now - backoff.WINDOW]
        assert len(recent) <= MOST_REPAIRS

    @invariant()
    def only_others_trample(self) -> None:
        """Count nothing that the guard wrote as somebody else's."""
        assert self.node.memory.tramples.count <= self.tramples

    def teardown(self) -> None:
        """Once everybody is quiet: one last repair, and the file is as it should be."""
        if not hasattr(self, "node"):
            return
        node = self.node
        node.can_write, node.rivals = True, []
        if node.bound is None:
            node.bound = frozenset()
        if node.file.being_written:
            node.write(node.file.content)
        node.look()
        plan = node.quiet(within=LONGEST)
        assert not node.look().actions
        if links.is_awaited(node.file):
            return
        if node.file.trouble is not None:
            assert plan.upstream == "none"
            return
        if plan.upstream != "none" or not promises.is_left_on_purpose(node.memory):
            assert not promises.is_dead_end(node.file.content, node.policy)
        is_guarded = plan.mode is Mode.GUARDING and not node.file.leads_away
        if plan.upstream != "none" and is_guarded:
            assert promises.used(node.file.content)
        if node.file.content:
            assert guarded_resolvconf.unguard(node.file.content) == (node.foreign or b"")


@pytest.mark.parametrize("length", [10, 30])
def test_any_life_keeps_every_promise(length: int) -> None:
    """Whatever is written, truncated, answered or broken in between, promise 1 holds."""
    # Debian 12's hypothesis has no type for it, later ones have.
    run: Any = run_state_machine_as_test
    # A life is twenty looks or more, and the slowest of examples. Of 60 conditions of core turned
    # around, 75 lives of each length see 33 and 40 see 29; the other tests see all of those.
    few = settings().max_examples * 3 // 4
    run(Life, settings=settings(stateful_step_count=length, max_examples=few))
