"""Who belongs into resolv.conf: chosen from what it says, who serves, and who answers.

as it is                             guarding                 handed over
nameserver 169.254.25.10             192.0.2.1                169.254.25.10, 192.0.2.1
nameserver 192.0.2.1   (answers)     left as it is            169.254.25.10, 192.0.2.1
nameserver 192.0.2.1   (silent)      192.0.2.2, if that       the same behind it
answered since
nobody                               192.0.2.1                169.254.25.10, 192.0.2.1
"""

from dataclasses import dataclass

from dnsguard.core import upstreams
from dnsguard.core.exclusions import Exclusions
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import NodeLocal
from dnsguard.core.observation import FileObservation
from dnsguard.core.upstreams import Pool
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.address import IPAddress

MOST_BACKUPS = resolvconf.MAXNS - 1
"""Upstreams behind NodeLocalDNS."""

Pairs = tuple[tuple[str, str], ...]
Choice = tuple[tuple[IPAddress, ...] | None, Pairs]
"""Whom the file is to name, None to leave it as it is; and what is to be said of that."""


@dataclass(frozen=True, slots=True)
class SortedNameservers:
    """The file's nameservers, sorted by what they mean to the guard."""

    usual: tuple[IPAddress, ...]
    """What glibc uses: the first three it takes."""
    real: tuple[IPAddress, ...]
    """Those of them that can be upstreams."""
    refused: tuple[IPAddress, ...]
    """The others."""
    poison: tuple[IPAddress, ...]
    """Cluster addresses, wherever any reader would find them."""


def sort_nameservers(content: bytes, exclusions: Exclusions) -> SortedNameservers:
    """Sort the nameservers of a file."""
    found = resolvconf.read_nameservers(content)
    usual = tuple(server.address for server in found if server.glibc)[: resolvconf.MAXNS]
    real = tuple(address for address in usual if exclusions.allows(address))
    return SortedNameservers(
        usual=usual,
        real=real,
        refused=tuple(address for address in usual if address not in real),
        poison=tuple(server.address for server in found if server.address in exclusions.cluster),
    )


def choose_nameservers(  # noqa: PLR0913 -- each a fact of the look
    memory: Memory,
    file: FileObservation,
    named: SortedNameservers,
    pool: Pool,
    *,
    is_announced: bool,
    is_kept_from_pods: bool,
) -> Choice:
    """Return whom the file is to name, None to leave it as it is.

    :param file: as it is, or as dhclient has announced it.
    :param is_kept_from_pods: no pod gets what resolv.conf says.
    """
    wanted, why = _choose(memory, file, named, pool)
    if wanted is None and not why and is_kept_from_pods:
        wanted, why = _give_back(memory, named, pool)
    if wanted is None and is_announced:
        # A copy of it would do away with the link, and name whom Go alone reads.
        first = named.poison if memory.serves is Serves.NODELOCAL else ()
        wanted = (*first, *named.real) or None
    return wanted, why


def _choose(memory: Memory, file: FileObservation, named: SortedNameservers, pool: Pool) -> Choice:
    if memory.serves is Serves.NODELOCAL and memory.nodelocal is not None:
        return _put_nodelocal_first(memory.nodelocal, file, named, pool), ()
    # There are three cases: the file is as good as any, another one is better, nobody is known.
    is_clean = bool(named.real) and not named.poison and not named.refused
    if is_clean and upstreams.is_good_enough(
        upstreams.drop_refusing(named.real, pool), pool, resolvconf.MAXNS
    ):
        # "options rotate" was held back for a NodeLocalDNS that somebody has taken out.
        return (named.real if guarded_resolvconf.holds_rotate_back(file.content) else None), ()
    # In a file like "nameserver 169.254.25.10 / nameserver 192.0.2.1" the second one stays, if it
    # answers: whoever wrote it knew why.
    wanted = upstreams.choose(pool, named.real, resolvconf.MAXNS)
    return (wanted, ()) if wanted else _choose_without_upstream(memory, file, named)


def share_with_nodelocal(wanted: tuple[IPAddress, ...], exclusions: Exclusions) -> bool:
    """Tell whether NodeLocalDNS shares the file with others, who know no name of the cluster.

    Then they must be asked behind it and not in turn: with ``options rotate`` glibc found a
    cluster name in 34 of 60 new processes (issue 13).
    """
    return len(wanted) > 1 and not exclusions.cluster.isdisjoint(wanted)


def _put_nodelocal_first(
    nodelocal: IPAddress, file: FileObservation, named: SortedNameservers, pool: Pool
) -> tuple[IPAddress, ...] | None:
    """NodeLocalDNS first, real servers behind it as backup, and asked in this order.

    Behind it, because it dies without a word: glibc asks the next one after its time-out, so
    names go on resolving until the guard has it out of the file.
    """
    is_alone = named.usual[:1] == named.poison == named.refused == (nodelocal,)
    is_right = is_alone and not resolvconf.rotates(file.content)
    if is_right and upstreams.is_good_enough(named.real, pool, MOST_BACKUPS):
        return None
    return (nodelocal, *upstreams.choose(pool, named.real, MOST_BACKUPS))


def _choose_without_upstream(
    memory: Memory, file: FileObservation, named: SortedNameservers
) -> Choice:
    """No source names an upstream.

    No nameserver beats a loop, so cluster addresses are held back; but an answering
    NodeLocalDNS is no dead end, and taking away the one server that works would be
    the very outage the guard is for. So it is left, never written, until it falls silent.
    """
    if file.trouble is not None or not named.poison:
        return None, ()
    if memory.health.answers or memory.health.state is NodeLocal.UNKNOWN:
        why = "left as it is: no upstream is known, and NodeLocalDNS may answer"
        return None, (("write", why),)
    why = "no upstream is known: cluster addresses are held back all the same"
    return named.real, (("write", why),)


def _give_back(memory: Memory, named: SortedNameservers, pool: Pool) -> Choice:
    """Give the held-back NodeLocalDNS back where it has come up and no upstream is known.

    It was down at boot, its line was held back, and the file stayed empty for ever (issue 13).
    Only into a file that pods don't get: they would inherit the loop.
    """
    health = memory.health
    if health.state is not NodeLocal.HEALTHY or health.address is None:
        return None, ()
    held_back = {
        one.address for one in resolvconf.read_nameservers(memory.foreign or b"") if one.glibc
    }
    is_needed = not named.poison and not upstreams.eligible(pool)
    if not is_needed or health.address not in held_back:
        return None, ()
    why = ("write", "given back: no upstream is known, and NodeLocalDNS is healthy")
    return (health.address, *named.real[:MOST_BACKUPS]), (why,)
