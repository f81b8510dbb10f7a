"""dnsguard.toml(5) and the shipped file say what config.KEYS does."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from dnsguard import config
from dnsguard.config import KEYS
from dnsguard.errors import ConfigError
from static.manual import ROOT, page, section

CONF = ROOT / "packaging/debian/dnsguard.toml"


def _uncommented() -> str:
    return re.sub(r"^#(\w+ = )", r"\1", CONF.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_shipped_configuration_is_the_defaults() -> None:
    """As shipped it sets nothing and loads."""
    assert config.load(CONF) == config.defaults()
    assert all(not table for table in tomllib.loads(CONF.read_text(encoding="utf-8")).values())


def test_the_commented_keys_of_the_shipped_configuration_are_the_defaults(tmp_path: Path) -> None:
    """With every comment sign before a key removed it says each key and its default."""
    path = tmp_path / "dnsguard.toml"
    path.write_text(_uncommented(), encoding="utf-8")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    shown = {
        f"{table}.{key}": value for table, keys in tables.items() for key, value in keys.items()
    }
    assert shown == {name: key.default for name, key in KEYS.items()}
    assert config.load(path) == config.defaults()


def test_the_shipped_configuration_says_what_each_key_is_for() -> None:
    """The comment above a key begins with what config.KEYS says of it."""
    comment, comments, table = "", {}, ""
    for line in CONF.read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            table, comment = header[1], ""
        elif key := re.match(r"#(\w+) = ", line):
            comments[f"{table}.{key[1]}"], comment = comment.strip(), ""
        else:
            comment += " " + line.removeprefix("#").strip()
    wrong = {name for name, key in KEYS.items() if not comments[name].startswith(key.about)}
    assert not wrong


class Described(NamedTuple):
    """A key in dnsguard.toml(5)."""

    default: object
    example: str
    bounds: str


def _described() -> dict[str, Described]:
    text = section(page("dnsguard.toml.5"), "KEYS")
    parts = re.split(r"^\.It Ic (\w+\.\w+)\n", text, flags=re.MULTILINE)[1:]
    found = {}
    for name, about in zip(parts[::2], parts[1::2], strict=True):
        default, bounds, example = (
            re.search(rf"^\.It {fact} :\n(.*?)(?=^\.It |^\.El)", about, re.DOTALL | re.MULTILINE)
            for fact in ("Default", "Bounds", "Example")
        )
        assert default is not None, name
        assert bounds is not None, name
        assert example is not None, name
        found[name] = Described(
            default=tomllib.loads("x = " + default[1].removeprefix(".Li "))["x"],
            bounds=bounds[1],
            example=example[1].removeprefix(".Li "),
        )
    return found


def test_toml_5_has_every_key_with_its_default() -> None:
    """dnsguard.toml(5) and config.KEYS are one list, in one order."""
    described = [(name, told.default) for name, told in _described().items()]
    assert described == [(name, key.default) for name, key in KEYS.items()]


@pytest.mark.parametrize("name", KEYS)
def test_the_examples_in_toml_5_load(name: str, tmp_path: Path) -> None:
    """An example is about its own key, and valid."""
    table, key = name.split(".")
    example = _described()[name].example
    path = tmp_path / "dnsguard.toml"
    path.write_text(f"[{table}]\n{example}\n", encoding="utf-8")
    config.load(path)
    assert example.startswith(f"{key} = ")


@pytest.mark.parametrize("name", KEYS)
def test_the_bounds_in_toml_5_are_those_of_the_code(name: str, tmp_path: Path) -> None:
    """Where bounds are two numbers, these are valid and the next ones are not."""
    limits = re.fullmatch(r"([\d.]+) to ([\d.]+)\n", _described()[name].bounds)
    default = KEYS[name].default
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    assert (limits is None) is not is_number
    if limits is None:
        return
    low, high = (tomllib.loads(f"x = {limit}")["x"] for limit in limits.groups())
    for value in (low, high):
        KEYS[name].read(value)
    for value in (low - 0.01 if low < 1 else low - 1, high + 1):
        with pytest.raises(ValueError, match="number"):
            KEYS[name].read(value)


def test_the_errors_shown_in_toml_5_are_real(tmp_path: Path) -> None:
    """What DIAGNOSTICS quotes is what check-config says."""
    path = tmp_path / "dnsguard.toml"
    said = []
    for text in (
        '[upstream]\nserver = ["192.0.2.53"]',
        "[health]\nfast = 0",
        '[upstream]\nservers = ["169.254.25.10"]',
        "x = 1",
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            config.load(path)
        said.append(f"dnsguard: {caught.value}".replace(str(path), "FILE"))
    shown = section(page("dnsguard.toml.5"), "DIAGNOSTICS").splitlines()
    assert [line for line in shown if line.startswith("dnsguard: ")] == said
