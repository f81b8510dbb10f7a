"""What is wrong, as a value and as the text that goes over the socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.reporting.problem import Problem


@pytest.mark.parametrize(
    ("text", "turned"),
    [
        ("no upstream is known: set it", "set it (no upstream is known)"),
        ("held, but pods inherit: it; remedy: adopt", "adopt (held, but pods inherit: it)"),
        ("it is so", "it is so"),
        ("/etc/x: line 3: bad: write it so", "write it so (/etc/x: line 3: bad)"),
    ],
)
def test_the_remedy_comes_first_where_a_line_may_be_cut(text: str, turned: str) -> None:
    """It stands behind the last colon, or behind the word itself."""
    problem = Problem.from_text(text)
    assert problem.remedy_first == turned
    assert str(problem) == text


@given(st.lists(st.sampled_from(["a", ":", " ", ";", ": ", "; remedy: "])).map("".join))
def test_a_line_stays_what_it_is(text: str) -> None:
    """Whatever another has written."""
    assert str(Problem.from_text(text)) == text


@given(st.text(min_size=1), st.text(min_size=1).filter(lambda remedy: ": " not in remedy))
def test_what_is_told_is_read(what: str, remedy: str) -> None:
    """The command has problem and remedy apart, as the daemon had them."""
    read = Problem.from_text(str(Problem(what, remedy)))
    assert (read.what.removesuffix("; remedy"), read.remedy) == (
        what.removesuffix("; remedy"),
        remedy,
    )
