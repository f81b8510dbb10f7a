"""Other programs' YAML: a tree of texts, or nothing, whatever is in the file."""

import subprocess
import sys
from pathlib import Path

import pytest

from dnsguard.host import yaml_text

LAUGHS = b"a0: &a0 [x, x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (level, level, b", ".join([b"*a%d" % (level - 1)] * 9))
    for level in range(1, 12)
)
MERGES = LAUGHS.replace(b": &", b": {<<: &").replace(b"]\n", b"]}\n")


@pytest.mark.parametrize(
    ("content", "tree"),
    [
        (b"a: {b: [1, no, null, 2026-02-30]}\n", {"a": {"b": ["1", "no", "null", "2026-02-30"]}}),
        (b"a: &x [b]\nc: *x\n", {"a": ["b"], "c": ["b"]}),
        (b"a: &x {b: c}\nd:\n  <<: *x\n", {"a": {"b": "c"}, "d": {"<<": {"b": "c"}}}),
        (b"---\na: 1\n---\nb: 2\n", [{"a": "1"}, {"b": "2"}]),
        (b'{"a": "b\\nc"}', {"a": "b\nc"}),
        (b"a: !!python/object/apply:os.system [x]\n", {"a": ["x"]}),
        (b"", []),
        (b"# nothing\n", []),
    ],
)
def test_a_file_is_a_tree_of_texts(content: bytes, tree: object) -> None:
    """A number, a date or a boolean is not for us to guess, and nothing is run."""
    assert yaml_text.load(content) == tree


@pytest.mark.parametrize(
    "content",
    [
        b"a: [",
        b"a: *unknown",
        b"? [a]\n: b",
        b"\xff\x00",
        b"&a [*a]",
        b"[&a x, &a {b: *a}]",
        LAUGHS,
        MERGES,
        b"[" * yaml_text.MAX_BYTES,
        b"- " * (yaml_text.MAX_BYTES // 2),
        b"{a: " * (yaml_text.MAX_BYTES // 4),
        b"a: " + b"&a " * 20_000,
        b"a: &a " + b"x" * 1_000 + b"\nb: [" + b"*a, " * 10_000 + b"]",
        b"a: b\n" * yaml_text.MAX_BYTES,
    ],
)
def test_what_cannot_be_read_is_nothing(content: bytes) -> None:
    """Neither an exception, nor the death of libyaml, nor a tree without end."""
    assert yaml_text.load(content) is None


@pytest.mark.subprocess
def test_the_library_is_loaded_with_the_first_file_only() -> None:
    """It costs 20 ms, and most nodes have no such file."""
    program = (
        "import sys; from dnsguard.host import yaml_text; assert 'yaml' not in sys.modules;"
        "yaml_text.load(b'a'); assert 'yaml' in sys.modules"
    )
    tree = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", program], cwd=tree, check=True)
