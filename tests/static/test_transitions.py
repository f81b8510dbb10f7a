"""docs/states.md says what counts as evidence, and all the transitions that there are."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import product

from dnsguard.core.answers import Answer, Outcome, ProbeKind, ProbeTarget
from dnsguard.core.evidence import Services
from dnsguard.core.health import EXTERNAL, HEARTBEAT, Health, advance, list_targets
from dnsguard.core.model import NodeLocal
from dnsguard.core.observation import FileObservation, Observation
from dnsguard.core.probe_record import ProbeRecord, ProbeRecords, apply_answers
from static.states import NODELOCAL_ADDRESS, POLICY, UPSTREAM, Row, check_claims


def test_the_evidence_in_states_md_is_what_counts() -> None:
    """Whatever one round can bring, in the words of its table."""
    check_claims("Whose DNS a server is", _rounds())


def _rounds() -> Iterator[tuple[Row, Row]]:
    """Yield every outcome of a round, and what becomes of a server that was never asked."""
    services = Services(assumed=frozenset({ip_address("10.233.0.3")}))
    inside = {"denied": (), "found": ("10.96.0.1",), "service": ("10.233.0.1",), "fails": None}
    for outside, name, beside in product(("answers", "fails"), inside, ("alike", "other", "open")):
        records = inside[name]
        other = () if records is None else None if records == () else ("192.168.0.1",)
        second = ProbeKind.CONTROL if records is None else ProbeKind.NONSENSE
        answers = [_said(ProbeKind.UPSTREAM, () if outside == "answers" else None)]
        answers.append(_said(ProbeKind.CLUSTER, records))
        if beside != "open":
            answers.append(_said(second, records if beside == "alike" else other))
        record = apply_answers({}, answers, services)[UPSTREAM]
        state = "usable" if record.is_usable else "not usable"
        world = {"outside": outside, "cluster name": name, "beside it": beside}
        yield world, {"becomes": "cluster DNS" if record.answers_cluster_names else state}


def _said(ask: ProbeKind, records: tuple[str, ...] | None) -> Answer:
    """Return an answer with these records, NXDOMAIN with none; None is SERVFAIL."""
    return Answer(
        address=UPSTREAM,
        outcome=Outcome.FAILED if records is None else Outcome.ANSWERED,
        rtt=0.001,
        detail="",
        at=1.0,
        kind=ask,
        rcode=2 if records is None else 0 if records else 3,
        has_records=bool(records),
        records=frozenset(ip_address(one) for one in records or ()),
    )


def test_the_transitions_in_states_md_are_all_there_are() -> None:
    """Everything that can be seen, in every order, leads NodeLocalDNS where a row says."""
    check_claims("NodeLocalDNS", _transitions())


def _transitions() -> Iterator[tuple[Row, Row]]:
    """Walk from the beginning through every state that can be reached."""
    ahead, known = [Health()], set()
    while ahead:
        health = ahead.pop()
        kind = (health.state, health.address, health.was_listening, _streaks(health))
        if kind in known:
            continue
        known.add(kind)
        for what, after in _steps(health):
            ahead.append(after)
            yield {"from": health.state, "what is seen": what}, {"to": after.state}


def _streaks(health: Health) -> tuple[tuple[int, int], ...]:
    """Return what of the streaks can make a difference."""
    each = (health.streak(leg) for leg in list_targets(POLICY))
    return tuple(
        (min(one.successes, POLICY.successes), min(one.failures, POLICY.failures)) for one in each
    )


def _steps(health: Health) -> Iterator[tuple[str, Health]]:
    yield "unbound", _after(health, is_bound=False)
    if health.address is None:
        yield "bound", _after(health)
        return
    if health.was_listening:
        yield "no listener", _after(health, is_listening=False)
    fewest = min(health.streak(leg).successes for leg in list_targets(POLICY)) + 1
    is_last = health.state is not NodeLocal.HEALTHY and fewest == POLICY.successes
    yield "last answer" if is_last else "answer", _after(health, _round())
    outside = _round(*EXTERNAL)
    yield "failure of the upstream", _after(health, outside, upstreams={UPSTREAM: _FAILED})
    for leg, outcome in product(list_targets(POLICY), _FAILURES):
        what = "last failure" if health.streak(leg).failures + 1 >= POLICY.failures else "failure"
        if leg == HEARTBEAT and outcome is Outcome.UNREACHABLE:
            what = "refused"
        if outcome is Outcome.HUNG:
            what = "hung"
        upstreams = {UPSTREAM: _ANSWERS} if leg in EXTERNAL else {}
        yield what, _after(health, _round(leg, outcome=outcome), upstreams=upstreams)


_FAILURES = [one for one in Outcome if one is not Outcome.ANSWERED]
_ANSWERS = ProbeRecord(answered_at=1.0, cleared_at=0.0)
_FAILED = replace(_ANSWERS, failed_at=0.0, failures=1)


def _round(*failing: ProbeTarget, outcome: Outcome = Outcome.FAILED) -> tuple[Answer, ...]:
    """Return an outcome of each probe: this one of those that fail, and these first."""
    return tuple(
        Answer(
            address=NODELOCAL_ADDRESS,
            outcome=outcome if leg in failing else Outcome.ANSWERED,
            rtt=0.001,
            detail="",
            at=0.0,
            kind=leg.kind,
            tcp=leg.tcp,
        )
        for leg in sorted(list_targets(POLICY), key=lambda leg: leg not in failing)
    )


def _after(
    health: Health,
    answers: tuple[Answer, ...] = (),
    *,
    upstreams: ProbeRecords | None = None,
    is_bound: bool = True,
    is_listening: bool = True,
) -> Health:
    here = frozenset({NODELOCAL_ADDRESS})
    seen = Observation(
        now=0.0,
        wall=0.0,
        file=FileObservation(),
        bound=here if is_bound else frozenset(),
        listening=here if is_listening else frozenset(),
        answers=answers,
    )
    return advance(health, seen, POLICY, upstreams or {})
