"""What ``dnsguard doctor`` says of the node's pods, and what is to be done."""

import pytest

from dnsguard.commands import doctor
from integration.doctor.world import CLUSTER, NODELOCAL, UPSTREAM, Lab

pytestmark = pytest.mark.integration


CLUSTER_FIRST = (
    "search {}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {}\noptions ndots:5\n"
)


@pytest.mark.parametrize(
    ("namespace", "content", "wrong"),
    [
        ("kube-system", f"nameserver {NODELOCAL}\n", f"can ask only {NODELOCAL} (cluster DNS)"),
        ("kube-system", "nameserver 192.0.2.99\n", "can ask only 192.0.2.99 (no answer)"),
        ("kube-system", f"nameserver {UPSTREAM}\n", None),
        ("kube-system", CLUSTER_FIRST.format("kube-system", CLUSTER), None),
        (
            "kube-system",
            f"nameserver {NODELOCAL}\nnameserver {UPSTREAM}\n",
            f"its resolv.conf names {NODELOCAL} (cluster DNS)",
        ),
        # A tenant may have written it himself.
        ("shop", f"nameserver {NODELOCAL}\n", f"its resolv.conf names {NODELOCAL} (cluster DNS)"),
        ("shop", CLUSTER_FIRST.format("shop", CLUSTER), None),
    ],
)
def test_pods_of_every_kind_are_looked_at(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    namespace: str,
    content: str,
    wrong: str | None,
) -> None:
    """Those that have the node's file: with nobody left to ask, a pod of the cluster's own is to go."""
    lab.node.bridge("dead", "192.0.2.99/32")
    lab.start_pod("proxy-x", namespace, content)
    status, told = lab.doctor(capsys)
    is_lost = wrong is not None and "only" in wrong
    assert status == (doctor.FOUND if is_lost else 0)
    assert ("delete pod proxy-x" in told) is is_lost
    if wrong is None:
        assert "proxy-x" not in told
    else:
        assert f"pod {namespace}/proxy-x" in told
        assert wrong in told


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ((), ["on a control plane (kubectl has no credentials here):", "  kubectl"]),
        (("usr/bin/crictl",), ["crictl", "or on a control plane", "  kubectl"]),
        (("etc/kubernetes/admin.conf", "usr/bin/crictl"), ["kubectl"]),
    ],
)
def test_what_is_to_be_done_can_be_done_here(
    lab: Lab, capsys: pytest.CaptureFixture[str], files: tuple[str, ...], expected: list[str]
) -> None:
    """A worker has no credentials; images wait for kubelet's back-off until it is restarted."""
    for name in files:
        (lab.root / name).parent.mkdir(parents=True, exist_ok=True)
        (lab.root / name).touch()
    lab.start_pod("proxy-x", "kube-system", f"nameserver {NODELOCAL}\n")
    _, told = lab.doctor(capsys)
    steps = [line[2:] for line in told.partition("To do:\n")[2].splitlines()]
    assert len(steps) == len(expected) + 1
    assert all(one.startswith(begin) for one, begin in zip(steps, expected, strict=False))
    assert steps[-1].startswith("systemctl restart kubelet ")
    assert "back-off" in steps[-1]


def test_what_kubelet_is_inside_is_what_is_restarted(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is set by hand there; ``adopt`` has no line of kubelet's own to change."""
    (lab.root / "etc/kubernetes/kubelet-config.yaml").unlink()
    for name in ("etc/systemd/system/k3s-agent.service", "etc/rancher/k3s/config.yaml"):
        (lab.root / name).parent.mkdir(parents=True, exist_ok=True)
        (lab.root / name).write_text("")
    (lab.root / "etc/resolv.conf").write_text(f"nameserver {NODELOCAL}\n")
    lab.start_pod("proxy-x", "kube-system", f"nameserver {NODELOCAL}\n")
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    steps = [line[2:] for line in told.partition("To do:\n")[2].splitlines()]
    assert steps[0].startswith("set resolv-conf to /var/lib/dnsguard/resolv.conf in /etc/rancher")
    assert "then systemctl restart k3s-agent " in steps[0]
    assert steps[-1].startswith("systemctl restart k3s-agent ")
    assert "adopt" not in told
