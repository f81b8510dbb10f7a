"""The boot ring's fixtures: the built package, and a lab for each test that asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from boot import package
from boot.lab import Lab, open_lab


@pytest.fixture(scope="session")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package under test: built from this tree, unless DNSGUARD_TEST_DEB names one."""
    return package.build(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session")
def next_deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same package with a higher version."""
    return package.build_next(tmp_path_factory.mktemp("next"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Give a lab whose node has no dnsguard and no power."""
    with open_lab(tmp_path) as lab:
        yield lab


@pytest.fixture
def guarded_lab(lab: Lab, deb: Path) -> Lab:
    """Give a lab whose node has the package installed, and no power."""
    lab.node.install(deb)
    return lab


@pytest.fixture(scope="package")
def running_lab(tmp_path_factory: pytest.TempPathFactory, deb: Path) -> Iterator[Lab]:
    """Give a lab whose node runs with the package, shared by the tests that only look at it."""
    with open_lab(tmp_path_factory.mktemp("running")) as lab:
        lab.node.install(deb)
        lab.node.up()
        yield lab


def pytest_exception_interact(node: pytest.Item, report: pytest.TestReport) -> None:
    """Show beside a failure what the test's node and its outside world have said."""
    found = getattr(node, "funcargs", {}).values()
    for lab in {id(it): it for it in found if isinstance(it, Lab)}.values():
        report.sections.append(("node", lab.node.account()))
        report.sections.append(("outside", lab.outside.log()))
