"""The real daemon and NodeLocalDNS: handed over, lost, and how it is found."""

import pytest
from lab.guard import NODELOCAL, OTHER, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.wait import until

from dnsguard.formats import resolvconf

pytestmark = pytest.mark.integration


def test_nodelocaldns_gets_the_node_and_loses_it(guard: Node) -> None:
    """Bound and answering: handed over. Its address gone: the upstream is back."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.where.bridge("nodelocal", NODELOCAL)
        with nameserver(guard.where, NODELOCAL):
            guard.wait_for(NODELOCAL, UPSTREAM)
            assert guard.status()["mode"] == "handed-over"
            guard.where.ip("link delete nodelocal")
            guard.wait_for(UPSTREAM)
            assert guard.status()["mode"] == "guarding"
        pods = (guard.root / "var/lib/dnsguard/resolv.conf").read_bytes()
        assert [str(s.address) for s in resolvconf.read_nameservers(pods)] == [UPSTREAM]


def test_a_tenants_corefile_names_nobody(guard: Node) -> None:
    """On a poisoned node it is believed neither at once nor later; kube-system's is."""
    uid = "0f6c6d0a-3f6e-4a5b-9c1e-2b7f8f0d4c11"
    volume = f"var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~configmap/config-volume"
    (guard.root / volume).mkdir(parents=True)
    (guard.root / volume / "Corefile").write_text(f".:53 {{\n    forward . {OTHER}\n}}\n")
    logs = guard.root / "var/log/pods"
    (logs / f"tenant_coredns-abc_{uid}").mkdir(parents=True)
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert OTHER not in guard.run("upstreams").stdout
    (logs / f"tenant_coredns-abc_{uid}").rename(logs / f"kube-system_coredns-abc_{uid}")
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert OTHER in guard.run("upstreams").stdout


def test_the_last_server_is_given_back(guard: Node) -> None:
    """NodeLocalDNS alone is known, and down at the boot: held back, and back once it is healthy."""
    (guard.root / "etc/resolv.conf.bak").unlink()
    guard.where.bridge("nodelocal", NODELOCAL)
    with guard.guarded():
        guard.wait_for()
        with nameserver(guard.where, NODELOCAL):
            guard.wait_for(NODELOCAL)
            assert guard.file.read_bytes() == POISON
            assert "no upstream is known" in guard.run("status").stdout.splitlines()[0]


def test_a_unique_local_address_is_found_in_kubelets_configuration(guard: Node) -> None:
    """An IPv6 cluster's NodeLocalDNS: it is asked there, and is no upstream."""
    kubelet = guard.root / "var/lib/kubelet/config.yaml"
    kubelet.parent.mkdir(parents=True)
    kubelet.write_text("clusterDNS: ['fd00::10']\nresolvConf: /var/lib/dnsguard/resolv.conf\n")
    guard.file.write_text("nameserver fd00::10\n")
    guard.where.bridge("nodelocal", "fd00::10/128")
    with nameserver(guard.where, "fd00::10"), guard.guarded():
        guard.wait_for(UPSTREAM)
        until(lambda: bool(guard.status()["nodelocal"]["address"] == "fd00::10"))
        guard.wait_for("fd00::10", UPSTREAM)  # as such, not as an upstream
