"""The resolv.conf that each pod on the node has, whoever it is: as its processes see it.

A pod with ``dnsPolicy: Default``, and one in the host's network, has a copy of the node's
file of the moment when it was created, and keeps it.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.host import pods, processes, trust
from dnsguard.host.pods import Pod

CONF = "/etc/resolv.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFile:
    """A pod's copy of the node's file."""

    pod: Pod
    nameservers: tuple[IPAddress, ...]


def find_pod_files(root: Path, known: Mapping[str, Pod], domain: str) -> Iterator[PodFile]:
    """Yield the files that are the node's, one of each pod; what can't be read is left out.

    Not those that kubelet has made of cluster DNS: they are to name it.
    """
    read: set[str] = set()
    for pid in processes.list_pids(root / "proc"):
        process = root / "proc" / str(pid)
        uid = trust.find_pod(process)
        if uid is None or uid in read or uid not in known:
            continue
        with suppress(OSError):  # the sandbox's own process has no such file
            content, _ = pods.read(process, CONF)
            read.add(uid)
            if not _is_clusters(content, known[uid].namespace, domain):
                yield PodFile(pod=known[uid], nameservers=resolvconf.read_addresses(content))


def _is_clusters(content: bytes, namespace: str, domain: str) -> bool:
    """Tell whether it is one of ``dnsPolicy: ClusterFirst`` (kubelet's generateSearchesForDNSClusterFirst())."""
    expected = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)
    return resolvconf.search_list(content)[:3] == expected
