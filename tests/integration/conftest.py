"""What the integration tests share: a node of their own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter
from lab.guard import Node, upstream
from lab.netns import Namespace, namespace

TOLD = "told"
"""The property by which a test's report brings a line that is printed whether it passes or not."""
TREE = Path(__file__).parents[2]


@pytest.fixture
def node() -> Iterator[Namespace]:
    """Return a network namespace, and be inside it during the test."""
    with namespace() as made, made.inside():
        yield made


@pytest.fixture
def guard(tmp_path: Path, node: Namespace) -> Iterator[Node]:
    """Return a poisoned node whose upstream answers; no daemon runs yet."""
    with upstream(node):
        yield Node(tmp_path, node)


@pytest.fixture
def readable_tree() -> Iterator[Path]:
    """Return a copy of the package that everyone can read, wherever the tree lies."""
    with tempfile.TemporaryDirectory() as made:
        shutil.copytree(TREE / "dnsguard", Path(made, "dnsguard"))
        Path(made).chmod(0o755)
        yield Path(made)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print what tests have told: xdist's workers have no terminal."""
    for kind in ("passed", "failed"):
        for report in terminalreporter.getreports(kind):
            for name, said in report.user_properties:
                if name == TOLD:
                    terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {said}")
