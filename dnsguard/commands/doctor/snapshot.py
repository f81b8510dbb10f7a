"""What there is: every DNS server's process on the node, and how each is asked and asks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dnsguard.commands.doctor.loops import Block, Endpoint, Forward, Server, Target
from dnsguard.commands.doctor.server_process import (
    PROGRAMS,
    ServerProcess,
    find_program,
    make_endpoint,
    read_server,
)
from dnsguard.core.policy import KNOWN_NODELOCAL, Policy
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress, parse_address
from dnsguard.host import kubelet, pod_resolv_confs, pods, processes, trust, users
from dnsguard.host.files import read_bounded
from dnsguard.host.pod_resolv_confs import PodFile
from dnsguard.paths import Paths

MOST_STRANGERS = 8
"""That are named: a user may have thousands."""

_STUB = (parse_address("127.0.0.53"), parse_address("127.0.0.54"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSnapshot:
    """All that was looked at."""

    seen: tuple[ServerProcess, ...]
    servers: tuple[Server, ...]
    """Theirs, with the services that lead to them, and systemd-resolved."""
    unread: tuple[str, ...]
    strangers: tuple[str, ...]
    """Those that are called like a DNS server, and why each proves nothing."""
    looped: tuple[pods.Pod, ...]
    """Those whose ``loop`` plugin has ended them."""
    kubelet: tuple[str, tuple[IPAddress, ...]] | None
    """The file that new pods get, and its nameservers."""
    cluster: frozenset[IPAddress]
    services: frozenset[IPAddress]
    """Those of them that lead to CoreDNS."""
    pods: tuple[PodFile, ...]
    """The other pods that have the node's file."""
    dead: frozenset[IPAddress] = frozenset()
    """Those that were asked and said nothing."""


def add_answers(
    root: Path, node: NodeSnapshot, cluster: frozenset[IPAddress], dead: frozenset[IPAddress]
) -> NodeSnapshot:
    """Return the node with what its servers have said themselves."""
    services = node.services | cluster
    return replace(
        node,
        servers=(*_find_served(node.seen, services), *_find_resolved(root)),
        cluster=node.cluster | cluster,
        services=services,
        dead=dead,
    )


def take(paths: Paths, policy: Policy) -> NodeSnapshot:
    """Look at every DNS server's process of root's and of kube-system. Only reads."""
    proc, known = paths.root / "proc", pods.find_known(paths.root)
    seen: list[ServerProcess] = []
    unread: list[str] = []
    strangers: list[str] = []
    for process in processes.find_running(proc, frozenset(PROGRAMS)):
        uid = trust.find_pod(proc / str(process.pid))
        stranger = _find_stranger(paths.root, process, uid, known)
        if stranger is not None:
            called = f"calls itself {find_program(process)}: not looked at"
            strangers.append(f"pid {process.pid}: a process of {stranger} that {called}")
            continue
        try:
            pod = known[uid] if uid is not None else None
            seen.append(read_server(proc / str(process.pid), pod, process))
        except OSError as error:
            if (proc / str(process.pid)).exists():
                what = error.filename or "its files"
                unread.append(f"pid {process.pid}: {what}: {error.strerror}")
    # CoreDNS first: a loop is told from there.
    seen.sort(key=lambda one: (one.program != PROGRAMS[0], one.pid))
    services = policy.cluster - frozenset(policy.nodelocal) - frozenset(KNOWN_NODELOCAL)
    up = [one.pod.uid for one in seen if one.pod is not None]
    files = pod_resolv_confs.find_pod_files(paths.root, known, policy.cluster_domain)
    return NodeSnapshot(
        seen=tuple(seen),
        servers=(*_find_served(seen, services), *_find_resolved(paths.root)),
        unread=tuple(unread),
        strangers=_name_first(strangers),
        looped=pods.find_looped(paths.root, PROGRAMS, up),
        kubelet=_read_kubelet_file(paths),
        cluster=policy.cluster,
        services=services,
        pods=tuple(one for one in files if one.pod.uid not in up),
    )


def _find_stranger(
    root: Path, process: processes.Process, uid: str | None, known: Mapping[str, pods.Pod]
) -> str | None:
    """Return whose process it is, None where that is root's or a kube-system pod's.

    Anybody may call a process or a container ``coredns``. CoreDNS itself need not be root's
    in its pod, and a tenant's container may be: there the cgroup tells.
    """
    if uid is not None:
        pod = known.get(uid)
        if pod is None:
            return f"pod {uid}, which is not known to be of {trust.SYSTEM},"
        return None if pod.namespace == trust.SYSTEM else f"pod {pod.namespace}/{pod.name}"
    if process.uid != 0:
        return f"user {users.find_name(process.uid, root) or process.uid}"
    return f"a container that is no pod of {trust.SYSTEM}" if process.is_nested else None


def _name_first(strangers: list[str]) -> tuple[str, ...]:
    more = len(strangers) - MOST_STRANGERS
    return (*strangers[:MOST_STRANGERS], *([f"and {more} more like these"] if more > 0 else []))


def _find_served(seen: Sequence[ServerProcess], services: frozenset[IPAddress]) -> Iterator[Server]:
    """Yield the servers, with the cluster's DNS services leading to CoreDNS.

    Not where somebody here listens at a service's address himself, as NodeLocalDNS may.
    """
    taken = {endpoint.address for one in seen for endpoint in one.server.endpoints}
    coredns = [one.name for one in seen if one.program == PROGRAMS[0]]
    behind = [one.name for one in seen if one.answers_cluster] or coredns
    endpoints = frozenset(Endpoint(address=one) for one in services - taken)
    for one in seen:
        if one.name in behind:
            blocks = (
                replace(block, endpoints=block.endpoints | endpoints) for block in one.server.blocks
            )
            yield replace(one.server, blocks=tuple(blocks))
        else:
            yield one.server


def _find_resolved(root: Path) -> Iterator[Server]:
    """Yield systemd-resolved's stub: 127.0.0.53 may stand in a host network pod's file."""
    content = read_bounded(root / "run/systemd/resolve/resolv.conf", pods.MOST_BYTES)
    if content is not None:
        network = pods.find_network(Path("/proc/self"))
        targets = (make_endpoint(one, None, network) for one in resolvconf.read_addresses(content))
        forward = Forward(targets=tuple(Target(endpoint=endpoint) for endpoint in targets))
        endpoints = frozenset(make_endpoint(one, None, network) for one in _STUB)
        yield Server(
            name="systemd-resolved",
            blocks=(Block(zone=".", endpoints=endpoints, forwards=(forward,)),),
        )


def _read_kubelet_file(paths: Paths) -> tuple[str, tuple[IPAddress, ...]] | None:
    found = kubelet.read_kubelet(paths.root)
    if found is None:
        return None
    named = found.pods_file
    content = read_bounded(paths.root / named.lstrip("/"), pods.MOST_BYTES)
    return named, resolvconf.read_addresses(content or b"")
