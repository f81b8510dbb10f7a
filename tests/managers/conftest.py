"""The managers ring's fixtures, and its tables: who resolved what, and when, on which node."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter  # pytest 7.2 exports none
from boot import package
from lab import gobin, needs

from managers import asking, setups, tables
from managers.asking import Answer, Way
from managers.lab import Lab, open_lab
from managers.overlay import enter_private_mounts
from managers.setup import Setup

Table = Callable[[str, dict[Way, Answer]], None]


# pytest 7.2 has no types for its decorator.
@pytest.hookimpl(tryfirst=True)  # type: ignore[misc] # before xdist, which reads the marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a set-up on one worker: they share its node."""
    for item in items:
        call = getattr(item, "callspec", None)
        if call is not None and "setup" in call.params:
            item.add_marker(pytest.mark.xdist_group(str(call.params["setup"])))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that asks for a set-up on all of them."""
    if "setup" in metafunc.fixturenames:
        metafunc.parametrize("setup", setups.ALL, ids=str, indirect=True, scope="session")


@pytest.fixture(scope="session")
def setup(request: pytest.FixtureRequest) -> Setup:
    """Return the set-up that a test is run on."""
    chosen: Setup = request.param
    return chosen


@pytest.fixture(scope="session", autouse=True)
def private_mounts() -> None:
    needs.require("root", "boot")
    enter_private_mounts()


@pytest.fixture(scope="session")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package under test: built once, whatever the number of workers."""
    shared = tmp_path_factory.getbasetemp()
    return package.build((shared.parent if shared.name.startswith("popen-") else shared) / "deb")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return what each node gets: programs that ask, and CoreDNS."""
    if not gobin.is_had():
        needs.leave_out("Go, for CoreDNS and a program with Go's resolver")
    return {**asking.programs(tmp_path_factory.mktemp("programs")), "coredns": gobin.coredns()}


@pytest.fixture
def lab(setup: Setup, tmp_path: Path, programs: dict[str, Path]) -> Iterator[Lab]:
    """Give a lab whose node is healthy, without dnsguard and without power."""
    with open_lab(setup, tmp_path / "lab", programs) as lab:
        yield lab


@pytest.fixture
def twins(
    setup: Setup, tmp_path: Path, programs: dict[str, Path], deb: Path
) -> Iterator[tuple[Lab, Lab]]:
    """Give two labs alike, but that the second one's node has dnsguard; both without power."""
    with ExitStack() as stack:
        pair = [
            stack.enter_context(open_lab(setup, tmp_path / name, programs))
            for name in ("bare", "guarded")
        ]
        pair[1].node.install(deb)
        yield pair[0], pair[1]
        # Each lab, when it is closed, asks whose processes are left.
        for lab in pair:
            if lab.node.is_running:
                lab.node.cut_power()


@pytest.fixture(scope="session")
def guarded(
    setup: Setup,
    tmp_path_factory: pytest.TempPathFactory,
    programs: dict[str, Path],
    deb: Path,
) -> Iterator[Lab]:
    """Give a lab whose node Kubespray has poisoned, a reboot ago; dnsguard comes only now.

    It is the hardest case: no file of the node's own remembers better days.

    Shared by the tests of a set-up, in their order. The last one takes dnsguard away.
    """
    with open_lab(setup, tmp_path_factory.mktemp(f"guarded-{setup}") / "lab", programs) as lab:
        lab.node.poison()
        lab.node.reboot_poisoned()
        lab.node.install(deb)
        yield lab


@pytest.fixture
def table(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Table:
    """Return how a test adds a row to its node's table, printed when the ring ends."""
    node = "without dnsguard" if "control" in request.path.stem else "with dnsguard"
    setup = request.getfixturevalue("setup")

    def add(moment: str, answers: dict[Way, Answer]) -> None:
        cells = {str(way): str(answer) for way, answer in answers.items()}
        record_property(
            tables.ROW, json.dumps([time.monotonic(), f"{setup}, {node}", moment, cells])
        )

    return add


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the tables; the reports bring their rows, from other workers as well."""
    reports = (
        one
        for kind in ("passed", "failed")
        for one in terminalreporter.getreports(kind)
        if one.when == "call"
    )
    rows = sorted(
        json.loads(str(value))
        for report in reports
        for name, value in report.user_properties
        if name == tables.ROW
    )
    for line in tables.lay_out([(node, moment, cells) for _, node, moment, cells in rows]):
        terminalreporter.write_line(line)


@pytest.hookimpl(hookwrapper=True)  # type: ignore[misc]
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show beside a failure what the guard says, and what the outside world has heard."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    found = getattr(item, "funcargs", {}).values()
    labs = [one for it in found for one in (it if isinstance(it, tuple) else (it,))]
    for lab in {id(it): it for it in labs if isinstance(it, Lab)}.values():
        report.sections.append((f"node {lab.setup}", lab.node.account_of_guard()))
        report.sections.append((f"outside of {lab.setup}", lab.outside.log()))
