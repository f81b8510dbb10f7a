"""What is asserted of pods on a node, and then of what dnsguard says of them."""

from pathlib import Path

from boot.kubespray import CLUSTER_ADDRESSES
from boot.waiting import wait_for

from node.manifests import APP_NAMES
from node.node import KubernetesNode

DNS_PODS = ("nodelocaldns", "coredns")
BOTH = ("node-cache", "coredns")
"""The containers of the DNS pods."""


def wait_for_both(node: KubernetesNode, upstream: str, *, seconds: float) -> None:
    """Wait until both DNS pods run with this upstream and nothing else."""
    for name in BOTH:
        wait_for(
            f"{name} has {upstream} alone",
            lambda name=name: _servers(node, name) == [upstream],  # type: ignore[misc]
            seconds=seconds,
            every=0.2,
        )


def start_guarded(node: KubernetesNode, deb: Path, upstream: str) -> None:
    """Install dnsguard, boot, and wait until pods run with this upstream alone and resolve."""
    node.install(deb)
    node.start()
    wait_for_both(node, upstream, seconds=120)
    wait_for("a pod resolves", lambda: app_resolves(node), seconds=60, every=0.2)
    wait_until_healthy(node)
    have_upstream(node, upstream)


def have_upstream(node: KubernetesNode, upstream: str) -> None:
    """Assert it of the processes that run, and of what a restarted container would get."""
    for name in BOTH:
        assert node.servers_of(name) == [upstream], name
        assert node.servers_of_sandbox(name) == [upstream], name


def app_resolves(node: KubernetesNode) -> bool:
    """Tell whether a pod with ClusterFirst resolves names of the cluster and outside, now."""
    return all(f"found {name}" in node.ask_from("app", name) for name in APP_NAMES)


def wait_until_healthy(node: KubernetesNode) -> None:
    """Wait until dnsguard calls NodeLocalDNS healthy: nothing but what pods get is in the way."""

    def is_healthy() -> bool:
        state: str = node.status()["nodelocal"]["state"]
        return state == "healthy"

    wait_for("NodeLocalDNS counts as healthy", is_healthy, seconds=90, every=0.2)


def is_said_fine_for_pods(node: KubernetesNode) -> bool:
    """Tell whether dnsguard says what is so: pods have no cluster address for an upstream."""
    doctor = node.try_("dnsguard", "doctor")
    told = node.status()["pod_file"]["nameservers"]
    assert doctor.returncode == 0, doctor.stdout
    assert not CLUSTER_ADDRESSES & set(told), told
    return True


def _servers(node: KubernetesNode, name: str) -> list[str]:
    running = node.containers(name)
    if len(running) != 1:
        return []
    try:
        return node.servers_of(name)
    except (AssertionError, TimeoutError):  # it has ended meanwhile
        return []
