"""resolv.conf as a link into another program's place: left alone, unless it leads to cluster DNS.

systemd-resolved, NetworkManager and resolvconf keep what the link leads to:

    healthy       resolv.conf -> ../run/systemd/resolve/stub-resolv.conf   left alone
    not there yet for 0.1 to 0.7 s of each boot it dangles or is empty     waited for, 30 s
    poisoned      its text leads to cluster DNS for certain                a file takes its place
    clean again   what it leads to is read at every look                   the link is put back

The file's first line names the link whose place it takes, so that any later daemon, and the
removal, can give it back; whoever writes another file there has done away with the link. But
not its manager: NetworkManager writes what its link has led to, and over our file as well.

NetworkManager is not cured in its configuration, as measured with 1.42: what /etc says outranks
/run/NetworkManager/conf.d, whatever the files are called, and over D-Bus global DNS can't be set
where a file has set it. A later file in /etc/NetworkManager/conf.d and SIGHUP do it in 5 to 24
ms, through renewals and boots; but it is the admin's place, and no reboot forgets it.
"""

from collections.abc import Container, Iterable

from dnsguard.core.backoff import FlapDamping
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.observation import FileObservation, Observation, Trouble
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.address import IPAddress

WAIT = 30.0
"""Seconds that a link into another program's place may lead nowhere: its manager may need the
network first. Whoever waits longer is not there."""
PAUSE = 10.0
"""Seconds from taking a link's place to giving it back, doubled each time it was in vain."""
_RESOLVED = "systemd/resolve/"


def replaced_link(file: FileObservation) -> str | None:
    """Return the link whose place a file of ours has taken."""
    if file.trouble is not None or file.link is not None:
        return None
    return guarded_resolvconf.read_link_marker(file.content) or file.place_of


def is_its_managers(file: FileObservation, behind: FileObservation) -> bool:
    """Tell whether whoever keeps what a taken link leads to has written over our file, too.

    The same text, or one with the same comment at its head: NetworkManager writes resolv.conf
    first, and what its link leads to a moment later.
    """
    if file.trouble is not None or behind.trouble is not None or not file.content:
        return False
    theirs = guarded_resolvconf.unguard(file.content)
    head = theirs.partition(b"\n")[0]
    has_head = head.startswith(b"#") and head == behind.content.partition(b"\n")[0]
    return has_head or theirs == behind.content


def needs_cure(
    file: FileObservation, behind: FileObservation, cluster: Container[IPAddress]
) -> bool:
    """Tell whether our file has real servers, and what its link leads to is a dead end."""
    if behind.trouble not in (None, Trouble.MISSING):
        return False
    named = resolvconf.read_addresses(behind.content)
    has_real = any(one not in cluster for one in resolvconf.read_addresses(file.content))
    return has_real and (not named or any(one in cluster for one in named))


def managers_link(file: FileObservation) -> str | None:
    """Return the link that belongs there: the one that is, or whose place is taken."""
    return file.link if file.leads_away else replaced_link(file)


def is_awaited(file: FileObservation) -> bool:
    """Tell whether a link leads nowhere, or to a file that names nobody: its manager's to fill.

    resolvconf's has a header and, until the first lease, nothing else.
    """
    if not file.leads_away:
        return False
    names_nobody = file.trouble is None and not resolvconf.read_nameservers(file.content)
    return file.trouble is Trouble.MISSING or names_nobody


def content_of(behind: FileObservation | None) -> bytes | None:
    """Return what a taken link leads to now, None where that is nothing to go by."""
    if (
        behind is None
        or behind.trouble is not None
        or not resolvconf.read_nameservers(behind.content)
    ):
        return None
    return behind.content


def is_poisoned(named: Iterable[IPAddress], exclusions: Exclusions) -> bool:
    """Tell whether one of these leads to cluster DNS for certain; silence is no proof."""
    return any(exclusions.is_poison(address) for address in named)


def leads_to_poison(file: FileObservation, exclusions: Exclusions) -> bool:
    """Tell whether it is a manager's link that leads to cluster DNS: it gives way to a file."""
    return file.leads_away and is_poisoned(resolvconf.read_addresses(file.content), exclusions)


def is_clean(seen: Observation, exclusions: Exclusions) -> bool:
    """Tell whether a taken link can be put back: it leads to a real server, and to no poison."""
    content, link = content_of(seen.link_target), replaced_link(seen.file)
    if content is None or link is None:
        return False
    named = resolvconf.read_addresses(content)
    if leads_to_resolved(link):
        own, named = seen.resolved, tuple(one for one in named if not one.is_loopback)
        if own is None or own.drop_in is None:
            # Without the link resolved reads our file, and says of itself what that says. What it
            # would say with the link stands in its configuration.
            told = () if own is None else own.configured.addresses
            return not is_poisoned((*named, *told), exclusions)
        # With our part it reads no resolv.conf (systemd 252, config_parse_dns_servers()).
        named = own.asks or ()
    return any(exclusions.allows(one) for one in named) and not is_poisoned(named, exclusions)


def leads_to_resolved(link: str | None) -> bool:
    """Tell whether a link leads to one of systemd-resolved's own files."""
    return link is not None and _RESOLVED in link


def may_return(flaps: FlapDamping, now: float) -> bool:
    """Tell whether enough time has passed since the place was taken."""
    return now >= flaps.until(PAUSE)
