"""What dhclient's own files would do to resolv.conf at the next lease, and what stops it.

A hazard is a statement of dhclient.conf whose cluster address would reach the
nameservers, or a hook that writes resolv.conf itself. A statement that a later one
overrides is none: whether it counts is asked of
:func:`~dnsguard.formats.dhclient.statements.apply`, interface by interface.
"""

from dataclasses import dataclass
from enum import StrEnum

from dnsguard.formats.address import IPAddress, plain
from dnsguard.formats.dhclient import hooks
from dnsguard.formats.dhclient.files import CONF, DhclientFiles
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.formats.dhclient.options import SERVERS, SERVERS6
from dnsguard.formats.dhclient.protection import (
    MOST_INTERFACES,
    Protection,
    find_protection,
    restrict_to_hooks,
)
from dnsguard.formats.dhclient.statements import Conf, Statement, Verb, find_contributing

_REPAIRS = "while the daemon runs, it repairs what is written"


class HazardKind(StrEnum):
    """How a place is dangerous."""

    POISONS = "poisons"  # a statement or a lease of dhclient.conf with a cluster address
    UNCLEAR = "unclear"  # a statement whose addresses can't be told from the file
    WRITES = "writes"  # a hook that writes resolv.conf


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """One place in dhclient's files that is a danger to resolv.conf."""

    path: str
    line: int
    what: str
    interface: str | None = None
    """The ``interface`` block around it."""
    kind: HazardKind
    defused: bool
    """Whether resolv.conf is kept from it, not only repaired after it."""
    why: str
    """Why it is, or isn't, for people."""


def judge(
    dhclient: DhclientFiles, cluster: frozenset[IPAddress], *, hook_is_active: bool
) -> tuple[Hazard, ...]:
    """Return the hazards: dhclient.conf's, then the hooks'.

    :param hook_is_active: the daemon runs and takes what our enter hook tells.
    """
    parsed = dhclient.parse_conf()
    protection = find_protection(dhclient, hook_is_active=hook_is_active)
    found = [
        _describe_statement(statement, cluster, restrict_to_hooks(protection, parsed, reached))
        for statement, reached in _find_reaching(dhclient, parsed).items()
        if _classify(statement, cluster) is not None
    ]
    found += [
        _describe_lease(lease, restrict_to_hooks(protection, parsed, {lease.interface}))
        for lease in parsed.leases
        if not cluster.isdisjoint(map(plain, lease.nameservers))
    ]
    return (*found, *find_writers(dhclient))


def find_writers(dhclient: DhclientFiles) -> tuple[Hazard, ...]:
    """Return the hooks that seem to write resolv.conf themselves, place by place."""
    return tuple(
        Hazard(
            path=hook.path,
            line=write.line,
            what=f"writes resolv.conf with {write.how}",
            kind=HazardKind.WRITES,
            defused=False,
            why=f"a hook writes past dnsguard's: {_REPAIRS}",
        )
        for hook in (*dhclient.enter, *dhclient.exit)
        if not hook.is_ours
        for write in hooks.find_writes(hook.content)
    )


def _find_reaching(dhclient: DhclientFiles, parsed: Conf) -> dict[Statement, set[str | None]]:
    """Return the statements that may have a say in the nameservers, and on which interfaces.

    Those of a block count even where its interface has had no lease yet.
    """
    known = {lease.interface for _, lease in dhclient.leases} - {None}
    blocks = {one.interface for one in parsed.statements} - {None}
    reaching: dict[Statement, set[str | None]] = {}
    # Without any lease: an interface of no block, too.
    names = {str(name) for name in known | blocks} | (set() if known else {""})
    for interface in sorted(names)[:MOST_INTERFACES]:
        for option in (SERVERS, SERVERS6):
            for statement in find_contributing(parsed.statements, interface, option):
                reaching.setdefault(statement, set()).add(interface)
    return reaching


def _classify(statement: Statement, cluster: frozenset[IPAddress]) -> HazardKind | None:
    if not cluster.isdisjoint(map(plain, statement.addresses)):
        return HazardKind.POISONS
    return HazardKind.UNCLEAR if statement.texts or statement.is_computed else None


def _describe_statement(
    statement: Statement, cluster: frozenset[IPAddress], protection: Protection
) -> Hazard:
    kind = _classify(statement, cluster) or HazardKind.UNCLEAR
    values = ", ".join((*map(str, statement.addresses), *statement.texts))
    notes = []
    if kind is HazardKind.UNCLEAR:
        notes.append("which addresses these are can't be told from the file")
    if statement.is_conditional:
        notes.append("counts if its condition holds")
    if statement.verb is Verb.DEFAULT:
        notes.append("counts where the server offers none")
    return Hazard(
        path=statement.path or CONF,
        line=statement.line,
        what=f"{statement.verb} {statement.option} {values or '= ...'}",
        interface=statement.interface,
        kind=kind,
        defused=protection.is_effective,
        why="; ".join((*notes, *_explain(protection))),
    )


def _describe_lease(lease: Lease, protection: Protection) -> Hazard:
    servers = ", ".join(map(str, lease.nameservers))
    return Hazard(
        path=CONF,
        line=lease.line,
        what=f"lease with domain-name-servers {servers}",
        interface=lease.interface,
        kind=HazardKind.POISONS,
        defused=protection.is_effective,
        why="; ".join(("counts where no server answers", *_explain(protection))),
    )


def _explain(protection: Protection) -> tuple[str, ...]:
    return (protection.why,) if protection.is_effective else (protection.why, _REPAIRS)
