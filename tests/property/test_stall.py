"""Who hangs and who does not, whatever the order of queue readings, answers and time-outs."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.answers import Answer, Outcome, ProbeTarget
from dnsguard.core.health import HEARTBEAT, Health, advance, list_targets
from dnsguard.core.model import NodeLocal
from dnsguard.core.observation import FileObservation, Observation
from dnsguard.core.policy import Policy
from dnsguard.stall import LATE, LOOK, Look, Stall

NODELOCAL = ip_address("169.254.25.10")
POLICY = Policy(nodelocal=(NODELOCAL,))
UNREAD = POLICY.unread
SOCKETS = (b"first", b"second")
TINY = 1e-9
"""Seconds by which sums of floats may differ."""


@st.composite
def series(draw: st.DrawFn, *, latest: float = 3 * LATE) -> list[Look]:
    """Return looks at a server that does whatever it likes."""
    at, looks = 0.0, []
    for _ in range(draw(st.integers(1, 30))):
        at += draw(st.sampled_from((LOOK, LOOK, LOOK, LATE, latest)) | st.floats(0.001, latest))
        looks.append(
            Look(
                at=at,
                socket=draw(st.sampled_from(SOCKETS)),
                unread=draw(st.sampled_from((0, 832, 832, 1664, 212_992))),
                is_asleep=draw(st.sampled_from((True, True, True, False))),
            )
        )
    return looks


def _judge(looks: list[Look]) -> Iterator[bool]:
    """Yield at each look whether the server is said to hang."""
    stall = Stall()
    for look in looks:
        stall = stall.add(look)
        yield stall.seconds >= UNREAD


def _shows_life(looks: list[Look]) -> bool:
    """Tell whether one of the looks does, or what became since the one before."""
    if any(look.unread == 0 or not look.is_asleep for look in looks):
        return True
    return any(
        after.unread < before.unread or after.socket != before.socket or after.at - before.at > LATE
        for before, after in pairwise(looks)
    )


@given(series())
def test_who_is_said_to_hang_has_shown_no_sign_of_life_for_so_long(looks: list[Look]) -> None:
    """Nothing was read, nobody ran, and dnsguard itself was there to see it."""
    for number, is_hung in enumerate(_judge(looks)):
        if is_hung:
            until = looks[number].at
            lately = [one for one in looks[: number + 1] if one.at >= until - UNREAD - TINY]
            assert until - lately[0].at >= UNREAD - LATE
            assert not _shows_life(lately)


@given(series(), st.floats(0, UNREAD, exclude_max=True))
def test_who_answers_within_its_time_is_never_said_to_hang(
    looks: list[Look], answered: float
) -> None:
    """Whatever its queue showed till then: the looks end with the answer."""
    till_then = [look for look in looks if look.at - looks[0].at <= answered]
    assert not any(_judge(till_then))


@given(series(latest=LATE), st.integers(1, 300_000), st.floats(0.001, LATE - TINY))
def test_who_hangs_is_said_to(before: list[Look], unread: int, pause: float) -> None:
    """Whatever came before, and however irregular the looks are, as long as none is late."""
    began = before[-1].at
    count = int((UNREAD + 2 * LATE) / pause) + 1
    hung = [
        Look(at=began + pause * number, socket=b"hung", unread=unread + number, is_asleep=True)
        for number in range(1, count + 1)
    ]
    verdicts = list(_judge([*before, *hung]))[len(before) :]
    assert any(verdicts)
    first = hung[verdicts.index(True)].at
    assert first - hung[0].at <= UNREAD + LATE


def _answer(outcome: Outcome, leg: ProbeTarget, at: float) -> Answer:
    return Answer(
        address=NODELOCAL, outcome=outcome, rtt=None, detail="", at=at, kind=leg.kind, tcp=leg.tcp
    )


def _after(health: Health, *answers: Answer) -> Health:
    here = frozenset({NODELOCAL})
    seen = Observation(now=0.0, wall=0.0, file=FileObservation(), bound=here, answers=answers)
    return advance(health, seen, POLICY, {})


BEATS = st.sampled_from((HEARTBEAT, HEARTBEAT._replace(tcp=True)))
LEGS = st.sampled_from(list_targets(POLICY))


@given(st.lists(st.tuples(LEGS, st.sampled_from(list(Outcome)))), BEATS)
def test_the_kernels_word_is_final_whatever_was_answered(
    before: list[tuple[ProbeTarget, Outcome]], leg: ProbeTarget
) -> None:
    """A hung server is healthy no more; nor did anybody wait for that to be told."""
    health = Health()
    for number, (asked, outcome) in enumerate(before):
        health = _after(health.record_probe(asked, number), _answer(outcome, asked, number))
    waiting = health.streak(leg).waiting
    hung = _after(health, _answer(Outcome.HUNG, leg, 1e6))
    assert hung.state is NodeLocal.SILENT
    assert hung.streak(leg).waiting == waiting


@given(st.lists(LEGS, min_size=1))
def test_a_healthy_server_is_doubted_as_often_as_one_likes(legs: list[ProbeTarget]) -> None:
    """A heartbeat that is late has it asked, and decides nothing."""
    well = (_answer(Outcome.ANSWERED, leg, 0.0) for leg in list_targets(POLICY))
    health = _after(Health(), *(one for one in list(well) * POLICY.successes))
    assert health.state is NodeLocal.HEALTHY
    for leg in legs:
        health = health.doubt(leg)
        assert health.state is NodeLocal.HEALTHY
        assert health.streak(leg).asked_at is None
        assert health == replace(health, streaks={**health.streaks})
    assert _after(health, _answer(Outcome.TIMED_OUT, HEARTBEAT, 1.0)).state is NodeLocal.HEALTHY
