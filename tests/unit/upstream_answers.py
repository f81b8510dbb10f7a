"""Upstreams and what they answered, as few words as a test needs for them."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

from dnsguard.core import probe_record, upstreams
from dnsguard.core.answers import Answer, Outcome, ProbeKind
from dnsguard.core.evidence import Services
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.model import Candidate, Source
from dnsguard.core.probe_record import ProbeRecords
from dnsguard.core.upstreams import Pool
from dnsguard.formats.address import IPAddress

A, B, C, D = (ip_address(f"10.0.0.{number}") for number in (1, 2, 3, 4))
STUB = ip_address("127.0.0.53")
CLUSTER = ip_address("10.233.0.3")
EXCLUSIONS = Exclusions(cluster=frozenset({CLUSTER, ip_address("169.254.25.10")}))
SERVFAIL = 2
ANSWERED, FAILED, LATE = Outcome.ANSWERED, Outcome.FAILED, Outcome.TIMED_OUT
CONFIG, FILE = Source.CONFIG, Source.RESOLV_CONF
REMEMBERED, LEASE, BACKUP = Source.REMEMBERED, Source.LEASE, Source.BACKUP


def make_candidate(address: IPAddress, source: Source, seen: float = 0.0) -> Candidate:
    return Candidate(address=address, source=source, origin=f"a {source}", seen=seen)


def apply(verdicts: ProbeRecords, answers: Iterable[Answer]) -> ProbeRecords:
    return probe_record.apply_answers(verdicts, answers, Services())


def make_answer(
    address: IPAddress, outcome: Outcome = Outcome.ANSWERED, rtt: float = 0.01
) -> Answer:
    return Answer(address=address, outcome=outcome, rtt=rtt, detail=f"is {outcome}", at=1.0)


def make_clearance(address: IPAddress, *, has_records: bool = False) -> Answer:
    return replace(make_answer(address), kind=ProbeKind.CLUSTER, has_records=has_records)


def make_one_time(address: IPAddress) -> Answer:
    return replace(make_answer(address), kind=ProbeKind.ONE_TIME, has_records=True)


def make_pool(*named: tuple[IPAddress, Source], rtts: dict[IPAddress, float] | None = None) -> Pool:
    """Return a pool; those with an answer time have answered."""
    answers = [make_answer(address, rtt=rtt) for address, rtt in (rtts or {}).items()]
    answers += [make_clearance(address) for address in rtts or {}]
    return rank([make_candidate(address, source) for address, source in named], *answers)


def rank(candidates: list[Candidate], *answers: Answer) -> Pool:
    known = upstreams.rank_all(candidates, apply({}, answers), EXCLUSIONS)
    return upstreams.usable_in_principle(known)
