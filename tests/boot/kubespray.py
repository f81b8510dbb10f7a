"""What Kubespray 2.23 leaves on a Debian 12 node in `host_resolvconf` mode, after one reboot.

Measured with its own role; the texts here are ours, their effect is the same.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from boot.outside import UPSTREAM

NODE_LOCAL = "169.254.25.10"
CLUSTER_DNS = "10.233.0.3"
CLUSTER_ADDRESSES = frozenset({NODE_LOCAL, CLUSTER_DNS})
POD_FILE = "/var/lib/dnsguard/resolv.conf"

POISON = f"""\
domain cluster.local
search cluster.local default.svc.cluster.local. svc.cluster.local.
nameserver {NODE_LOCAL}
"""

# Rewrites the file in place: between the open and the write it is empty, after the first write half.
EXIT_HOOK = """\
#!/bin/sh
if [ "$reason" = BOUND ]; then
    kept=$(grep -v '^options' /etc/resolv.conf)
    {
        printf '%s\\n' "$kept"
        printf 'options timeout:2\\noptions attempts:2\\noptions ndots:2\\n'
    } > /etc/resolv.conf
fi
"""

_KUBELET_CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDomain: cluster.local
clusterDNS:
- {node_local}
resolvConf: "{resolv_conf}"
"""

_HEALTHY = f"domain lab.test\nsearch lab.test\nnameserver {UPSTREAM}\n"

# The oldest is the only one that still names the real server.
_BACKUPS = (
    ("7113", datetime(2026, 3, 2, 9, 14, 51, tzinfo=UTC), _HEALTHY),
    ("24680", datetime(2026, 6, 18, 16, 2, 7, tzinfo=UTC), POISON),
)


def dhclient_conf(*servers: str) -> str:
    """Return dhclient.conf with the block at the top: dhclient obeys it from its next start on."""
    return f"""\
# Ansible entries BEGIN
supersede domain-name-servers {", ".join(servers)};
supersede domain-search "default.svc.cluster.local.","svc.cluster.local.";
supersede domain-name "cluster.local";
# Ansible entries END
option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;

send host-name = gethostname();
request subnet-mask, broadcast-address, time-offset, routers,
\tdomain-name, domain-name-servers, domain-search, host-name,
\tinterface-mtu, rfc3442-classless-static-routes, ntp-servers;
"""


def poison(tree: Path) -> None:
    """Make ``tree`` a node on its way to the incident: it has been rebooted once, poisoned."""
    _write(tree / "etc/resolv.conf", POISON)
    _write(tree / "etc/dhcp/dhclient.conf", dhclient_conf(NODE_LOCAL))
    _write(tree / "etc/dhcp/dhclient-exit-hooks.d/zdnsupdate", EXIT_HOOK, mode=0o755)
    point_kubelet_at(tree, "/etc/resolv.conf")
    for pid, when, text in _BACKUPS:
        backup = tree / f"etc/resolv.conf.{pid}.{when:%Y-%m-%d@%H:%M:%S}~"
        _write(backup, text)
        os.utime(backup, (when.timestamp(), when.timestamp()))


def point_kubelet_at(tree: Path, resolv_conf: str) -> None:
    """Write the kubelet configuration; Kubespray's own names /etc/resolv.conf."""
    text = _KUBELET_CONFIG.format(node_local=NODE_LOCAL, resolv_conf=resolv_conf)
    _write(tree / "etc/kubernetes/kubelet-config.yaml", text)


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
