"""What tests/run takes from pytest's report: real ones, of tests that fail now and then."""

import subprocess
import sys
from pathlib import Path

import pytest

REPORT = Path(__file__).parents[1] / "lab/report.py"
PASSES = "def test_passes():\n    pass\n"
MIXED = """\
import pytest

@pytest.mark.xdist_group("node")
@pytest.mark.parametrize("of", ["a-b", "c@d"])
def test_of_a_group(of):
    assert of != "c@d"

class TestClass:
    def test_method(self):
        assert False

@pytest.fixture
def torn():
    yield
    raise OSError

def test_whose_end_fails(torn):
    assert False

def test_left_out():
    pytest.skip("no machine\\nof that kind")
"""
BROKEN = "import nowhere\n"
FAILED = [
    "tests/ring/test_mixed.py::test_of_a_group[c@d]",
    "tests/ring/test_mixed.py::TestClass::test_method",
    "tests/ring/test_mixed.py::test_whose_end_fails",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tests/ring").mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    return tmp_path


def _test(tree: Path, text: str, *options: str) -> int:
    """Run tests there; return pytest's status."""
    (tree / "tests/ring/test_mixed.py").write_text(text)
    made = ("-q", "--junitxml=report.xml", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    command = [sys.executable, "-m", "pytest", *made, *options, "tests/ring"]
    return subprocess.run(command, cwd=tree, capture_output=True, check=False).returncode


def _report(tree: Path, verb: str, *arguments: str) -> str:
    command = [sys.executable, str(REPORT), verb, "report.xml", *arguments]
    done = subprocess.run(command, cwd=tree, capture_output=True, check=True, text=True)
    return done.stdout


@pytest.mark.parametrize("options", [(), ("--numprocesses=1", "--dist=loadgroup")])
def test_what_failed_is_named_as_pytest_takes_it(tree: Path, options: tuple[str, ...]) -> None:
    """Beside a class, a parameter and a worker's group: run by these names, they fail again."""
    assert _test(tree, MIXED, *options) == 1
    failed = _report(tree, "failed").splitlines()
    assert failed == FAILED
    again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *failed]
    done = subprocess.run(again, cwd=tree, capture_output=True, check=False, text=True)
    assert "3 failed, 1 error in" in done.stdout


def test_what_failed_and_passed_then_is_told(tree: Path) -> None:
    """It counts as passed, and is named; what failed for good counts as that."""
    _test(tree, MIXED)
    assert _report(tree, "count", "1", "left") == "1 3 1\n"
    assert (tree / "left").read_text() == "1 test left out: no machine\n"
    assert _report(tree, "count", "0", "left-again") == "4 0 1\n"
    told = (tree / "left-again").read_text().splitlines()
    again = [f"failed, and passed when it was run again, alone: {name}" for name in FAILED]
    assert told == [*again, "1 test left out: no machine"]


def test_a_run_that_broke_off_has_failed(tree: Path) -> None:
    """Without a report, or without a failed test in it; and there is nothing to try again."""
    assert _report(tree, "count", "124", "left") == "0 1 0\n"
    assert not _report(tree, "failed")
    _test(tree, PASSES)
    assert _report(tree, "count", "124", "left") == "1 1 0\n"
    assert _test(tree, BROKEN) == 2
    assert _report(tree, "count", "2", "left") == "0 1 0\n"
