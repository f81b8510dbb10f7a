"""What is worth a line in the journal."""

from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

import pytest
from property.node import Node
from property.text import CLUSTER, NODELOCAL

from dnsguard.core.answers import Outcome
from dnsguard.core.model import Doubt, Mode, NodeLocal, Trust, UpstreamState
from dnsguard.core.plan import Plan
from dnsguard.core.policy import Policy
from dnsguard.reporting.events import BURST, MOST, WINDOW, Event, Level, Repeats, describe_changes


def _plan() -> Plan:
    node = Node(policy=Policy(nodelocal=(NODELOCAL,), cluster=CLUSTER))
    node.write(b"nameserver 10.0.0.2\nnameserver 10.0.0.3\n")
    node.bound = frozenset({NODELOCAL})
    node.answer(NODELOCAL, Outcome.TIMED_OUT)
    node.answer(ip_address("10.0.0.2"), Outcome.ANSWERED)
    node.answer(ip_address("10.0.0.3"), Outcome.ANSWERED)
    node.look()
    return node.look()


PLAN = _plan()


def _because(**facts: str) -> tuple[tuple[str, str], ...]:
    return tuple((dict(PLAN.because) | facts).items())


def test_the_first_plan_is_told_whole() -> None:
    """At the start the journal says who serves, by whom, and why."""
    mode, upstream = describe_changes(None, PLAN)
    assert (mode.name, mode.level) == ("mode_changed", Level.INFO)
    assert dict(mode.details)["nameservers"] == "10.0.0.2 10.0.0.3"
    assert set(PLAN.because) <= set(mode.details)
    assert upstream.name == "upstream_changed"


CHANGES = [
    pytest.param(PLAN, [], id="nothing"),
    pytest.param(replace(PLAN, wanted=()), [], id="other nameservers: told where they are written"),
    pytest.param(replace(PLAN, mode=Mode.HANDED_OVER), ["mode_changed"], id="the mode"),
    pytest.param(
        replace(PLAN, nodelocal=NodeLocal.HEALTHY), ["nodelocal_changed"], id="NodeLocalDNS"
    ),
    pytest.param(replace(PLAN, nodelocal=NodeLocal.UNKNOWN), [], id="not knowing is no news"),
    pytest.param(
        replace(PLAN, mode=Mode.HANDED_OVER, nodelocal=NodeLocal.HEALTHY),
        ["mode_changed"],
        id="the mode tells of NodeLocalDNS, too",
    ),
    pytest.param(
        replace(PLAN, because=_because(handover="handover.mode is never")),
        ["handover_reason_changed"],
        id="why it is not handed over",
    ),
    pytest.param(replace(PLAN, because=_because(nodelocal="silent: still")), [], id="the wording"),
    pytest.param(
        replace(
            PLAN,
            trust=Trust(state=UpstreamState.UNVERIFIED, doubt=Doubt.SILENT),
        ),
        ["upstream_changed"],
        id="no upstream answers",
    ),
    pytest.param(
        replace(
            PLAN,
            trust=Trust(state=UpstreamState.UNVERIFIED, doubt=Doubt.NOT_ASKED),
        ),
        [],
        id="who was not asked is no news",
    ),
]


@pytest.mark.parametrize(("after", "expected"), CHANGES)
def test_what_is_told(after: Plan, expected: list[str]) -> None:
    """One line for each change that an operator would ask about."""
    assert [event.name for event in describe_changes(PLAN, after)] == expected


@pytest.mark.parametrize(
    ("state", "level", "key"),
    [
        (UpstreamState.VERIFIED, Level.INFO, "nameservers"),
        (UpstreamState.UNVERIFIED, Level.WARNING, "means"),
        (UpstreamState.NONE, Level.ERROR, "remedy"),
    ],
)
def test_bad_news_says_what_to_do(state: UpstreamState, level: Level, key: str) -> None:
    """The worse it is, the louder, and never without a way out."""
    maybe = Trust(
        state=UpstreamState.UNVERIFIED, doubt=Doubt.MAYBE_CLUSTER, doubted=ip_address("10.0.0.2")
    )
    after = replace(PLAN, trust=Trust(state=state))
    (event,) = describe_changes(replace(PLAN, trust=maybe), after)
    assert event.level is level
    assert key in dict(event.details)


def _line(number: int = 0) -> Event:
    return Event(name="changed", details=(("what", "eth0"), ("number", str(number))))


def _held_back(lines: tuple[Event, ...]) -> int:
    return sum(int(dict(line.details)["lines_held_back"]) for line in lines)


def test_a_storm_collapses_and_its_count_is_told() -> None:
    """Ten thousand lines become five and one, and none of them is uncounted."""
    repeats = Repeats()
    written = [repeats.allows(_line(n), now=n * WINDOW / 20_000) for n in range(10_000)]
    assert sum(written) == BURST
    assert written[:BURST] == [True] * BURST
    assert repeats.due(WINDOW - 0.01) == ()
    (told,) = repeats.due(WINDOW)
    assert told.name == "changed"
    assert dict(told.details) == {"what": "eth0", "number": "9999", "lines_held_back": "9995"}
    assert repeats.due(2 * WINDOW) == ()


def test_a_storm_of_ever_new_details_collapses_too() -> None:
    """Whoever writes another file each time fills no journal."""
    repeats = Repeats()
    lines = [Event(name="changed", details=(("what", str(n)),)) for n in range(10_000)]
    written = [repeats.allows(line, now=0.0) for line in lines]
    assert sum(written) == MOST
    (told,) = repeats.due(WINDOW)
    assert dict(told.details) == {"what": "9999", "lines_held_back": str(10_000 - MOST)}


def test_different_lines_do_not_hush_each_other() -> None:
    """A storm of one line hides no other."""
    repeats = Repeats()
    for _ in range(100):
        repeats.allows(_line(), now=0.0)
    other = Event(name="changed", details=(("what", "eth1"),))
    assert repeats.allows(other, now=0.0)
    assert repeats.allows(Event(name="other", details=_line().details), now=0.0)
    assert repeats.allows(Event(name="other"), now=0.0)


def test_a_few_lines_are_written_and_forgotten() -> None:
    """Nothing was held back, so nothing is told, and nothing is kept for ever."""
    repeats = Repeats()
    assert all(repeats.allows(_line(n), now=0.0) for n in range(BURST))
    assert repeats.due(WINDOW) == ()
    assert not repeats._windows


def test_a_storm_that_never_ends_is_told_once_a_window() -> None:
    """Held back plus written is all there was, window after window."""
    repeats, written, held = Repeats(), 0, 0
    for second in range(600):
        held += _held_back(repeats.due(float(second)))
        written += repeats.allows(_line(), now=float(second))
    held += _held_back(repeats.due(10_000.0))
    assert written + held == 600
    assert written <= BURST * (600 / WINDOW + 1)


def test_a_fight_is_told_once() -> None:
    """When the delays begin there is one loud line, and none for every round."""
    node = Node(policy=Policy(nodelocal=(NODELOCAL,), cluster=CLUSTER), bound=frozenset())
    plans, lines = [node.look()], []
    for _ in range(200):
        node.write(b"nameserver 169.254.25.10\nnameserver 10.0.0.2\n")
        plans.append(node.look())
        node.now += 0.01
    for before, after in pairwise(plans):
        lines += [event for event in describe_changes(before, after) if "fought" in event.name]
    assert [line.level for line in lines] == [Level.WARNING]
    assert int(dict(lines[0].details)["tramples"]) > 1
