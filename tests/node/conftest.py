"""The node ring's fixtures: programs, the golden state, and a lab for each file of tests."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boot import package
from lab import gobuild, needs
from lab.lock import locked
from managers.overlay import enter_private_mounts

from node import golden, programs
from node.golden import Golden
from node.lab import Lab, open_lab
from node.programs import Programs
from node.shapes import KUBESPRAY, Shape


@pytest.fixture(scope="session", autouse=True)
def private_mounts() -> None:
    needs.require("root", "boot")
    enter_private_mounts()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of what is made once, whatever the number of workers."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


@pytest.fixture(scope="session")
def deb(shared: Path) -> Path:
    """Return the package under test."""
    return package.build(shared / "deb")


@pytest.fixture(scope="session")
def tools() -> Programs:
    """Return the programs of the ring."""
    if gobuild.go() is None:
        needs.leave_out("Go, for Kubernetes and its DNS servers")
    return programs.find()


@pytest.fixture(scope="session")
def start(shared: Path, tools: Programs) -> Golden:
    """Return the golden state, made by the first who asks."""
    if kept := os.environ.get("DNSGUARD_TEST_GOLDEN"):
        return Golden(Path(kept))
    place = shared / "golden"
    with locked(shared / "golden.lock"):
        done = place / "done"
        if not done.exists():
            golden.make(place, tools)
            done.touch()
    return Golden(place)


@pytest.fixture(scope="module")
def shape(request: pytest.FixtureRequest) -> Shape:
    """Return the kind of node of a file of tests, which it calls ``SHAPE``."""
    default = getattr(request.module, "SHAPE", KUBESPRAY)
    chosen: Shape = getattr(request, "param", default)
    return chosen


@pytest.fixture(scope="module")
def lab(
    shape: Shape, tmp_path_factory: pytest.TempPathFactory, tools: Programs, start: Golden
) -> Iterator[Lab]:
    """Give a lab whose node has no dnsguard and no power; a file's tests share it, in order."""
    directory = tmp_path_factory.mktemp(shape.name) / "lab"
    with open_lab(shape, directory, tools, start) as lab:
        yield lab
        # Whose processes are left is asked when the lab is closed.
        if lab.node.is_running:
            lab.node.cut_power()


# pytest 7.2 has no types for its decorator.
@pytest.hookimpl(tryfirst=True)  # type: ignore[misc] # before xdist, which reads the marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a node on one worker."""
    for item in items:
        call = getattr(item, "callspec", None)
        shape = call.params.get("shape", "") if call is not None else ""
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{shape}"))


@pytest.hookimpl(hookwrapper=True)  # type: ignore[misc]
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show beside a failure what the node and its outside say."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.when == "call" and report.failed and isinstance(lab, Lab):
        with contextlib.suppress(Exception):
            report.sections.append((f"node {lab.shape}", lab.node.account_of_pods()))
        report.sections.append((f"outside of {lab.shape}", lab.cluster.log()[-3000:]))
