"""What runs on the node, as Kubespray's manifests have it; the texts are ours.

NodeLocalDNS and CoreDNS are the pods that the incident kills: both have ``dnsPolicy: Default``,
which is a copy of the node's file, and both forward to it what is not the cluster's.
"""

from boot.kubespray import CLUSTER_DNS, NODE_LOCAL
from lab.kubespray_texts import COREFILE

from node.images import REGISTRY

Body = dict[str, object]
APP_NAMES = ("kubernetes.default.svc.cluster.local", REGISTRY)
"""What the app looks up every second: a name of the cluster, and one outside."""

_CLUSTER_DNS = {"k8s-app": "kube-dns"}
_CLUSTER_COREFILE = """
.:53 {
    errors {
    }
    health {
        lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . /etc/resolv.conf {
        prefer_udp
        max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""


def manifests() -> list[Body]:
    """Return all of them, for ``kubectl apply``."""
    return [
        *cluster_dns("coredns", CLUSTER_DNS),
        _config_map("coredns", _CLUSTER_COREFILE),
        _named("v1", "ServiceAccount", "coredns", {}),
        _nodelocaldns(),
        _coredns(),
        app(),
    ]


def cluster_dns(service: str, address: str) -> list[Body]:
    """Return what puts cluster DNS at an address: its service, and NodeLocalDNS's Corefile."""
    return [
        _config_map("nodelocaldns", COREFILE.format(node_local=NODE_LOCAL, cluster_dns=address)),
        _cluster_service(service, address),
    ]


def app(name: str = "app", tag: str = "1") -> Body:
    """Return a workload as anybody has it: ClusterFirst; it sees the node's file by hostPath."""
    file, directory = "/etc/resolv.conf", "/etc"
    container = {
        "name": "app",
        "image": f"{REGISTRY}/pod:{tag}",
        "args": ["app", *APP_NAMES],
        "volumeMounts": [
            {"name": "file", "mountPath": "/node/resolv.conf", "readOnly": True},
            {"name": "directory", "mountPath": "/node/etc", "readOnly": True},
        ],
    }
    volumes = [
        {"name": "file", "hostPath": {"path": file, "type": "File"}},
        {"name": "directory", "hostPath": {"path": directory, "type": "Directory"}},
    ]
    pod: Body = {"dnsPolicy": "ClusterFirst", "containers": [container], "volumes": volumes}
    return _workload("Deployment", name, pod, namespace="default", labels={"app": name})


def pod(name: str, image: str, *, policy: str = "Always") -> Body:
    """Return a bare pod of an image that the node may have to pull."""
    container = {"name": "pod", "image": image, "args": ["pause"], "imagePullPolicy": policy}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return _named("v1", "Pod", name, {"spec": spec}, namespace="default")


def _nodelocaldns() -> Body:
    corefile = ["-conf", "/etc/coredns/Corefile"]
    probe = {
        "httpGet": {"host": NODE_LOCAL, "path": "/health", "port": 9254, "scheme": "HTTP"},
        "timeoutSeconds": 5,
        "successThreshold": 1,
        "failureThreshold": 10,
    }
    container = {
        "name": "node-cache",
        "image": f"{REGISTRY}/node-cache:1",
        "args": ["-localip", NODE_LOCAL, *corefile, "-upstreamsvc", "coredns"],
        "securityContext": {"privileged": True},
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns"}],
    }
    pod: Body = {
        "priorityClassName": "system-cluster-critical",
        "serviceAccountName": "coredns",
        "hostNetwork": True,
        "dnsPolicy": "Default",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [_config_volume("nodelocaldns")],
        # As Kubespray has it: a new one may start at once.
        "terminationGracePeriodSeconds": 0,
    }
    return _workload("DaemonSet", "nodelocaldns", pod, labels={"k8s-app": "node-local-dns"})


def _coredns() -> Body:
    container = {
        "name": "coredns",
        "image": f"{REGISTRY}/coredns:1",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "livenessProbe": _http(8080, "/health", failureThreshold=10, timeoutSeconds=5),
        "readinessProbe": _http(8181, "/ready", failureThreshold=10, timeoutSeconds=5),
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns"}],
    }
    pod: Body = {
        "priorityClassName": "system-cluster-critical",
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [_config_volume("coredns")],
    }
    return _workload("Deployment", "coredns", pod, labels=_CLUSTER_DNS)


def _cluster_service(name: str, address: str) -> Body:
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    spec = {"selector": _CLUSTER_DNS, "clusterIP": address, "ports": ports}
    return _named("v1", "Service", name, {"spec": spec})


def _http(port: int, path: str, **more: int) -> Body:
    return {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}, **more}


def _config_volume(name: str) -> Body:
    items = [{"key": "Corefile", "path": "Corefile"}]
    return {"name": "config-volume", "configMap": {"name": name, "items": items}}


def _config_map(name: str, corefile: str) -> Body:
    return _named("v1", "ConfigMap", name, {"data": {"Corefile": corefile}})


def _workload(
    kind: str,
    name: str,
    pod: Body,
    *,
    labels: dict[str, str],
    namespace: str = "kube-system",
) -> Body:
    template = {"metadata": {"labels": labels}, "spec": pod}
    body = {"selector": {"matchLabels": labels}, "template": template}
    return _named("apps/v1", kind, name, {"spec": body}, namespace=namespace)


def _named(api: str, kind: str, name: str, body: Body, *, namespace: str = "kube-system") -> Body:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}
