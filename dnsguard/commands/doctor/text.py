"""The findings as people read them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dnsguard.commands.doctor import loops

MOST_NOTES = 8
_BACK_OFF = "images that could not be pulled wait for kubelet's back-off, up to 5 minutes"


def render(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the findings' lines."""
    return tuple(_lines(data))


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    yield from _verdicts(data)
    yield from _kubelet_lines(data["kubelet"])
    pods = [one for one in data["pods"] if not one["is_convicted"]]
    found = (data[key] for key in ("loops", "poisoned", "looped", "unread"))
    is_clean = not any(found) and len(pods) == len(data["pods"])
    count = len(data["servers"])
    if is_clean and not count:
        yield "No CoreDNS and no node-cache runs here."
    elif is_clean:
        yield f"Clean: {count} DNS server{'s'[: count != 1]} looked at, no loop."
    for server in data["servers"]:
        if is_clean:
            yield from (f"  {way}" for way in server["ways"])
        yield from (f"  note: {server['name']}: {note}" for note in server["notes"])
    for line in data["unread"]:
        yield f"NOT LOOKED AT: {line}"
    yield from (f"  note: {line}" for line in data["strangers"])
    yield from _pod_notes(pods)
    yield from _remedy(data)


def _verdicts(data: Mapping[str, Any]) -> Iterator[str]:
    for loop in data["loops"]:
        yield f"{'LOOP' if loop['certain'] else 'MAY LOOP'} ({_names(loop['zones'])}):"
        yield f"  {loop['path']}"
    for one in data["poisoned"]:
        yield "POISONED: DNS will loop as soon as NodeLocalDNS is up:"
        yield f"  {one['path']}"
    for address in data["asked"]["cluster"]:
        yield f"CLUSTER DNS: {address}, which nobody told of, knows the cluster's names"
    for one in data["pods"]:
        if one["is_convicted"]:
            yield f"POISONED: pod {one['pod']} can ask only {', '.join(one['wrong'])}"
    for name in data["looped"]:
        yield f"LOOPED: pod {name} was ended by its loop plugin and doesn't run now"


def _names(zones: Sequence[str]) -> str:
    words = ["all names of no other zone" if zone == loops.ROOT else zone for zone in zones]
    return ", ".join(words)


def _kubelet_lines(given: Mapping[str, Any] | None) -> Iterator[str]:
    if given is None:
        return
    verdict = f"POISONED by {', '.join(given['poison'])}" if given["poison"] else "fine"
    if given["names_nobody"]:
        verdict = "USELESS, a CoreDNS does not even start with it"
    servers = ", ".join(given["nameservers"]) or "no nameserver"
    yield f"kubelet gives new pods {given['file']} ({servers}): {verdict}"


def _pod_notes(pods: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Tell of pods that have somebody else to ask, or that may have written the file themselves."""
    for one in pods[:MOST_NOTES]:
        yield f"  note: pod {one['pod']}: its resolv.conf names {', '.join(one['wrong'])}"
    if len(pods) > MOST_NOTES:
        yield f"  note: and {len(pods) - MOST_NOTES} pods more like these"
    if pods:
        yield "  note: a pod that is deleted gets kubelet's file of that moment"


def _remedy(data: Mapping[str, Any]) -> Iterator[str]:
    steps = []
    given = data["kubelet"]
    if given is not None and (given["poison"] or given["names_nobody"]):
        first = data["means"]["pods_file"]
        steps.append(f"{first}    # first: new pods would get the same")
    steps += _deletions(data)
    steps += [f"restart {name}: it reads resolv.conf when it starts" for name in data["restart"]]
    if data["loops"] and not steps:
        steps.append("correct the Corefile: its own forward leads back")
    elif steps:
        steps.append(f"{data['means']['restart']}    # last: {_BACK_OFF}, and a restart ends it")
    if steps:
        yield "To do:"
        yield from (f"  {step}" for step in steps)


def _deletions(data: Mapping[str, Any]) -> list[str]:
    """Return how the pods are deleted from here: a worker has no credentials for kubectl."""
    kubectl, crictl = data["delete"], data["crictl"]
    if data["means"]["kubectl"] or not kubectl:
        return [*kubectl]
    elsewhere = ["on a control plane (kubectl has no credentials here):"]
    elsewhere += [f"  {one}" for one in kubectl]
    if not data["means"]["crictl"]:
        return elsewhere
    return [*crictl, "or " + elsewhere[0], *elsewhere[1:]]
