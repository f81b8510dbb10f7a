"""Copies of resolv.conf: their names, and which of them is the most likely to be true.

Ansible's ``backup: yes``, and so Kubespray, calls them ``NAME.PID.YYYY-MM-DD@HH:MM:SS~``
in local time. The oldest is from before the node was changed; later ones repeat what
Kubespray or a poisoned dhclient has written. Of any other copy the newest counts most.
"""

import re
from collections.abc import Iterable, Sequence

MOST = 64
"""Dated copies, the oldest, and as many others, the newest."""

_SUFFIX = re.compile(
    r".*(?:~|\.bak.*|\.dpkg-.*|\.pre-.*|\.orig|\.old|\.save|\.dhclient-.*"
    r"|[.-][\w-]*backup.*|\.original\..*)",
    re.DOTALL,
)
"""What tools and people call the copies they leave beside a file. Among them AnyConnect
(``.vpnbackup``), Mullvad (``.mullvadbackup``), pppd (``.pppd-backup.ppp0``) and NetBird
(``.original.netbird``)."""
_ANY_SUFFIX = re.compile(r"[._~-].+", re.DOTALL)
_NO_COPY = re.compile(
    r".*[._-](?:head|tail|d|new|tmp|temp|lock|pid|sw[a-p]|rej|patch|diff|md5|sha\d+|in|j2|erb|m4"
    r"|template|tmpl|tpl|example|sample)",
    re.IGNORECASE | re.DOTALL,
)
"""Of dhcpcd and openresolv, which have a place of their own; half-written; made to be filled in."""
_OURS = ".dnsguard-"
_DATED = re.compile(r".*\.[0-9]+\.(\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d)~", re.ASCII | re.DOTALL)
DATE = "%Y-%m-%d@%H:%M:%S"
"""A date in a name (strptime(3)): as text, too, the oldest is the least."""


def copies(name: str, names: Iterable[str]) -> list[str]:
    """Return those names that a copy of the file ``name`` may have."""
    return [
        one
        for one in names
        if one.startswith(name) and _SUFFIX.fullmatch(one, len(name)) and _OURS not in one
    ]


def variants(name: str, names: Iterable[str]) -> list[str]:
    """Return the other names that look like the file's own, as no list of words can have them.

    ``.bk``, ``.bkp_2026-01-31``, ``_orig``, ``-bak``, ``.ovpnsave``, ``.wgmesh-orig``: seen in
    public scripts. What they hold may also be what somebody keeps for another place.
    """
    return [
        one
        for one in names
        if one.startswith(name)
        and _ANY_SUFFIX.fullmatch(one, len(name))
        and not _SUFFIX.fullmatch(one, len(name))
        and not _NO_COPY.fullmatch(one, len(name))
        and _OURS not in one
    ]


def by_date(names: Iterable[str]) -> tuple[Sequence[tuple[str, str]], Sequence[str]]:
    """Return the oldest of Ansible's backups with their dates, oldest first, and all others."""
    dated, others = [], []
    for name in names:
        if match := _DATED.fullmatch(name):
            dated.append((match[1], name))
        else:
            others.append(name)
    return sorted(dated)[:MOST], others
