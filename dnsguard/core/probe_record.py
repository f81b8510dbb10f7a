"""What came of asking one nameserver: the record that decides whether it is used."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dnsguard.core.answers import REFUSED, Answer, Outcome, ProbeKind
from dnsguard.core.evidence import (
    Finding,
    Round,
    Services,
    fails_alike,
    judge_round,
    needed_probes,
    resolves,
)
from dnsguard.formats.address import IPAddress

LOST_AFTER = 2
"""Failures in a row after which an upstream is no longer usable."""


PATIENCE = 60.0
"""Seconds, and :data:`ROUNDS` of questions, for which a server that answers for the outside
has to treat the cluster's name like any other it fails for. CoreDNS waits for its API server
before it knows its zone; its SERVFAIL must never be taken for a resolver's."""


ROUNDS = 3


_TELLING = frozenset({ProbeKind.NONSENSE, ProbeKind.CONTROL})
_LAST = _TELLING | {ProbeKind.ONE_TIME}
"""What completes a round: systemd-resolved refuses names below ``local`` itself, before its
upstream has answered for the one-time name. It was never doubted, and asked 5 times a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRecord:
    """How one nameserver has answered."""

    asked_at: float | None = None
    """When its last round of questions began."""
    asked: frozenset[ProbeKind] = frozenset()
    """What it was asked in that round."""
    round: Round = field(default_factory=dict)
    """What came of it so far."""
    answered_at: float | None = None
    """When it last answered for the outside."""
    rtt: float | None = None
    failures: int = 0
    """How often in a row it did not."""
    failing_since: float | None = None
    failed_at: float | None = None
    is_refusing: bool = False
    """It has last refused to answer for the outside: it may know names of its own."""
    detail: str = "not asked yet"
    """What came of it last, for people."""
    cleared_at: float | None = None
    """When a round last showed that it answers for the outside and not for the cluster; None
    where that was not shown since it last fell silent: somebody else may answer there now."""
    was_cleared: bool = False
    """It was shown at some time."""
    answers_cluster_names: bool = False
    """It was shown to be cluster DNS, and not cleared of it since."""
    doubts: int = 0
    """Rounds in a row that showed neither, while it answered for the outside."""
    alike_since: float | None = None
    """Since when it has failed for the cluster's name as for any like it."""

    @property
    def is_waiting(self) -> bool:
        return not self.asked <= self.round.keys()

    @property
    def has_outcome(self) -> bool:
        """Whether anything came of asking it yet."""
        return self.answered_at is not None or self.failed_at is not None

    @property
    def answers(self) -> bool:
        """Whether it resolves names outside, whoever it is."""
        return self.answered_at is not None and self.failures < LOST_AFTER

    @property
    def is_silent(self) -> bool:
        """Whether it was asked in vain often enough to say so."""
        return self.failures >= LOST_AFTER

    @property
    def is_usable(self) -> bool:
        return self.answers and self.cleared_at is not None

    @property
    def is_in_order(self) -> bool:
        """Whether all that came of asking it last speaks for it."""
        return self.is_usable and not (self.failures or self.doubts)


ProbeRecords = Mapping[IPAddress, ProbeRecord]


_UNKNOWN = ProbeRecord()


def reset_for_probe(record: ProbeRecord) -> ProbeRecord:
    """Return the record of a silent server as if it had just fallen silent."""
    return replace(record, asked_at=None, failures=min(record.failures, LOST_AFTER))


def apply_answers(
    records: ProbeRecords, answers: Iterable[Answer], services: Services
) -> ProbeRecords:
    """Return the records after these answers."""
    changed = dict(records)
    for answer in answers:
        before = changed.get(answer.address, _UNKNOWN)
        record = replace(before, round={**before.round, answer.kind: answer})
        if answer.kind in (ProbeKind.UPSTREAM, ProbeKind.ONE_TIME):
            record = _apply_outside_answer(record, answer)
        changed[answer.address] = _apply_finding(record, answer, services)
    return changed


def confirm(
    records: ProbeRecords, answers: Iterable[Answer], services: Services
) -> ProbeRecords | None:
    """Return the records after answers that tell nothing new; None if one may.

    Nothing new is that who was in order still is, with nothing more to ask for that.
    """
    answers = tuple(answers)
    after = apply_answers(records, answers, services)
    for address in {answer.address for answer in answers}:
        record = after[address]
        was_in_order = records.get(address, _UNKNOWN).is_in_order
        if not (was_in_order and record.is_in_order) or record.is_waiting:
            return None
        if find_missing(record, address, services):
            return None
    return after


def find_missing(
    record: ProbeRecord, address: IPAddress, services: Services
) -> frozenset[ProbeKind]:
    """Return what has to be asked in addition for the round under way to show something."""
    needed = needed_probes(record.round, services, is_stub=address.is_loopback)
    return frozenset(needed) - record.asked


def _apply_outside_answer(record: ProbeRecord, answer: Answer) -> ProbeRecord:
    """Take in what came of names outside; one lost datagram loses nobody."""
    does_resolve = resolves(record.round, is_stub=answer.address.is_loopback)
    if does_resolve is None:
        return record
    first = record.round[ProbeKind.UPSTREAM]
    is_second = answer is not first
    if is_second and first.outcome is not Outcome.ANSWERED:
        return record  # counted already
    if does_resolve:
        return replace(
            record,
            answered_at=answer.at,
            rtt=first.rtt,
            failures=0,
            failing_since=None,
            is_refusing=False,
            detail=first.detail,
        )
    since = answer.at if record.failing_since is None else record.failing_since
    failures = record.failures + 1
    about = " for a one-time name" if is_second else ""
    record = replace(
        record,
        failures=failures,
        failing_since=since,
        failed_at=answer.at,
        is_refusing=first.rcode == REFUSED,
        detail=answer.detail + about,
    )
    if failures < LOST_AFTER:
        return record
    return replace(record, cleared_at=None, doubts=0, alike_since=None)


def _apply_finding(record: ProbeRecord, answer: Answer, services: Services) -> ProbeRecord:
    """Take in whose DNS the server was shown to be, in one and the same round."""
    found = judge_round(record.round, services)
    if found is Finding.CLUSTER:
        return replace(record, answers_cluster_names=True, cleared_at=None, was_cleared=False)
    does_resolve = resolves(record.round, is_stub=answer.address.is_loopback)
    if found is Finding.OUTSIDE and does_resolve:
        return _clear(replace(record, answers_cluster_names=False), answer.at)
    if (
        found is Finding.OPEN
        and does_resolve
        and answer.kind in _LAST
        and not record.round.keys().isdisjoint(_TELLING)
    ):
        return _doubt(record, answer.at)
    return record


def _clear(record: ProbeRecord, at: float) -> ProbeRecord:
    return replace(record, cleared_at=at, was_cleared=True, doubts=0, alike_since=None)


def _doubt(record: ProbeRecord, at: float) -> ProbeRecord:
    """Take in a round that showed neither; who was exposed stays so, however long it is."""
    if not fails_alike(record.round) or record.answers_cluster_names:
        return replace(record, doubts=record.doubts + 1, alike_since=None)
    since = at if record.alike_since is None else record.alike_since
    record = replace(record, doubts=record.doubts + 1, alike_since=since)
    is_long = record.doubts >= ROUNDS and at - since >= PATIENCE
    return _clear(record, at) if is_long or record.cleared_at is not None else record
