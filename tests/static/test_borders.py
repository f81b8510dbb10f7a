"""The borders inside the tree, read from its syntax: who may import and do what."""

import ast
import graphlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
SOURCES = sorted(TREE.glob("dnsguard/**/*.py"))
TESTS = sorted(TREE.glob("tests/**/*.py"))

PURE = {
    "bisect",
    "collections",
    "collections.abc",
    "contextlib",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "re",
    "string",
    "struct",
    "typing",
}
"""What the decision and the formats may use of the standard library: values and text, no clock and no file."""

MANDATED = {
    "watchdog": {"dnsguard/host/watch.py"},
    "dns": {"dnsguard/host/probe.py"},
    "pyroute2": {"dnsguard/host/addresses.py"},
    "sdnotify": {"dnsguard/host/notify.py"},
    "structlog": {"dnsguard/log.py"},
}
"""One library, one file."""

BEYOND = {
    "yaml": {"dnsguard/host/yaml_text.py"},
    "systemd": {"dnsguard/host/journal.py"},
}
"""Beyond the five, and one file each.

journald has no other client library than systemd's own. YAML is what netplan, Kubernetes' manifests and kubelet's configuration are written in, and
no grammar to write once more: libyaml reads it, and nodes without such a file don't load it.
"""

MOST_LINES_OF_THE_DECISION = 3000

MOST_BROAD_EXCEPTS = 2
"""main() and the supervisor."""

_CLOCKS_AND_HANDS = {"open", "input", "print", "eval", "exec", "compile", "__import__"}


def _name(path: Path) -> str:
    return str(path.relative_to(TREE))


@cache
def _syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), _name(path))


def _imports(path: Path) -> Iterator[str]:
    """Yield every module that the file imports, however deep inside it."""
    for node in ast.walk(_syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}: a relative import"
            yield node.module or ""


