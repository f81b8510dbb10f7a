"""The file that pods get: judged by what it says and what it is made from, not by its name.

A pod with ``dnsPolicy: Default`` starts with a copy of it, and CoreDNS and NodeLocalDNS are
such pods. If it leads to cluster DNS, they forward to themselves and die of it:

    kubelet: resolvConf: /run/systemd/resolve/resolv.conf    (kubeadm's, beside resolved)
    resolv.conf, a file: nameserver 169.254.25.10            (handed over)
    resolved copies:     nameserver 169.254.25.10            (6 of 12 CoreDNS die of "loop")
"""

from dataclasses import dataclass

from dnsguard.core.address import IPAddress
from dnsguard.core.border import Border

REMEDY = "dnsguard kubelet adopt --restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodsFile:
    """The file that kubelet hands to pods, as it is now."""

    path: str
    nameservers: tuple[IPAddress, ...] | None = ()
    """None where it can't be read."""
    follows: bool = False
    """It says what resolv.conf says: the same file, a link to it, or made from it by
    systemd-resolved in its foreign mode."""
    remedy: str = REMEDY
    """How pods get another one."""


def dead_end(pods: PodsFile, border: Border) -> str | None:
    """Return what is wrong with what the file says, None where pods can resolve with it."""
    if pods.nameservers is None:
        return f"kubelet gives pods {pods.path}, which can't be read"
    for address in pods.nameservers:
        if address in border.cluster or address in border.exposed:
            return f"kubelet gives pods {pods.path}, which names {address}: cluster DNS"
        if address.is_loopback or address.is_unspecified:
            return f"kubelet gives pods {pods.path}, which names {address}: the pod itself"
    if not pods.nameservers:
        return f"kubelet gives pods {pods.path}, which names no nameserver"
    return None
