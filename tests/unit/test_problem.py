"""What is wrong, as a value, as a line, and turned around where a line may be cut."""

from typing import TYPE_CHECKING, cast

import pytest

from dnsguard.commands import check
from dnsguard.core.hold import Serves
from dnsguard.core.observation import REMEDY, PodsFile
from dnsguard.reporting.problem import Problem
from dnsguard.reporting.survey import DaemonFacts, make_status
from unit.decisions import POISON, REAL, SAME, make_candidate, make_hold, make_node

if TYPE_CHECKING:
    from dnsguard.reporting.wire import StatusJson


@pytest.mark.parametrize(
    ("problem", "line", "turned"),
    [
        (
            Problem("nobody is known", "set it"),
            "nobody is known: set it",
            "set it (nobody is known)",
        ),
        (
            Problem("held, but pods inherit: it", "adopt", joint="; remedy: "),
            "held, but pods inherit: it; remedy: adopt",
            "adopt (held, but pods inherit: it)",
        ),
        (Problem("so it is: now"), "so it is: now", "so it is: now"),
    ],
)
def test_the_remedy_comes_first_where_a_line_may_be_cut(
    problem: Problem, line: str, turned: str
) -> None:
    """Whatever stands in the line: what is so and what helps are told apart, and never read out."""
    assert str(problem) == line
    told = {"problems": [{"what": problem.what, "remedy": problem.remedy}]}
    assert check.judge(cast("StatusJson", told)) == (check.PROBLEM, f"DEGRADED: {turned}")


@pytest.mark.parametrize("pods", [SAME, None])
def test_a_hold_that_can_not_be_has_the_remedy_of_what_keeps_it(pods: PodsFile | None) -> None:
    """Pods that would inherit the loop have one; where nobody is known, that is told beside it."""
    node = make_node(POISON, knows=(make_candidate(REAL),) if pods else ())
    node.hold, node.pods = make_hold(Serves.NODELOCAL), pods
    plan = node.look()
    told = make_status(node.memory, node.observe(), plan, node.policy, DaemonFacts())
    assert str(told.degraded[0]) == f"what is held can't be: {plan.explain('handover')}"
    assert told.problems[0].remedy == (REMEDY if pods else "")
    assert [one.what for one in told.degraded] == [one.what for one in told.problems]