def _calls(path: Path) -> Iterator[str]:
    """Yield what the file calls, as it is written: ``time.sleep``, ``open``."""
    for node in ast.walk(_syntax(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def _below(*directories: str) -> list[Path]:
    return [path for path in SOURCES if _name(path).startswith(directories)]


def test_the_tree_is_seen() -> None:
    """A test over no file proves nothing."""
    assert len(SOURCES) > 20
    assert len(TESTS) > 20


LAYERS = (
    ("", "errors", "page", "paths", "screen", "terminal", "text_diff"),
    ("formats",),
    ("core",),
    ("reporting", "host"),
    ("client", "config", "config_values", "log"),
    ("surroundings", "resolv_conf", "deferred", "guard"),
    ("prober", "stall", "heartbeat", "dhclient", "exporter", "control", "service"),
    ("background", "hints", "file_hints", "network_hints"),
    ("requests", "dry_run"),
    ("daemon", "commands"),
    ("cli", "__main__"),
)
"""From the bottom up: a module stands on those below it, and on those of its own folder."""

_RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
_MODULES = {
    ".".join(path.relative_to(TREE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SOURCES
}


def _stands_on(module: str) -> set[str]:
    """Return the modules of ours that a module imports, at its head or anywhere in it."""
    found = set()
    for node in ast.walk(_syntax(_MODULES[module])):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dnsguard"):
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                found.add(deeper if deeper in _MODULES else str(node.module))
    return found - {module}


def _part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", sorted(_MODULES))
def test_no_arrow_points_upward(module: str) -> None:
    """Whoever opens a folder knows what may be in it; `reporting` and `host` are strangers."""
    own = _part(module)
    for other in _stands_on(module):
        part = _part(other)
        is_below = _RANK[part] < _RANK[own] or (_RANK[part] == _RANK[own] and own not in LAYERS[3])
        assert is_below or part == own, other


def test_nothing_stands_on_itself() -> None:
    """No circle of imports, not even one that is broken at run time."""
    graph = {module: _stands_on(module) for module in _MODULES}
    order = tuple(graphlib.TopologicalSorter(graph).static_order())
    assert set(order) == set(_MODULES)


@pytest.mark.parametrize("path", _below("dnsguard/core/", "dnsguard/formats/"), ids=_name)
def test_the_core_and_the_formats_are_pure(path: Path) -> None:
    """They import values and text only, read no file and know no clock."""
    for module in _imports(path):
        assert module in PURE or module.startswith("dnsguard"), module
    assert not set(_calls(path)) & _CLOCKS_AND_HANDS
    assert not [call for call in _calls(path) if call.endswith((".now", ".today", ".utcnow"))]


def test_the_decision_is_small() -> None:
    """All of the policy can be read in an afternoon; what explains it is not counted."""
    assert sum(_count_lines(path) for path in _below("dnsguard/core/")) < MOST_LINES_OF_THE_DECISION


def _count_lines(path: Path) -> int:
    """Return the lines of code: no blank ones, no comments, no docstrings."""
    text = path.read_text(encoding="utf-8")
    explained = {
        line
        for node in ast.walk(_syntax(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    code = (number for number, line in lines if line.strip() and line.lstrip()[0] != "#")
    return len(set(code) - explained)


@pytest.mark.parametrize("library", [*MANDATED, *BEYOND])
def test_each_library_is_imported_by_one_file(library: str) -> None:
    """So that a new release of it can break one file only."""
    found = {
        _name(path)
        for path in SOURCES
        for module in _imports(path)
        if module.partition(".")[0] == library
    }
    assert found == {**MANDATED, **BEYOND}[library]


def test_no_other_library_is_needed() -> None:
    """Beyond these there is the standard library."""
    import sys

    known = {*sys.stdlib_module_names, *MANDATED, *BEYOND, "dnsguard"}
    found = {module.partition(".")[0] for path in SOURCES for module in _imports(path)}
    assert found <= known


WRITES = {
    "print",
    "input",
    "sys.stdout",
    "sys.stderr",
    "sys.__stdout__",
    "sys.__stderr__",
    "stdout",
    "stderr",
    "traceback.print_exc",
    "traceback.print_exception",
    "warnings.warn",
}
"""What writes to a terminal, or is one."""


def _writes(path: Path) -> Iterator[str]:
    """Yield what in a file could write to stdout or stderr."""
    for node in ast.walk(_syntax(path)):
        if isinstance(node, ast.Call):
            yield from {ast.unparse(node.func)} & {one for one in WRITES if one != "stdout"}
        elif isinstance(node, ast.Attribute):
            yield from {ast.unparse(node)} & WRITES
        elif isinstance(node, ast.ImportFrom) and node.module == "sys":
            yield from {alias.name for alias in node.names} & WRITES


def test_one_module_writes_to_the_terminal() -> None:
    """What others have put into files and names passes the one place that makes it harmless."""
    found = {_name(path): sorted(set(_writes(path))) for path in SOURCES}
    assert list(filter(found.get, found)) == ["dnsguard/terminal.py"]


def _is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    if caught is None:
        return True
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(ast.unparse(name) in ("Exception", "BaseException") for name in names)


def test_hardly_anything_catches_everything() -> None:
    """Expected failure is a value; what is not expected must be seen."""
    found = [
        f"{_name(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(_syntax(path))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node)
    ]
    found += [
        _name(path)
        for path in SOURCES
        for node in ast.walk(_syntax(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and {ast.unparse(argument) for argument in node.args} & {"Exception", "BaseException"}
    ]
    assert len(found) <= MOST_BROAD_EXCEPTS, found


def test_nothing_sleeps_but_what_waits_before_it_ends() -> None:
    """The daemon has one loop: whoever sleeps in it, stops every repair."""
    found = {_name(path) for path in SOURCES for call in _calls(path) if call == "time.sleep"}
    assert found <= {
        "dnsguard/commands/secure.py",
        "dnsguard/commands/wait.py",
        "dnsguard/commands/watch.py",
    }
    assert not [
        _name(path)
        for path in SOURCES
        for node in ast.walk(_syntax(path))
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
        if alias.name == "sleep"
    ]


@pytest.mark.parametrize("path", TESTS, ids=_name)
def test_tests_use_real_things(path: Path) -> None:
    """Real files, real sockets, a real namespace: nothing is mocked."""
    modules = set(_imports(path))
    assert not [module for module in modules if "mock" in module]
    used = {node.id for node in ast.walk(_syntax(path)) if isinstance(node, ast.Name)}
    assert not used & {"Mock", "MagicMock", "AsyncMock", "mocker"}


@pytest.mark.parametrize(
    "path", [path for path in TESTS if path.name.startswith("test_")], ids=_name
)
def test_every_test_says_what_it_is_about(path: Path) -> None:
    """A docstring that is a sentence about behaviour."""
    for node in ast.walk(_syntax(path)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_"):
            told = (ast.get_docstring(node) or "").partition("\n\n")[0].rstrip()
            assert told.endswith((".", "?", "!")), f"{_name(path)}:{node.lineno} {node.name}"
