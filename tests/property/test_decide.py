"""The policy over whole lives of a node: every decision keeps every promise."""

from dataclasses import replace

from hypothesis import assume, event, given
from hypothesis import strategies as st

from dnsguard.core.answers import Answer, Outcome, ProbeTarget
from dnsguard.core.decide import decide
from dnsguard.core.health import list_targets
from dnsguard.core.learn_answers import confirm
from dnsguard.core.model import Mode
from dnsguard.core.observation import Trouble
from dnsguard.core.plan import ReplaceFile
from dnsguard.core.policy import HandoverMode
from dnsguard.core.rewrite import GRACE
from property import promises
from property.node import Node, bound, candidates, nodes, outcomes, pods_files, steps, troubles
from property.text import ADDRESSES, NODELOCAL, UPSTREAMS, any_files, foreign_files


def _live(data: st.DataObject, node: Node) -> None:
    """Let one thing happen."""
    match data.draw(
        st.sampled_from(["write", "answer", "bind", "time", "spoil", "sources", "cluster"])
    ):
        case "write":
            node.write(data.draw(any_files()), being_written=data.draw(st.booleans()))
        case "answer":
            for address in data.draw(st.lists(st.sampled_from(ADDRESSES), max_size=4)):
                node.answer(address, data.draw(outcomes), rtt=data.draw(st.floats(0, 1)))
        case "bind":
            node.bound = data.draw(bound)
        case "time":
            node.now += data.draw(steps)
        case "cluster":
            node.impostors = frozenset(data.draw(st.sets(st.sampled_from(UPSTREAMS), max_size=2)))
            node.unsynced = frozenset(one for one in node.impostors if data.draw(st.booleans()))
        case "spoil":
            node.spoil(data.draw(troubles))
        case _:
            node.found, node.pods = data.draw(candidates()), data.draw(pods_files)


@given(nodes(), st.data())
def test_every_decision_keeps_every_promise(node: Node, data: st.DataObject) -> None:
    """No dead end is written, nobody from nowhere, nothing foreign is lost, and it settles."""
    for _ in range(data.draw(st.integers(1, 8))):
        _live(data, node)
        node.look()


@given(nodes(), foreign_files())
def test_one_known_upstream_is_enough(node: Node, content: bytes) -> None:
    """Where any source names a real server, the file names one within a tenth of a second."""
    node.bound = frozenset()
    node.write(content)
    plan = node.quiet(within=GRACE)
    if plan.upstream != "none":
        assert not promises.is_dead_end(node.file.content, node.policy)
        assert promises.used(node.file.content)


@given(nodes(), st.data())
def test_handing_over_puts_nodelocal_first(node: Node, data: st.DataObject) -> None:
    """Healthy, allowed and with an upstream that answers: NodeLocalDNS, then real servers."""
    node.bound = frozenset({NODELOCAL})
    content = data.draw(foreign_files())
    assume(content.strip())  # an empty file is waited for, and nobody answers meanwhile
    node.write(content)
    node.look()
    for _ in range(node.policy.successes):
        node.answer(NODELOCAL, Outcome.ANSWERED)
        for address in UPSTREAMS:
            node.answer(address, Outcome.ANSWERED)
        node.look()
    plan = node.quiet(within=1.0)
    is_allowed = node.policy.handover is HandoverMode.ALWAYS or (
        node.policy.handover is HandoverMode.AUTO
        and promises.are_pods_safe(node.pods, node.policy)
        and node.pods_doubt is None
    )
    knows_one = any(address in UPSTREAMS for address in _known(node))
    assert (plan.mode is Mode.HANDED_OVER) <= is_allowed
    if is_allowed and knows_one:
        assert plan.mode is Mode.HANDED_OVER
        first, *behind = promises.used(node.file.content)
        assert first == NODELOCAL
        assert 1 <= len(behind) <= 2
        assert not set(behind) & node.policy.cluster


