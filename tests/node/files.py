"""The files that make Debian a Kubernetes node, as Kubespray writes them; the texts are ours.

What differs from Kubespray's has its reason beside it: an admin's token in place of a PKI, and
what a machine in a container can't do.
"""

import json

from boot.kubespray import NODE_LOCAL
from managers.setup import File

from node import hardware, kubernetes
from node.control_plane import SERVER, kubeconfig
from node.images import REGISTRY

NODE = "node1"
KUBELET_CONFIG = "/etc/kubernetes/kubelet-config.yaml"
KUBELET_ENV = "/etc/kubernetes/kubelet.env"
SOCKET = "unix:///var/run/containerd/containerd.sock"
PODS = "10.233.64.0/18"
_NODES_PODS = "10.233.64.0/24"

_KUBELET_SERVICE = """\
[Unit]
Description=Kubernetes Kubelet Server
Documentation=https://github.com/GoogleCloudPlatform/kubernetes
After=containerd.service
Wants=containerd.service

[Service]
EnvironmentFile=-/etc/kubernetes/kubelet.env
ExecStart=/usr/local/bin/kubelet \\
		$KUBE_LOGTOSTDERR \\
		$KUBE_LOG_LEVEL \\
		$KUBELET_API_SERVER \\
		$KUBELET_ADDRESS \\
		$KUBELET_PORT \\
		$KUBELET_HOSTNAME \\
		$KUBELET_ARGS \\
		$DOCKER_SOCKET \\
		$KUBELET_NETWORK_PLUGIN \\
		$KUBELET_VOLUME_PLUGIN \\
		$KUBELET_CLOUDPROVIDER
Restart=always
RestartSec=10s

[Install]
WantedBy=multi-user.target
"""
_KUBELET_ARGS = (
    "--kubeconfig=/etc/kubernetes/kubelet.conf",
    f"--container-runtime-endpoint={SOCKET}",
    "--runtime-cgroups=/system.slice/containerd.service",
)


NSSWITCH = File("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
"""Debian's own; with libnss-resolve installed it has another one."""


def kubelet_flags(config: str) -> str:
    """Return the flags of a kubelet that has no kubelet.env."""
    return " ".join((f"--config={config}", *_KUBELET_ARGS, f"--hostname-override={NODE}"))


def kubelet_env(*more: str) -> File:
    """Return ``kubelet.env``, with more arguments than usual."""
    text = f"""\
KUBE_LOG_LEVEL="--v=2"
KUBELET_ADDRESS=""
KUBELET_HOSTNAME="--hostname-override={NODE}"
KUBELET_ARGS="{" ".join((f"--config={KUBELET_CONFIG}", *_KUBELET_ARGS, *more))}"
KUBELET_CLOUDPROVIDER=""
"""
    return File(KUBELET_ENV, text)


def kubelet_config(
    resolv_conf: str | None = "/etc/resolv.conf", path: str = KUBELET_CONFIG
) -> File:
    """Return kubelet's configuration.

    :param resolv_conf: None: it is said elsewhere.
    """
    line = f'resolvConf: "{resolv_conf}"\n' if resolv_conf else ""
    # Since 1.35 kubelet refuses cgroup v1, which the machine that runs this may have.
    cgroups = "failCgroupV1: false\n" if kubernetes.minor() >= 31 else ""
    text = f"""\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
nodeStatusUpdateFrequency: "10s"
failSwapOn: False
# Kubespray's are a PKI's.
authentication:
  anonymous:
    enabled: true
  webhook:
    enabled: false
authorization:
  mode: AlwaysAllow
staticPodPath: "/etc/kubernetes/manifests"
cgroupDriver: {CGROUP_DRIVER}
containerLogMaxFiles: 5
containerLogMaxSize: 10Mi
maxPods: 110
readOnlyPort: 0
healthzPort: 10248
healthzBindAddress: 127.0.0.1
kubeletCgroups: /system.slice/kubelet.service
clusterDomain: cluster.local
protectKernelDefaults: true
clusterDNS:
- {NODE_LOCAL}
{line}{cgroups}# Not Kubespray's: the disk is that of the machine that runs the tests.
evictionHard:
  memory.available: "1%"
  nodefs.available: "0%"
  nodefs.inodesFree: "0%"
  imagefs.available: "0%"
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
"""
    return File(path, text)


CGROUP_DRIVER = "systemd"
_CONTAINERD = f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{REGISTRY}/pod:1"
  max_container_log_line_size = -1
  # What follows up to here's end is a container's: it may neither lower its OOM scores nor
  # load profiles.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = {str(CGROUP_DRIVER == "systemd").lower()}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"""
_HOSTS = f"""\
server = "http://{REGISTRY}"

[host."http://{REGISTRY}"]
  capabilities = ["pull", "resolve"]
"""
_CNI = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": _NODES_PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}

# A DaemonSet at Kubespray's, but its image is Debian's iptables and more.
_KUBE_PROXY_SERVICE = f"""\
[Unit]
Description=kube-proxy
After=network-online.target lab-node.service
Wants=network-online.target

[Service]
ExecStart=/usr/local/bin/kube-proxy --kubeconfig=/etc/kubernetes/kubelet.conf \\
    --master={SERVER} --hostname-override={NODE} --cluster-cidr={PODS} \\
    --proxy-mode=iptables --conntrack-max-per-core=0 \\
    --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
Restart=always
RestartSec=1s

[Install]
WantedBy=multi-user.target
"""

ENABLED = (*hardware.UNITS, "kube-proxy.service", "kubelet.service")
OFF = (
    "etcd.service",
    "docker-registry.service",
    "systemd-resolved.service",
    *(f"{name}.timer" for name in ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup")),
    *(f"{name}.timer" for name in ("e2scrub_all", "fstrim")),
)
"""Units that Debian's packages enable: the outside's, another shape's, and the archive's."""


def common(certificate: str) -> tuple[File, ...]:
    """Return what every node has, whoever set it up.

    :param certificate: the cluster's.
    """
    unit = "/etc/systemd/system"
    return (
        # A known id: an empty one makes systemd enable every unit at the first boot (preset-all).
        File("/etc/machine-id", "6d6b1f0b3c2e4f6aa1d5c0ffee000010\n"),
        File("/etc/hostname", f"{NODE}\n"),
        File("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {NODE}\n"),
        File(
            "/etc/network/interfaces",
            "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n",
        ),
        NSSWITCH,
        File("/etc/containerd/config.toml", _CONTAINERD),
        File(f"/etc/containerd/certs.d/{REGISTRY}/hosts.toml", _HOSTS),
        File("/etc/cni/net.d/10-pods.conflist", json.dumps(_CNI)),
        File("/etc/crictl.yaml", f"runtime-endpoint: {SOCKET}\nimage-endpoint: {SOCKET}\n"),
        File("/etc/kubernetes/kubelet.conf", json.dumps(kubeconfig(certificate)), mode=0o600),
        File("/etc/kubernetes/manifests/.keep"),
        File(f"{unit}/kube-proxy.service", _KUBE_PROXY_SERVICE),
        *hardware.FILES,
    )


def kubelet() -> tuple[File, ...]:
    """Return kubelet's files as Kubespray leaves them."""
    service = File("/etc/systemd/system/kubelet.service", _KUBELET_SERVICE)
    return (service, kubelet_config(), kubelet_env())
