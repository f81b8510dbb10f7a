"""Whom to believe: what root alone can have written, and which pods are the cluster's own.

A node is full of names that its users and tenants choose: files in their directories, what
their processes are called, what their pods mount. None of it says who serves the node.

A pod's namespace stands in no file of its volumes that the pod's author could not have
written (``kube-api-access-*/namespace`` is a volume like any other). It stands in the name of
the directory of its logs, which kubelet makes as root before anything of the pod runs, with
the uid that the API server gave out (BuildPodLogsDirectory(), ``NAMESPACE_NAME_UID``).
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from dnsguard.core.model import Candidate
from dnsguard.host.files import read_bounded

SYSTEM = "kube-system"
"""The namespace that the cluster's administrators alone write in."""
LOGS = "var/log/pods"

_UID = r"[0-9a-f]{32}|[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}"
"""A static pod's is a digest without dashes."""
_LOG = re.compile(rf"(?P<namespace>[^_]+)_(?P<name>[^_]+)_(?P<uid>{_UID})")
_GROUP = re.compile(
    rb"^[^:\n]*:[^:\n]*:/(?:(?:[\w.-]*kube[\w.-]*|burstable|besteffort|guaranteed)/)*?"
    rb"[\w.-]*pod(" + _UID.encode() + rb")(?:\.slice)?(?:/|$)",
    re.MULTILINE,
)
"""From the root down, as kubelet's cgroup drivers write it. What a service's, a session's or
a container's own group holds, its user may have made and named: the pod has to come first."""
_VOLUME = re.compile(r"/var/lib/kubelet/pods/([^/]+)/")
_MOST_GROUP = 1 << 16
_MOST_PODS = 1024


class Owners:
    """Tells what only root can have written; each directory is looked at once.

    As root to themselves count whoever runs this: tests and the demo of a user have a
    tree of their own.
    """

    def __init__(self, root: str) -> None:
        self._known = dict.fromkeys((root, os.path.realpath(root or "/"), "", "/"), True)
        self._uids = frozenset({0, os.geteuid()})
        self._gids = frozenset({0, os.getegid()})

    def is_roots(self, path: str) -> bool:
        """Tell whether nobody else can have written a file, or put it there."""
        return self._is_own(path) and self._is_safe(os.path.dirname(path))  # noqa: PTH120

    def _is_safe(self, directory: str) -> bool:
        known = self._known.get(directory)
        if known is None:
            known = self._known[directory] = self.is_roots(directory)
        return known

    def _is_own(self, path: str) -> bool:
        try:
            status = os.lstat(path)
        except (OSError, ValueError):
            return False
        if stat.S_ISLNK(status.st_mode):  # the mode of a link says nothing
            target = os.path.realpath(path)
            return target != path and self.is_roots(target)  # the same: a link to itself
        is_shared = status.st_mode & 0o020 and status.st_gid not in self._gids
        return status.st_uid in self._uids and not (is_shared or status.st_mode & 0o002)


def pods(root: Path, namespace: str | None = None) -> Iterator[tuple[str, str, str, Path]]:
    """Yield namespace, name and uid of the pods that kubelet keeps logs of, and where.

    Nothing where somebody else could have made a directory there.

    :param namespace: the only one that counts; a node has 110 pods, most of them in others.
    """
    logs, owners = root / LOGS, Owners(str(root).rstrip("/"))
    try:
        names = sorted(os.listdir(logs)) if owners.is_roots(str(logs)) else []  # noqa: PTH208
    except OSError:
        return
    for name in names:
        match = _LOG.fullmatch(name)
        if match is None or namespace not in (None, match["namespace"]):
            continue
        if owners.is_roots(f"{logs}/{name}") and (logs / name).is_dir():
            yield match["namespace"], match["name"], match["uid"], logs / name


def system_pods(root: Path) -> frozenset[str]:
    """Return the uids of kube-system's pods."""
    found = (uid for _, _, uid, _ in pods(root, SYSTEM))
    return frozenset(uid for uid, _ in zip(found, range(_MOST_PODS), strict=False))


def pod_of(process: Path) -> str | None:
    """Return the uid of the pod that a process is in, by its cgroup.

    :param process: its directory below ``/proc``.
    """
    match = _GROUP.search(read_bounded(process / "cgroup", _MOST_GROUP) or b"")
    return match[1].decode().replace("_", "-") if match else None


def believed(root: Path, remembered: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return what is remembered without what a tenant's pod named.

    Up to 0.1.0 every pod's Corefile was a source, and the state may still hold its servers.
    """
    known, kept = None, []
    for candidate in remembered:
        match = _VOLUME.search(candidate.origin)
        if match and known is None:
            known = system_pods(root)
        if match is None or match[1] in (known or ()):
            kept.append(candidate)
    return tuple(kept)
