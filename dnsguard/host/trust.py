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
from dnsguard.host import path_walk
from dnsguard.host.files import read_bounded
from dnsguard.host.path_walk import Owners

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


class TrustedFiles:
    """Tells what only root can have written; each directory is looked at once.

    As root to themselves count whoever runs this, as tests and the demo of a user have a
    tree of their own, and whoever made the user namespace that it may be in.
    """

    def __init__(self) -> None:
        self._owners = Owners(path_walk.find_owners().uids, frozenset({0, os.getegid()}))
        self._directories: dict[str, bool] = {}

    def include(self, path: str) -> bool:
        """Tell whether nobody else can have written a file, or put it there."""
        try:
            return self._is_safe(path.rpartition("/")[0]) and self._is_own(path)
        except (OSError, ValueError):
            return False

    def _is_safe(self, directory: str) -> bool:
        known = self._directories.get(directory)
        if known is None:
            with path_walk.end_of(Path(directory, "any"), self._owners) as end:
                known = self._directories[directory] = end.foreign is None
        return known

    def _is_own(self, path: str) -> bool:
        status = os.lstat(path)
        if not stat.S_ISLNK(status.st_mode):
            return self._owners.alone_write(status)
        with path_walk.end_of(Path(path), self._owners) as end:
            if end.status is None or end.foreign is not None:
                return False
            return self._owners.alone_write(end.status)


def find_pods(root: Path, namespace: str | None = None) -> Iterator[tuple[str, str, str, Path]]:
    """Yield namespace, name and uid of the pods that kubelet keeps logs of, and where.

    Nothing where somebody else could have made a directory there.

    :param namespace: the only one that counts; a node has 110 pods, most of them in others.
    """
    logs, trusted = root / LOGS, TrustedFiles()
    try:
        names = sorted(os.listdir(logs)) if trusted.include(str(logs)) else []  # noqa: PTH208
    except OSError:
        return
    for name in names:
        match = _LOG.fullmatch(name)
        if match is None or namespace not in (None, match["namespace"]):
            continue
        if trusted.include(f"{logs}/{name}") and (logs / name).is_dir():
            yield match["namespace"], match["name"], match["uid"], logs / name


def find_system_pods(root: Path) -> frozenset[str]:
    """Return the uids of kube-system's pods."""
    found = (uid for _, _, uid, _ in find_pods(root, SYSTEM))
    return frozenset(uid for uid, _ in zip(found, range(_MOST_PODS), strict=False))


def find_pod(process: Path) -> str | None:
    """Return the uid of the pod that a process is in, by its cgroup.

    :param process: its directory below ``/proc``.
    """
    match = _GROUP.search(read_bounded(process / "cgroup", _MOST_GROUP) or b"")
    return match[1].decode().replace("_", "-") if match else None


def filter_believed(root: Path, remembered: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return what is remembered without what a tenant's pod named.

    Up to 0.1.0 every pod's Corefile was a source, and the state may still hold its servers.
    """
    known, kept = None, []
    for candidate in remembered:
        match = _VOLUME.search(candidate.origin)
        if match and known is None:
            known = find_system_pods(root)
        if match is None or match[1] in (known or ()):
            kept.append(candidate)
    return tuple(kept)
