"""What there is on this node to delete a pod and to restart kubelet with."""

import os
from pathlib import Path

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
_UNITS = "kubelet", "k3s", "k3s-agent", "rke2-server", "rke2-agent"
"""Whoever is kubelet."""
_PLACES = "etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"


def find_means(root: Path) -> dict[str, bool | str]:
    """Tell whether kubectl has credentials, whether crictl is there, and how kubelet is restarted."""
    is_told = root == Path("/") and bool(os.environ.get("KUBECONFIG"))
    return {
        "kubectl": is_told or any((root / name).is_file() for name in _CREDENTIALS),
        "crictl": any((root / name).exists() for name in _CRICTL),
        "restart": f"systemctl restart {_find_unit(root)}",
    }


def _find_unit(root: Path) -> str:
    paths = ((unit, root / place / f"{unit}.service") for unit in _UNITS for place in _PLACES)
    return next((unit for unit, path in paths if path.exists()), _UNITS[0])
