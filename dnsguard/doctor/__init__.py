"""``dnsguard doctor``: the loops that exist on this node now, and what ends them.

Every CoreDNS and node-cache of root's and of kube-system's pods is looked at as the kernel shows
it (:mod:`.look`): the resolv.conf that it sees, its Corefile, where it listens; and the copy of
the node's file that each other pod has. No API server is asked, which may need DNS itself, and
no daemon; :mod:`.inquiry` asks the nameservers that nobody knows. :mod:`.findings` is what that means,
:mod:`.proof` asks and counts on the wire, :mod:`.text` is for people.
"""

import os

from dnsguard import config, page
from dnsguard.core.effective import effective
from dnsguard.doctor import means
from dnsguard.doctor.findings import examine
from dnsguard.doctor.inquiry import inquire
from dnsguard.doctor.look import look, with_answers
from dnsguard.doctor.proof import prove
from dnsguard.doctor.text import render
from dnsguard.errors import DnsguardError
from dnsguard.host import kubelet
from dnsguard.paths import Paths

FOUND = 2
"""The exit status where there is a loop, or where the next pod would make one."""
CANT_TELL = 1


def run(paths: Paths, *, as_json: bool, trace: str | None = None) -> int:
    """Print what was found; 2 if there is anything, 1 if something couldn't be looked at.

    :raises DnsguardError: not root.
    """
    if os.geteuid() != 0:
        raise DnsguardError("doctor looks into other programs' processes: run it as root")
    found = kubelet.look(paths.root)
    policy = effective(config.load(paths.config).policy, found)
    node = look(paths, policy)
    said = inquire(node, policy)
    data = examine(with_answers(paths.root, node, said.cluster, said.dead))
    data["asked"] = {
        "cluster": sorted(map(str, said.cluster)),
        "silent": sorted(map(str, said.dead)),
    }
    data["means"] = means.look(paths.root, found)
    data["trace"] = None if trace is None else prove(paths, policy, node, trace)
    if as_json:
        page.say_json(data)
    else:
        page.say(*render(data))
    is_proven = data["trace"] is not None and data["trace"]["is_loop"]
    is_found = data["loops"] or data["poisoned"] or data["looped"]
    if is_found or is_proven or any(one["is_convicted"] for one in data["pods"]):
        return FOUND
    if data["kubelet"] is not None and data["kubelet"]["poison"]:
        return FOUND
    return CANT_TELL if data["unread"] else 0
