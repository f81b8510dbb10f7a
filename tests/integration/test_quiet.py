"""A node on which all is well, and the real daemon: nothing that it says gives cause for alarm."""

import signal
from collections.abc import Iterator

import pytest
from lab.guard import NODELOCAL, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.netns import Namespace, cable, namespace

pytestmark = pytest.mark.integration

REAL = f"search lab.test\nnameserver {UPSTREAM}\noptions ndots:2\n"


@pytest.fixture
def guard(tmp_path_factory: pytest.TempPathFactory, node: Namespace) -> Iterator[Node]:
    """Return a healthy node; its upstream takes its time to deny the cluster's names."""
    with namespace() as outside:
        cable(node, outside)
        node.ip("address add 192.0.2.1/24 dev eth0")
        outside.ip(f"address add {UPSTREAM}/24 dev eth0")
        with nameserver(outside, UPSTREAM, script="late-inside answer"):
            made = Node(tmp_path_factory.mktemp("node"), node, knows=False)
            made.file.write_text(REAL)
            yield made


def test_a_healthy_life_is_told_without_a_warning(guard: Node) -> None:
    """Start, renewal, handover, NodeLocalDNS killed and back, stop, start, removal."""
    guard.where.bridge("nodelocal", NODELOCAL)
    for number in range(2):
        with guard.guarded():
            said = guard.run("check")  # at once: nobody was asked yet, or has answered
            assert said.returncode == 0, said.stdout
            for _ in range(2):
                with nameserver(guard.where, NODELOCAL) as nodelocaldns:
                    guard.wait_for(NODELOCAL, UPSTREAM, within=20)
                    assert guard.run("check").returncode == 0
                    nodelocaldns.process.send_signal(signal.SIGKILL)
                    guard.wait_for(UPSTREAM)
                assert guard.run("check").returncode == 0
            guard.file.write_text(REAL)  # as dhclient-script does at a renewal
            guard.wait_for(UPSTREAM)
        assert guard.file.read_text() == REAL, number
    assert guard.run("secure", "--give-link-back").stderr == ""
    assert guard.file.read_text() == REAL
    told = guard.log.read_text()
    assert [line for line in told.splitlines() if " info " not in line] == []
    assert "resolv_conf_trampled" not in told
