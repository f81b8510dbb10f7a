"""The boot gate: kubelet waits for an upstream that answers, and not for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from boot.kubespray import POD_FILE
from boot.lab import Lab, open_lab
from boot.node import Node
from boot.waiting import wait_for

pytestmark = pytest.mark.boot

GATE = "dnsguard-wait.service"
KUBELET = "kubelet.service"


@pytest.fixture
def lab(tmp_path: Path, deb: Path) -> Iterator[Lab]:
    """Give a running, guarded node that has been booted through the gate."""
    with open_lab(tmp_path) as made:
        node = made.node
        node.install(deb)
        wants = node.tree / "etc/systemd/system/kubelet.service.wants"
        wants.mkdir()
        (wants / GATE).symlink_to(f"/lib/systemd/system/{GATE}")
        node.up()
        node.point_kubelet_at(POD_FILE)
        yield made


@contextmanager
def _without_upstream(lab: Lab) -> Iterator[None]:
    """Have nobody answer, with a daemon that has heard nothing yet."""
    lab.node.run("systemctl", "stop", KUBELET, GATE)
    with lab.outside.silent():
        lab.node.run("systemctl", "restart", "dnsguard.service")
        yield


def _started(node: Node) -> int:
    return int(node.property_of(KUBELET, "ExecMainStartTimestampMonotonic"))


def test_kubelet_waits_until_an_upstream_has_answered(lab: Lab) -> None:
    """At boot it was behind the gate; in an outage it starts once that is over."""
    node = lab.node
    assert node.property_of(GATE, "Result") == "success"
    opened = int(node.property_of(GATE, "ExecMainExitTimestampMonotonic"))
    before = _started(node)
    assert 0 < opened < before
    with _without_upstream(lab):
        node.run("systemctl", "start", "--no-block", KUBELET)
        state = ("systemctl", "show", "--value", "--property=ActiveState", GATE)
        wait_for("the gate", lambda: node.run(*state) == "activating", seconds=5)
        # As long as the daemon needs to know that nobody answers, and a second more.
        node.run("sh", "-c", "dnsguard status --wait handed-over --timeout 3s || true")
        assert node.run(*state) == "activating"
        assert _started(node) == before
    wait_for("kubelet", lambda: _started(node) > before, seconds=20)
    assert node.status()["upstream"]["state"] == "verified"


def test_kubelet_does_not_wait_for_ever(lab: Lab) -> None:
    """The cap is 30 seconds, here 2: kubelet starts, and the journal says what was missing."""
    node = lab.node
    assert "--timeout 30s" in node.property_of(GATE, "ExecStart")
    dropin = node.tree / f"etc/systemd/system/{GATE}.d/cap.conf"
    dropin.parent.mkdir()
    dropin.write_text("[Service]\nExecStart=\nExecStart=-/usr/bin/dnsguard wait --timeout 2s\n")
    node.run("systemctl", "daemon-reload")
    before = _started(node)
    with _without_upstream(lab):
        node.run("systemctl", "start", KUBELET)
        assert _started(node) > before
        assert "not safe within 2 s" in node.run("journalctl", "-u", GATE, "--no-pager")
        assert node.property_of(GATE, "ActiveState") == "active"
