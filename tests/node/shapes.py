"""The kinds of nodes: how a kubelet is started, and where it is told what pods get."""

from dataclasses import dataclass, replace
from enum import Enum, auto

from boot.kubespray import NODE_LOCAL
from managers import kubespray
from managers.setup import UPLINK, File

from node import files

RESOLV_CONF = "/etc/resolv.conf"
UNKNOWN = "10.233.50.53"
"""Cluster DNS where nobody looks for it: of a ``kube_service_addresses`` of one's own."""

POISON = (*kubespray.dhclient(), *kubespray.resolv_conf(kubespray.HEALTHY))
"""What Kubespray leaves before the first reboot: acted upon at dhclient's next start."""


class Part(Enum):
    """A program that a shape has under another name."""

    KUBELET = auto()
    POD = auto()
    """pod.go's, which then plays that other one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of node, over the golden state."""

    name: str
    files: tuple[File, ...]
    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    """Files of Kubespray's that another one has not."""
    programs: tuple[tuple[Part, str], ...] = ()
    """More programs, and where they lie."""

    def __str__(self) -> str:
        return self.name


KUBESPRAY = Shape(name="kubespray", files=POISON)
"""``resolvConf`` in kubelet-config.yaml names /etc/resolv.conf."""

KUBELET_ENV = replace(
    KUBESPRAY,
    name="kubelet-env",
    files=(
        *POISON,
        files.kubelet_config(None),
        files.kubelet_env(f"--resolv-conf={RESOLV_CONF}"),
    ),
)
"""The flag does, in kubelet.env."""

OWN_ADDRESSES = replace(
    KUBESPRAY,
    name="own-service-addresses",
    files=(*kubespray.dhclient(UNKNOWN), *kubespray.resolv_conf(kubespray.HEALTHY)),
)
"""dhclient.conf names a cluster DNS that no file tells of, and so will the lease."""

_KUBESPRAYS = (files.KUBELET_CONFIG, files.KUBELET_ENV)
_DROP_IN = """\
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""
_FLAGS = f"--container-runtime-endpoint={files.SOCKET} --hostname-override={files.NODE}"

KUBEADM = Shape(
    name="kubeadm",
    files=(
        File("/etc/resolv.conf", link="../run/systemd/resolve/stub-resolv.conf"),
        File(
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files resolve [!UNAVAIL=return] dns\n",
        ),
        File("/etc/network/interfaces", "auto lo\niface lo inet loopback\n"),
        File("/etc/systemd/network/10-eth0.network", "[Match]\nName=eth0\n\n[Network]\nDHCP=yes\n"),
        File("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", _DROP_IN),
        File("/var/lib/kubelet/kubeadm-flags.env", f'KUBELET_KUBEADM_ARGS="{_FLAGS}"\n'),
        files.kubelet_config(UPLINK, "/var/lib/kubelet/config.yaml"),
    ),
    removed=_KUBESPRAYS,
    enabled=("systemd-resolved.service", "systemd-networkd.service"),
)
"""kubeadm's choice where systemd-resolved runs: the file without the stub."""


def _embedded(name: str, program: str, arguments: str, unit: str, *more: File) -> Shape:
    """Return a node whose kubelet is inside of another process.

    That process is stood in for; the kubelet is the real one, below it and called otherwise, so
    that all there is to be found of it is what is found of the real thing.
    """
    flags = files.kubelet_flags(_HIDDEN_CONFIG)
    service = f"""\
[Unit]
After=containerd.service network-online.target
Wants=containerd.service network-online.target

[Service]
ExecStart={program} {arguments}
Restart=always

[Install]
WantedBy=multi-user.target
"""
    return Shape(
        name=name,
        files=(
            *POISON,
            File(f"/etc/systemd/system/{unit}", service),
            File(_EMBEDDED, f"#!/bin/sh\nexec {_HIDDEN} {flags}\n", mode=0o755),
            files.kubelet_config(RESOLV_CONF, _HIDDEN_CONFIG),
            *more,
        ),
        enabled=(unit,),
        disabled=("kubelet.service",),
        removed=(*_KUBESPRAYS, "/etc/systemd/system/kubelet.service"),
        programs=((Part.KUBELET, _HIDDEN), (Part.POD, program)),
    )


_EMBEDDED = "/usr/local/lib/lab/embedded"
"""What pod.go starts where it is called like another program."""
_HIDDEN, _HIDDEN_CONFIG = "/usr/local/lib/lab/pods", "/usr/local/lib/lab/pods.yaml"

K3S = _embedded(
    "k3s",
    "/usr/local/bin/k3s",
    "server",
    "k3s.service",
    File("/etc/rancher/k3s/config.yaml", f"cluster-dns: {NODE_LOCAL}\n"),
)
MICROK8S = _embedded(
    "microk8s",
    "/snap/microk8s/current/kubelite",
    "--kubelet-args-file=/var/snap/microk8s/current/args/kubelet",
    "snap.microk8s.daemon-kubelite.service",
    File("/var/snap/microk8s/current/args/kubelet", f"--cluster-dns={NODE_LOCAL}\n"),
)
