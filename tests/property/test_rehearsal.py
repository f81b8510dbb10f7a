"""Any bytes for a hook: it is gone through to an end, and nothing is raised."""

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.formats.dhclient import hooks
from dnsguard.formats.dhclient.files import Hook
from dnsguard.formats.dhclient.rehearsal import rehearse
from dnsguard.formats.dhclient.rehearsal.scene import Scene
from property.examples import many_examples

WORDS = st.sampled_from(
    [
        *("if", "then", "else", "elif", "fi", "case", "in", "esac", "for", "do", "done", "while"),
        *("{", "}", "(", ")", ";", ";;", "&&", "||", "|", "!", "\n", "$(", "`", "function", "x"),
        *("make_resolv_conf", "echo", "return", "exit", "[", "]", "$x", "x=1", ">", ">>", "<<E"),
        *("/etc/resolv.conf", "nameserver 10.0.0.2", "E", "sed", "-i", "s/a*/b/", "cat", "'", '"'),
    ]
)


def _spaced(words: list[str]) -> bytes:
    return " ".join(words).encode()


SCRIPTS = st.one_of(
    st.binary(max_size=200),
    st.lists(WORDS, max_size=60).map(_spaced),
)


@many_examples
@given(SCRIPTS, SCRIPTS)
def test_any_hooks_come_to_an_end(enter: bytes, leave: bytes) -> None:
    """With a text, or with the reason why it can't be told."""
    hooks.find_named_files(enter)
    hooks.find_asked_units(enter)
    found = [[Hook(path="/hook", content=one)] for one in (enter, leave)]
    outcome = rehearse(found[0], found[1], Scene(), "nameserver 10.1.1.1\n", lambda text, _: text)
    assert (outcome.text is None) == bool(outcome.unclear)
