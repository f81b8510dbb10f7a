"""k3s's and MicroK8s's shape: the kubelet is inside another process."""

from pathlib import Path

import pytest
from boot.kubespray import POD_FILE
from managers.outside import FIRST

from node import claims
from node.lab import Lab
from node.shapes import K3S, MICROK8S, Shape

pytestmark = pytest.mark.node

_ITS_SETTING = {
    K3S.name: f"set resolv-conf to {POD_FILE} in /etc/rancher/k3s/config.yaml",
    MICROK8S.name: f"set --resolv-conf={POD_FILE} in /var/snap/microk8s/current/args/kubelet",
}
"""What kubelet adopt has no line for."""


@pytest.fixture(scope="module", params=[K3S, MICROK8S], ids=str)
def shape(request: pytest.FixtureRequest) -> Shape:
    """Return both."""
    chosen: Shape = request.param
    return chosen


def test_nothing_is_handed_over_into_pods(lab: Lab, deb: Path) -> None:
    """Its pods get /etc/resolv.conf, as far as can be told: the node is guarded, and told so."""
    node = lab.node
    claims.start_guarded(node, deb, FIRST)
    assert node.nameservers() == [FIRST]
    status = node.status()
    print("\n".join(status["next"]))
    assert status["mode"] == "guarding"
    assert any("/etc/resolv.conf to pods" in one for one in status["next"])
    assert any(_ITS_SETTING[lab.shape.name] in one for one in status["next"])
    told = node.try_("dnsguard", "kubelet").stdout
    print(told)
    assert POD_FILE in told
    assert claims.is_said_fine_for_pods(node)


def test_what_cannot_be_told_is_said(lab: Lab) -> None:
    """The same process under a name that nobody knows: somebody starts pods here."""
    node = lab.node
    node.cut_power()
    lab.forget_program()
    node.start()
    claims.wait_for_both(node, FIRST, seconds=120)
    claims.wait_until_healthy(node)
    status = node.status()
    print("\n".join(status["next"]))
    assert status["mode"] == "guarding"
    assert node.nameservers() == [FIRST]
    assert any("nobody can tell which resolv.conf pods get" in one for one in status["next"])
    claims.have_upstream(node, FIRST)
