"""What there is on this node to delete a pod and to restart kubelet with."""

import os
from pathlib import Path

from dnsguard.core.kubelet import Kubelet
from dnsguard.core.pods import REMEDY
from dnsguard.host import kubelet_unit

_CREDENTIALS = (
    "etc/kubernetes/admin.conf",
    "etc/kubernetes/super-admin.conf",
    "root/.kube/config",
    "etc/rancher/k3s/k3s.yaml",
    "etc/rancher/rke2/rke2.yaml",
)
"""Of control planes: on a worker kubectl has none, and asks localhost:8080."""
_CRICTL = (
    "usr/local/bin/crictl",
    "usr/bin/crictl",
    "opt/bin/crictl",
    "var/lib/rancher/rke2/bin/crictl",
)


def look(root: Path, kubelet: Kubelet | None) -> dict[str, bool | str]:
    """Tell whether kubectl has credentials and crictl is there, and what kubelet needs."""
    is_told = root == Path("/") and bool(os.environ.get("KUBECONFIG"))
    unit = kubelet_unit.find_unit(root) if kubelet is None else kubelet.unit
    return {
        "kubectl": is_told or any((root / name).is_file() for name in _CREDENTIALS),
        "crictl": any((root / name).exists() for name in _CRICTL),
        "restart": f"systemctl restart {unit}",
        "pods_file": (kubelet and kubelet.step) or REMEDY,
    }