def _warm_up(node: Node) -> None:
    """Have NodeLocalDNS and an upstream answer, as often as health asks for."""
    node.bound = frozenset({NODELOCAL})
    for _ in range(node.policy.successes):
        node.answer(NODELOCAL, Outcome.ANSWERED)
        node.answer(UPSTREAMS[0], Outcome.ANSWERED)
        node.look()


@given(nodes(), st.data())
def test_an_answer_that_is_taken_in_without_a_look_changes_no_decision(
    node: Node, data: st.DataObject
) -> None:
    """What a look at it would decide and remember is what the next look does."""
    _warm_up(node)
    for _ in range(data.draw(st.integers(0, 2))):
        _live(data, node)
        node.look()
    node.now += data.draw(steps)
    for leg in list_targets(node.policy):
        answer = _answer(node, leg, data.draw(outcomes))
        heard = confirm(node.memory, (answer,), node.policy, node.bound)
        if heard is not None:
            seen = node.observe()
            told = replace(seen, answers=(answer, *seen.answers))
            assert decide(heard, seen, node.policy) == decide(node.memory, told, node.policy)
            node.memory = heard


@given(nodes(), st.data())
def test_an_upstreams_answer_that_is_taken_in_without_a_look_calls_for_none(
    node: Node, data: st.DataObject
) -> None:
    """The next look decides as one at it would have done, and nothing that could not wait."""
    _warm_up(node)
    if data.draw(st.booleans()):
        _live(data, node)
    before = node.quiet(within=1.0)
    node.answer(UPSTREAMS[0], data.draw(st.just(Outcome.ANSWERED) | outcomes))
    answers, node.answers = tuple(node.answers), []
    heard = confirm(node.memory, answers, node.policy, node.bound)
    event("looked at" if heard is None else "taken in")
    if heard is not None:
        seen = node.observe()
        told = replace(seen, answers=answers)
        after, plan = decide(heard, seen, node.policy)
        assert (after, plan) == decide(node.memory, told, node.policy)
        assert plan.write is None
        assert (plan.mode, plan.wanted) == (before.mode, before.wanted)


@given(nodes(), st.sampled_from([one for one in Outcome if one is not Outcome.ANSWERED]))
def test_a_failure_is_always_looked_at(node: Node, outcome: Outcome) -> None:
    """Only who is well and answers in all ways says nothing new, and says so in any of them."""
    node.bound = frozenset({NODELOCAL})
    for _ in range(node.policy.successes):
        node.answer(NODELOCAL, Outcome.ANSWERED)
        node.look()
    well = _answer(node, list_targets(node.policy)[0], Outcome.ANSWERED)
    bad = _answer(node, list_targets(node.policy)[-1], outcome)
    assert confirm(node.memory, (well, well), node.policy, node.bound) is not None
    assert confirm(node.memory, (well, bad), node.policy, node.bound) is None
    node.answers.append(bad)
    node.look()
    assert confirm(node.memory, (well,), node.policy, node.bound) is None


def _answer(node: Node, leg: ProbeTarget, outcome: Outcome) -> Answer:
    return Answer(
        address=NODELOCAL,
        outcome=outcome,
        rtt=0.001,
        detail="says so",
        at=node.now,
        kind=leg.kind,
        tcp=leg.tcp,
    )


def _known(node: Node) -> set[object]:
    return {
        candidate.address
        for candidate in (*node.found, *node.memory.learned, *node.memory.remembered)
    }


@given(nodes(), foreign_files(), st.sampled_from([Trouble.NOT_A_FILE, Trouble.UNREADABLE]))
def test_a_file_in_trouble_comes_back_as_it_was(
    node: Node, content: bytes, trouble: Trouble
) -> None:
    """What replaces a file that can't be read is the last foreign text, made safe."""
    node.write(content)
    node.bound = frozenset()
    node.quiet(within=GRACE)
    node.spoil(trouble)
    plan = node.look()
    written = [action for action in plan.actions if isinstance(action, ReplaceFile)]
    if plan.upstream != "none":
        assert written
        assert promises.others(written[0].content) == promises.others(content)
