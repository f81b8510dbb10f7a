"""What it means: the loops, those that wait for somebody to answer, and the way out, as data.

Who asks whom is followed by :mod:`dnsguard.commands.doctor.loops`.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from dnsguard.commands.doctor import loops
from dnsguard.commands.doctor.loops import Hop, Loop
from dnsguard.commands.doctor.server_process import PROGRAMS, ServerProcess
from dnsguard.commands.doctor.snapshot import NodeSnapshot
from dnsguard.formats.address import IPAddress, is_asker
from dnsguard.host import pods
from dnsguard.host.pod_resolv_confs import PodFile
from dnsguard.host.trust import SYSTEM

Json = dict[str, Any]


def examine(node: NodeSnapshot) -> Json:
    """Return what was found, as data."""
    found = loops.find(node.servers)
    by_name = {one.name: one for one in node.seen}
    poisoned = [
        (one, hop) for one in node.seen for hop in dict.fromkeys(_find_dead_ends(node, one))
    ]
    pods_ = [_describe_pod(node, one) for one in node.pods]
    convicted = [one.pod for one in node.pods if _is_cluster_resolver(node, one)]
    guilty = [hop.server for loop in found for hop in loop.hops if hop.target.via]
    guilty += [one.name for one, _ in poisoned]
    own = [by_name[name].pod for name in guilty if name in by_name]
    doomed = [pod for pod in dict.fromkeys([*own, *node.looped, *convicted]) if pod is not None]
    return {
        "servers": [_describe_server(node, one) for one in node.seen],
        "loops": [_describe_loop(node, loop) for loop in found],
        "poisoned": [
            {"server": one.name, "path": _describe_path(node, (hop,))} for one, hop in poisoned
        ],
        "pods": [one for one in pods_ if one["wrong"]],
        "looped": [pod.name for pod in node.looped],
        "kubelet": _describe_file(node),
        "delete": [_kubectl(pod) for pod in doomed],
        "crictl": [_crictl(pod) for pod in doomed],
        "restart": [
            name for name in dict.fromkeys(guilty) if name in by_name and by_name[name].pod is None
        ],
        "unread": list(node.unread),
        "strangers": list(node.strangers),
        "at": round(time.time(), 3),
    }


def _find_dead_ends(node: NodeSnapshot, one: ServerProcess) -> Iterator[Hop]:
    """Yield where a resolv.conf names a cluster address at which nobody here answers.

    NodeLocalDNS is not up, or cluster DNS runs on other nodes: the loop closes there, or soon.
    """
    endpoints = {endpoint for server in node.servers for endpoint in server.endpoints}
    server = next(server for server in node.servers if server.name == one.name)
    for zone in loops.list_zones(node.servers):
        for hops in loops.chains(node.servers, server, zone):
            for hop in hops[-1:]:
                target = hop.target
                is_nobody = (
                    target.endpoint not in endpoints and target.endpoint.address in node.cluster
                )
                if hop.server == one.name and target.via and is_nobody:
                    yield hop


def _describe_server(node: NodeSnapshot, one: ServerProcess) -> Json:
    server = next(server for server in node.servers if server.name == one.name)
    ways = loops.chains(node.servers, server)
    return {
        "name": one.name,
        "program": one.program,
        "pid": one.pid,
        "pod": one.pod.name if one.pod else None,
        "namespace": one.pod.namespace if one.pod else None,
        "nameservers": [str(address) for address in one.nameservers],
        "corefile": one.corefile,
        "addresses": sorted({str(endpoint.address) for endpoint in server.endpoints}),
        "ways": [_describe_path(node, way, start=one.name) for way in ways],
        "notes": [*one.notes, *_describe_dead(node, one)],
    }


def _describe_dead(node: NodeSnapshot, one: ServerProcess) -> Iterator[str]:
    """Tell of upstreams that say nothing: no loop, and no names either."""
    for address in one.nameservers:
        if address in node.dead:
            yield f"{address} in its /etc/resolv.conf does not answer"


def _describe_loop(node: NodeSnapshot, loop: Loop) -> Json:
    return {
        "path": _describe_path(node, loop.hops) + " -> back",
        "zones": list(loop.zones),
        "certain": loop.is_certain,
    }


def _describe_path(node: NodeSnapshot, hops: Sequence[Hop], *, start: str = "") -> str:
    """Return hops as they are drawn; who is at an endpoint is named unless the path ends there."""
    words = [hops[0].server if hops else start]
    # A server that sends nothing on has no hop at all.
    for hop, following in zip_longest(hops, [hop.server for hop in hops[1:]]):
        if hop.target.via:
            words.append(hop.target.via)
        endpoint = hop.target.endpoint
        text = (
            str(endpoint.address)
            if endpoint.port == 53
            else f"{endpoint.address} port {endpoint.port}"
        )
        notes = [_name_label(node, following)] if following else []
        notes += [f"one of {hop.choices}"] if hop.choices > 1 else []
        words.append(f"{text} ({', '.join(notes)})" if notes else text)
    if not hops:
        words.append("answers itself")
    return " -> ".join(words)


def _name_label(node: NodeSnapshot, name: str) -> str:
    for one in node.seen:
        if one.name == name:
            what = f"{one.program}, pid {one.pid}"
            return f"{one.name}, {what}" if one.pod and one.program == PROGRAMS[0] else what
    return name


def _describe_file(node: NodeSnapshot) -> Json | None:
    if node.kubelet is None:
        return None
    file, nameservers = node.kubelet
    here = {
        endpoint.address
        for server in node.servers
        for endpoint in server.endpoints
        if not endpoint.network
    }
    poison = [str(one) for one in nameservers if one in node.cluster | here or is_asker(one)]
    return {
        "file": file,
        "nameservers": [str(one) for one in nameservers],
        "poison": poison,
        "names_nobody": not nameservers,
    }


def _describe_pod(node: NodeSnapshot, one: PodFile) -> Json:
    return {
        "pod": f"{one.pod.namespace}/{one.pod.name}",
        "nameservers": [str(address) for address in one.nameservers],
        "wrong": list(_find_wrong(node, one.nameservers)),
        "is_convicted": _is_cluster_resolver(node, one),
    }


def _find_wrong(node: NodeSnapshot, nameservers: Iterable[IPAddress]) -> Iterator[str]:
    for address in nameservers:
        if address in node.cluster:
            yield f"{address} (cluster DNS)"
        elif address in node.dead:
            yield f"{address} (no answer)"


def _is_cluster_resolver(node: NodeSnapshot, one: PodFile) -> bool:
    """Tell whether nobody is left in the pod's file who is right.

    Not of a tenant's pod: who is root in it writes that file as he likes.
    """
    is_lost = len(list(_find_wrong(node, one.nameservers))) == len(one.nameservers) > 0
    return is_lost and one.pod.namespace == SYSTEM


def _kubectl(pod: pods.Pod) -> str:
    return f"kubectl -n {pod.namespace} delete pod {pod.name}"


def _crictl(pod: pods.Pod) -> str:
    """Return what makes kubelet create the pod's sandbox, and with it the file, anew."""
    return f"crictl rmp -f $(crictl pods -q --namespace '^{pod.namespace}$' --name '^{pod.name}$')"
