"""What dhclient's own files would do to resolv.conf at the next lease, and what stops it.

A hazard is a statement of dhclient.conf whose cluster address would reach the
nameservers, or a hook that writes resolv.conf itself. A statement that a later one
overrides is none: whether it counts is asked of
:func:`~dnsguard.core.sources.dhclient.statements.effective`, interface by interface.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv6Address

from dnsguard.core.address import IPAddress, plain
from dnsguard.core.sources.dhclient import conf, hooks
from dnsguard.core.sources.dhclient.leases import Lease
from dnsguard.core.sources.dhclient.options import SERVERS, SERVERS6
from dnsguard.core.sources.dhclient.statements import Conf, Statement, Verb, effective

CONF = "/etc/dhcp/dhclient.conf"
ENTER, EXIT = "/etc/dhcp/dhclient-enter-hooks", "/etc/dhcp/dhclient-exit-hooks"
OURS = f"{ENTER}.d/dnsguard"
MARKER = b"dhclient.lock"
"""What our hook mentions: a file of its name without this is somebody else's."""

MOST_INTERFACES = 64

_SCRIPTS = ("/sbin/dhclient-script", "/usr/sbin/dhclient-script")
_DEFUSED = "blocked by dnsguard's enter hook"
_REPAIRS = "while the daemon runs, it repairs what is written"


class Kind(StrEnum):
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
    kind: Kind
    defused: bool
    """Whether resolv.conf is kept from it, not only repaired after it."""
    why: str
    """Why it is, or isn't, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A script that dhclient-script(8) sources."""

    path: str
    content: bytes

    @property
    def is_ours(self) -> bool:
        return self.path == OURS and MARKER in self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class DhclientFiles:
    """What dhclient and its script read, and what dhclient has written down.

    Paths are the node's own, without the root they were read below.
    """

    conf: bytes = b""
    changed: float | None = None
    """When dhclient.conf was written last, seconds since the epoch."""
    includes: tuple[tuple[str, bytes], ...] = ()
    enter: tuple[Hook, ...] = ()
    """As they are sourced, one after the other; ``exit`` too."""
    exit: tuple[Hook, ...] = ()
    leases: tuple[tuple[str, Lease], ...] = ()
    """The blocks of all lease files, each with the path of its file, the newest last."""

    def parse(self) -> Conf:
        return conf.parse(self.conf, dict(self.includes))


def judge(
    dhclient: DhclientFiles, cluster: frozenset[IPAddress], *, hook_is_active: bool
) -> tuple[Hazard, ...]:
    """Return the hazards: dhclient.conf's, then the hooks'.

    :param hook_is_active: the daemon runs and takes what our enter hook tells.
    """
    parsed = dhclient.parse()
    opening = _opening(dhclient, hook_is_active=hook_is_active)
    found = [
        _of_statement(statement, cluster, opening or _other_script(parsed, reached))
        for statement, reached in _reaching(dhclient, parsed).items()
        if _kind(statement, cluster) is not None
    ]
    found += [
        _of_lease(lease, opening or _other_script(parsed, {lease.interface}))
        for lease in parsed.leases
        if not cluster.isdisjoint(map(plain, lease.nameservers))
    ]
    return (*found, *writers(dhclient))


def writers(dhclient: DhclientFiles) -> tuple[Hazard, ...]:
    """Return the hooks that seem to write resolv.conf themselves, place by place."""
    return tuple(
        Hazard(
            path=hook.path,
            line=write.line,
            what=f"writes resolv.conf with {write.how}",
            kind=Kind.WRITES,
            defused=False,
            why=f"a hook writes past dnsguard's: {_REPAIRS}",
        )
        for hook in (*dhclient.enter, *dhclient.exit)
        if not hook.is_ours
        for write in hooks.writes(hook.content)
    )


def last_word(enter: Iterable[Hook]) -> Hook | None:
    """Return the last of these enter hooks that redefines make_resolv_conf, ours aside."""
    found = [
        hook
        for hook in enter
        if not hook.is_ours and hooks.redefines_make_resolv_conf(hook.content) is not None
    ]
    return found[-1] if found else None


def contributing(
    statements: tuple[Statement, ...], interface: str, option: str
) -> Iterator[Statement]:
    """Yield the statements whose values come out in the end, in the order of the values.

    Each gets an address that tells it from the others. What stands within ``if`` may
    count, but can't be relied on to override anything: so it only adds.
    """
    marked = [
        replace(
            one,
            addresses=(IPv6Address(index),),
            texts=(),
            is_conditional=False,
            verb=Verb.APPEND if one.is_conditional and one.verb is not Verb.SEND else one.verb,
        )
        for index, one in enumerate(statements)
        if one.option == option and one.interface in (None, interface)
    ]
    for mark in effective(marked, interface, (), option=option):
        yield statements[int(mark)]


def replaced_script(parsed: Conf, interface: str | None) -> str | None:
    """Return the program that a ``script`` statement puts in dhclient-script's place."""
    own = [one.path for one in parsed.scripts if one.interface in (None, interface)]
    return own[-1] if own and own[-1] not in _SCRIPTS else None


def _opening(dhclient: DhclientFiles, *, hook_is_active: bool) -> str | None:
    """Return why our enter hook doesn't keep dhclient from resolv.conf, None if it does."""
    ours = [place for place, hook in enumerate(dhclient.enter) if hook.is_ours]
    if not ours:
        return f"dnsguard's enter hook {OURS} is not there"
    other = last_word(dhclient.enter[ours[0] :])
    if other is not None:
        return f"sourced after dnsguard: {other.path} redefines make_resolv_conf"
    return None if hook_is_active else "dnsguard's enter hook is at rest: no daemon takes its word"


def _other_script(parsed: Conf, interfaces: Iterable[str | None]) -> str | None:
    for interface in interfaces:
        script = replaced_script(parsed, interface)
        if script is not None:
            return f"{script} is run in the place of dhclient-script, and so without its hooks"
    return None


def _reaching(dhclient: DhclientFiles, parsed: Conf) -> dict[Statement, set[str | None]]:
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
            for statement in contributing(parsed.statements, interface, option):
                reaching.setdefault(statement, set()).add(interface)
    return reaching


def _kind(statement: Statement, cluster: frozenset[IPAddress]) -> Kind | None:
    if not cluster.isdisjoint(map(plain, statement.addresses)):
        return Kind.POISONS
    return Kind.UNCLEAR if statement.texts or statement.is_computed else None


def _of_statement(
    statement: Statement, cluster: frozenset[IPAddress], opening: str | None
) -> Hazard:
    kind = _kind(statement, cluster) or Kind.UNCLEAR
    values = ", ".join((*map(str, statement.addresses), *statement.texts))
    notes = []
    if kind is Kind.UNCLEAR:
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
        defused=opening is None,
        why="; ".join((*notes, *_because(opening))),
    )


def _of_lease(lease: Lease, opening: str | None) -> Hazard:
    servers = ", ".join(map(str, lease.nameservers))
    return Hazard(
        path=CONF,
        line=lease.line,
        what=f"lease with domain-name-servers {servers}",
        interface=lease.interface,
        kind=Kind.POISONS,
        defused=opening is None,
        why="; ".join(("counts where no server answers", *_because(opening))),
    )


def _because(opening: str | None) -> tuple[str, ...]:
    return (_DEFUSED,) if opening is None else (opening, _REPAIRS)
