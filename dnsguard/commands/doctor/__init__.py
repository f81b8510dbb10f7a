"""``dnsguard doctor``: the loops that exist on this node now, and what ends them.

Every CoreDNS and node-cache of root's and of kube-system's pods is looked at as the kernel shows
it (:mod:`.snapshot`): the resolv.conf that it sees, its Corefile, where it listens; and the copy of
the node's file that each other pod has. No API server is asked, which may need DNS itself, and
no daemon; :mod:`.inquiry` asks the nameservers that nobody knows. :mod:`.findings` is what that means,
:mod:`.text` is for people.
"""

import argparse
import os

from dnsguard import config, terminal
from dnsguard.commands.doctor import means
from dnsguard.commands.doctor.findings import examine
from dnsguard.commands.doctor.inquiry import inquire
from dnsguard.commands.doctor.snapshot import add_answers, take
from dnsguard.commands.doctor.text import render
from dnsguard.core.policy import fill_policy
from dnsguard.errors import NotPermittedError
from dnsguard.host import kubelet
from dnsguard.paths import Paths

FOUND = 2
"""The exit status where there is a loop, or where the next pod would make one."""
CANT_TELL = 1


def run(options: argparse.Namespace) -> int:
    """Print what was found; 2 if there is anything, 1 if something couldn't be looked at.

    :raises NotPermittedError: not root.
    """
    if os.geteuid() != 0:
        raise NotPermittedError("doctor looks into other programs' processes: run it as root")
    paths = Paths(options.root)
    found = kubelet.read_kubelet(paths.root)
    policy = fill_policy(config.load(paths.config).policy, found)
    node = take(paths, policy)
    said = inquire(node, policy)
    data = examine(add_answers(paths.root, node, said.cluster, said.dead))
    data["asked"] = {
        "cluster": sorted(map(str, said.cluster)),
        "silent": sorted(map(str, said.dead)),
    }
    data["unread"] += [f"{one} was not asked: python3-dnspython is missing" for one in said.unasked]
    data["means"] = means.find_means(paths.root, found)
    if options.json:
        terminal.say_json(data)
    else:
        terminal.say(*render(data))
    is_found = data["loops"] or data["poisoned"] or data["looped"]
    if is_found or any(one["is_convicted"] for one in data["pods"]):
        return FOUND
    given = data["kubelet"]
    if given is not None and (given["poison"] or given["names_nobody"]):
        return FOUND
    return CANT_TELL if data["unread"] else 0
