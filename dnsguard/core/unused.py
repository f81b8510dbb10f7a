"""What became of a foreign file's nameservers that are not used: told once, with a way out."""

from collections.abc import Iterator
from dataclasses import replace

from dnsguard.core.memory import Memory
from dnsguard.core.model import Source
from dnsguard.core.plan import Unused, UnusedKind
from dnsguard.core.policy import Policy
from dnsguard.core.upstreams import Pool, Upstream
from dnsguard.formats.address import IPAddress
from dnsguard.formats.resolvconf import MAXNS

_CONFIGURE = "name it in upstream.servers of /etc/dnsguard/dnsguard.toml"


def find_unused(
    memory: Memory, known: Pool, wanted: tuple[IPAddress, ...], policy: Policy
) -> tuple[Memory, tuple[Unused, ...]]:
    """Return the memory, and what there is to tell that was not told of this file yet."""
    found = _explain_all(memory, known, wanted, policy)
    reasons = {(reason.address, reason.kind): reason for reason in found}
    news = tuple(reason for key, reason in reasons.items() if key not in memory.told_unused)
    if not news:
        return memory, ()
    return replace(memory, told_unused=memory.told_unused | reasons.keys()), news


def _explain_all(
    memory: Memory, known: Pool, wanted: tuple[IPAddress, ...], policy: Policy
) -> Iterator[Unused]:
    by_address = {upstream.address: upstream for upstream in known}
    for learned in memory.learned:
        upstream = by_address.get(learned.address)
        is_foreign = learned.source is Source.RESOLV_CONF and learned.address not in wanted
        if is_foreign and learned.address in policy.nodelocal:
            yield _explain_nodelocal(learned.address)
        elif is_foreign and upstream is not None and (reason := _explain(upstream, wanted)):
            yield reason
    for address in (one for one in memory.deleted if one in by_address):
        if address not in wanted:
            way = f"put it back, or have it never: dnsguard forget {address}"
            why = "was taken out by hand: used only if no other answers"
            yield Unused(kind=UnusedKind.DELETED, address=address, why=why, otherwise=way)
        else:
            way = f"name another one, or: dnsguard forget {address}"
            why = "was taken out by hand, but no other answers: it is back until one does"
            yield Unused(kind=UnusedKind.BACK, address=address, why=why, otherwise=way)


def _explain_nodelocal(address: IPAddress) -> Unused:
    way = (
        "it comes first once the node is handed over: dnsguard status;"
        " at once, where that makes no loop: dnsguard hold nodelocal"
    )
    why = "is held back: a cluster address"
    return Unused(kind=UnusedKind.NODELOCAL, address=address, why=why, otherwise=way)


def _explain(upstream: Upstream, wanted: tuple[IPAddress, ...]) -> Unused | None:
    """Return why a line is not used; None while nobody can tell, for it was not asked yet."""
    address = upstream.address
    if upstream.refusal is not None:
        why, way = f"is held back: {upstream.refusal}", f"if it is real, {_CONFIGURE}"
        return Unused(kind=UnusedKind.REFUSED, address=address, why=why, otherwise=way)
    if upstream.record.is_silent:
        why = f"is held back: {upstream.record.detail}"
        way = f"it is used again when it answers; always: {_CONFIGURE}"
        return Unused(kind=UnusedKind.SILENT, address=address, why=why, otherwise=way)
    if not upstream.is_usable:
        return None
    is_full = len(wanted) >= MAXNS
    why = "is held back: " + ("the file has room for three" if is_full else "others rank higher")
    way = f"put it first, or drop one: dnsguard forget {wanted[0] if wanted else address}"
    return Unused(kind=UnusedKind.SPARE, address=address, why=why, otherwise=way)
