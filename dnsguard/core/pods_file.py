"""The file that pods get: judged by what it says and what it is made from, not by its name.

A pod with ``dnsPolicy: Default`` starts with a copy of it, and CoreDNS and NodeLocalDNS are
such pods. If it leads to cluster DNS, they forward to themselves and die of it:

    kubelet: resolvConf: /run/systemd/resolve/resolv.conf    (kubeadm's, beside resolved)
    resolv.conf, a file: nameserver 169.254.25.10            (handed over)
    resolved copies:     nameserver 169.254.25.10            (6 of 12 CoreDNS die of "loop")
"""

from dnsguard.core import upstreams
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.memory import Memory
from dnsguard.core.observation import Observation, PodsFile
from dnsguard.core.plan import ReplacePodFile
from dnsguard.core.policy import Policy
from dnsguard.core.upstreams import Pool
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress, is_asker


def find_dead_end(pods: PodsFile, exclusions: Exclusions) -> str | None:
    """Return what is wrong with what the file says, None where pods can resolve with it."""
    if pods.nameservers is None:
        return f"kubelet gives pods {pods.path}, which can't be read"
    for address in pods.nameservers:
        if address in exclusions.cluster or address in exclusions.cluster_resolvers:
            return f"kubelet gives pods {pods.path}, which names {address}: cluster DNS"
        if is_asker(address):
            return f"kubelet gives pods {pods.path}, which names {address}: the pod itself"
    if not pods.nameservers:
        return f"kubelet gives pods {pods.path}, which names no nameserver"
    return None


def write_pod_file(
    memory: Memory, seen: Observation, policy: Policy, pool: Pool, exclusions: Exclusions
) -> tuple[ReplacePodFile, ...]:
    """Keep real upstreams in the file for kubelet; with none known it stays as it is.

    But cluster DNS never stays, known as such before or found out since: every CoreDNS that
    is started would inherit the loop. With nobody else known the file names nobody, and is
    there: without it kubelet could not even start the control plane's static pods.
    """
    reachable = tuple(upstream for upstream in pool if _is_for_pods(upstream.address))
    current = tuple(server.address for server in resolvconf.read_nameservers(seen.pod_file or b""))
    real = tuple(one for one in current if exclusions.allows(one) and _is_for_pods(one))
    wanted = real
    if real != current or not upstreams.is_good_enough(real, reachable, resolvconf.MAXNS):
        wanted = upstreams.choose(reachable, real, resolvconf.MAXNS) or real
    wanted = upstreams.in_order(wanted, reachable)
    foreign = memory.foreign or b""
    content = resolvconf.write_pod_file(
        wanted,
        resolvconf.drop_cluster_names(resolvconf.search_list(foreign), policy.cluster_domain),
        resolvconf.find_pod_options(foreign, wanted),
    )
    if content == seen.pod_file or not (wanted or current):
        return ()
    return (ReplacePodFile(content=content, wanted=wanted),)


def _is_for_pods(address: IPAddress) -> bool:
    """Tell whether it is the same server in a pod's network namespace as in the node's."""
    return not (address.is_loopback or (address.version == 6 and address.is_link_local))
