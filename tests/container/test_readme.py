"""README.md's two commands in an ordinary container: both end well, and say what they can't."""

import re
from collections.abc import Iterator

import pytest

from container.box import Box

pytestmark = pytest.mark.boot

DEPENDENCIES = {
    "dnsguard",
    "python3-dnspython",
    "python3-pyroute2",
    "python3-sdnotify",
    "python3-structlog",
    "python3-systemd",
    "python3-watchdog",
    "python3-yaml",
}
BUILDERS = {"debhelper", "dh-python", "dpkg-dev", "gcc", "make", "python3-setuptools"}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    made = Box(tmp_path_factory.mktemp("container"))
    yield made
    made.close()


def test_it_is_an_ordinary_container(box: Box) -> None:
    """The control: what Docker refuses is refused here."""
    for command in ("unshare --net true", "unshare --user true", "mount -t tmpfs none /mnt"):
        assert box.run("sh", "-c", command, timeout=60).returncode != 0, command
    assert box.run("chroot", "/", "true", timeout=60).returncode == 0


def test_install_ends_with_the_story(box: Box) -> None:
    """It installs dnsguard and what it depends on, and nothing that only the build needed."""
    before = box.selections()
    done = box.run("packaging/install", timeout=900)
    assert done.returncode == 0, done.stdout
    assert "systemd does not run here" in done.stdout
    assert "What is different: NodeLocalDNS is 127.0.25.10" in " ".join(done.stdout.split())
    assert "What to do next" in done.stdout
    added = box.selections() - before
    assert added >= DEPENDENCIES
    assert not added & BUILDERS
    assert not list((box.tree / "tmp").glob("dnsguard-*"))


def test_the_tests_run_as_far_as_they_can(box: Box) -> None:
    """A line for each ring, what is left out with its reason, and exit status 0.

    The default rings, and one that can't run here at all.
    """
    done = box.run("tests/run", "unit", "static", "integration", "boot", timeout=2400)
    assert done.returncode == 0, done.stdout[-20000:]
    for ring in ("unit", "static", "integration"):
        assert re.search(rf"^{ring} +ok +\d+ passed", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^boot +left out: needs systemd-nspawn", done.stdout, re.MULTILINE)
    assert "left out: needs network and mount namespaces" in done.stdout
    assert re.search(r"^\d+ passed, 0 failed", done.stdout, re.MULTILINE)
    print(done.stdout)
