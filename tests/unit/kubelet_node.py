"""Files that kubelet has on a node, and what is seen there."""

from pathlib import Path

from dnsguard.formats.kubelet import Kubelet
from dnsguard.host.kubelet import read_kubelet

POD_FILE = "/var/lib/dnsguard/resolv.conf"
RESOLVED = "/run/systemd/resolve/resolv.conf"
CONFIG = "etc/kubernetes/kubelet-config.yaml"
KUBEADM_CONFIG = "var/lib/kubelet/config.yaml"
KUBESPRAY = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failSwapOn: True
containerRuntimeEndpoint : unix:///var/run/containerd/containerd.sock
clusterDomain: cluster.local
clusterDNS:
- 169.254.25.10
kubeReserved:
  cpu: "100m"
resolvConf: "{}"
featureGates:
  RotateKubeletServerCertificate: true
"""
KUBESPRAY_UNIT = """\
[Service]
EnvironmentFile=-/etc/kubernetes/kubelet.env
ExecStart=/usr/local/bin/kubelet \\
\t\t$KUBE_LOG_LEVEL \\
\t\t$KUBELET_ARGS
"""
KUBESPRAY_ENV = """\
KUBE_LOG_LEVEL="--v=2"
KUBELET_ARGS="--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \\
--config={} \\
--kubeconfig=/etc/kubernetes/kubelet.conf \\
 "
"""
KUBEADM_DROP_IN = """\
# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
# EnvironmentFile=-/etc/nothing
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
"""


class Node:
    """Files below a root of their own, and what is seen there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("etc/resolv.conf", "nameserver 10.0.0.2\n")

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def kubeadm(self) -> None:
        """Write what the package and ``kubeadm join`` leave behind."""
        self.write(
            "usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet"
        )
        directory = "usr/lib/systemd/system/kubelet.service.d"
        self.write(f"{directory}/10-kubeadm.conf", KUBEADM_DROP_IN)
        self.write("var/lib/kubelet/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--v=2"\n')

    def look(self) -> Kubelet:
        found = read_kubelet(self.root)
        assert found is not None
        return found

    def read(self) -> str:
        return self.look().pods_file
