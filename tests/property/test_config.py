"""dnsguard.toml: any value in any key is either taken or refused with its name."""

import json
import tempfile
from contextlib import suppress
from datetime import date
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dnsguard import config
from dnsguard.errors import ConfigError
from property.examples import many_examples
from property.text import ADDRESSES

_SCALARS = (
    st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.integers(0, 5)
    | st.floats()
    | st.text(st.characters(min_codepoint=32, max_codepoint=0x24F), max_size=12)
    | st.sampled_from([str(address) for address in ADDRESSES])
    | st.sampled_from(["auto", "never", "debug", "corp.example", ".", "", "x" * 64, "a." * 130])
    | st.dates()
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    ),
    max_leaves=5,
)


def _toml(value: object) -> str:
    """Return the value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
        case date():
            return value.isoformat()
    return repr(value)


def _load(text: str) -> config.Config | ConfigError:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "dnsguard.toml")
        path.write_text(text, encoding="utf-8")
        try:
            return config.load(path)
        except ConfigError as error:
            return error


@many_examples
@given(st.sampled_from(sorted(config.KEYS)), _VALUES)
def test_any_value_is_taken_or_refused_by_name(name: str, value: object) -> None:
    """Nothing else is ever raised, and what is raised names the file and the key."""
    found = _load(f"{name} = {_toml(value)}\n")
    if isinstance(found, ConfigError):
        assert f"dnsguard.toml: {name}: must be " in str(found) or "cluster address" in str(found)
        assert "\n" not in str(found)
        return
    policy = found.policy
    assert set(policy.nodelocal) <= policy.cluster
    assert not set(policy.servers) & policy.cluster
    assert policy.successes >= 1
    assert policy.failures >= 1
    assert policy.fast > 0
    assert policy.slow > 0
    assert policy.timeout > 0


@given(st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=12))
def test_any_unknown_key_is_refused_by_name(word: str) -> None:
    """Whether it is a table or a key."""
    for name in (f"{word}.servers", f"upstream.{word}"):
        if name not in config.KEYS:
            found = _load(f"{name} = 1\n")
            assert isinstance(found, ConfigError)
            assert word in str(found)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """A configuration that is none is a ConfigError, never a crash."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "dnsguard.toml")
        path.write_bytes(content)
        with suppress(ConfigError):
            config.load(path)
