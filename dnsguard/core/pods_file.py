"""The file that pods get: judged by what it says and what it is made from, not by its name.

A pod with ``dnsPolicy: Default`` starts with a copy of it, and CoreDNS and NodeLocalDNS are
such pods. If it leads to cluster DNS, they forward to themselves and die of it:

    kubelet: resolvConf: /run/systemd/resolve/resolv.conf    (kubeadm's, beside resolved)
    resolv.conf, a file: nameserver 169.254.25.10            (handed over)
    resolved copies:     nameserver 169.254.25.10            (6 of 12 CoreDNS die of "loop")
"""

from dnsguard.core.exclusions import Exclusions
from dnsguard.core.observation import PodsFile

RESTART = "restart kubelet, which is configured otherwise by now: systemctl restart kubelet"


def find_dead_end(pods: PodsFile, border: Exclusions) -> str | None:
    """Return what is wrong with what the file says, None where pods can resolve with it."""
    if pods.nameservers is None:
        return f"kubelet gives pods {pods.path}, which can't be read"
    for address in pods.nameservers:
        if address in border.cluster or address in border.cluster_resolvers:
            return f"kubelet gives pods {pods.path}, which names {address}: cluster DNS"
        if address.is_loopback:
            return f"kubelet gives pods {pods.path}, which names {address}: the pod itself"
    if not pods.nameservers:
        return f"kubelet gives pods {pods.path}, which names no nameserver"
    return None
