"""kubeadm's shape: systemd-resolved, and pods get the file without its stub."""

from pathlib import Path

import pytest
from managers.outside import FIRST
from managers.setup import UPLINK

from node import claims
from node.lab import Lab
from node.shapes import KUBEADM

pytestmark = pytest.mark.node

SHAPE = KUBEADM


def test_nothing_is_handed_over_into_pods(lab: Lab, deb: Path) -> None:
    """The link stays a link, pods have the real upstream, and status says what is so."""
    node = lab.node
    claims.start_guarded(node, deb, FIRST)
    status = node.status()
    print("\n".join(status["next"]))
    assert node.run("readlink", "/etc/resolv.conf").endswith("stub-resolv.conf")
    assert status["mode"] == "guarding"
    assert status["kubelet"]["pods_file"] == UPLINK
    assert status["kubelet"]["nameservers"] == [FIRST]
    assert status["next"]
    assert claims.is_said_fine_for_pods(node)
