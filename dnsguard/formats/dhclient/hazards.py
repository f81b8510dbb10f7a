"""What dhclient's own files would do to resolv.conf at the next lease, and what stops it.

A hazard is a statement of dhclient.conf whose cluster address would reach the
nameservers, or a hook that writes resolv.conf itself. A statement that a later one
overrides is none: whether it counts is asked of
:func:`~dnsguard.formats.dhclient.statements.effective`, interface by interface.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv6Address

from dnsguard.formats.address import IPAddress, plain
from dnsguard.formats.dhclient import conf, hooks
from dnsguard.formats.dhclient import rehearsal as rehearsals
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.formats.dhclient.options import SERVERS, SERVERS6
from dnsguard.formats.dhclient.rehearsal import Outcome, Scene, Script, Writer
from dnsguard.formats.dhclient.statements import Conf, Statement, Verb, apply

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
    named: tuple[tuple[str, bytes | None], ...] = ()
    """The files that the hooks name, by their paths; None: not there."""
    enabled: frozenset[str] = frozenset()
    """Units of systemd's that are enabled, of those that the hooks ask about."""

    def parse(self) -> Conf:
        return conf.parse(self.conf, dict(self.includes))

    def rehearse(self, values: Mapping[str, str], current: str, own: Writer | None) -> Outcome:
        """Return what the hooks and dhclient-script between them leave of resolv.conf.

        Ours is left out: that is how it is without dnsguard.

        :param values: the variables that dhclient sets.
        """
        scene = Scene(values=values, files=dict(self.named), enabled=self.enabled)
        return rehearsals.rehearse(_scripts(self.enter), _scripts(self.exit), scene, current, own)


def judge(
    dhclient: DhclientFiles, cluster: frozenset[IPAddress], *, hook_is_active: bool
) -> tuple[Hazard, ...]:
    """Return the hazards: dhclient.conf's, then the hooks'.

    :param hook_is_active: the daemon runs and takes what our enter hook tells.
    """
    parsed = dhclient.parse()
    gate = _gate(dhclient, hook_is_active=hook_is_active)
    found = [
        _of_statement(statement, cluster, _find_behind(gate, parsed, reached))
        for statement, reached in _find_reaching(dhclient, parsed).items()
        if _kind(statement, cluster) is not None
    ]
    found += [
        _of_lease(lease, _find_behind(gate, parsed, {lease.interface}))
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


def find_contributing(
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
    for mark in apply(marked, interface, (), option=option):
        yield statements[int(mark)]


def find_replaced_script(parsed: Conf, interface: str | None) -> str | None:
    """Return the program that a ``script`` statement puts in dhclient-script's place."""
    own = [one.path for one in parsed.scripts if one.interface in (None, interface)]
    return own[-1] if own and own[-1] not in _SCRIPTS else None


@dataclass(frozen=True, slots=True)
class _Gate:
    """What stands between dhclient and resolv.conf."""

    is_shut: bool
    why: str


def _gate(dhclient: DhclientFiles, *, hook_is_active: bool) -> _Gate:
    """Return whether a hook keeps dhclient from resolv.conf: ours, or somebody else's."""
    ours = [place for place, hook in enumerate(dhclient.enter) if hook.is_ours]
    after = dhclient.enter[ours[0] + 1 :] if ours else ()
    has_last_word = bool(ours) and hook_is_active
    others = _replacements(dhclient, after if has_last_word else dhclient.enter)
    keeper = next(iter(others), None)
    if keeper is not None and all(map(_keeps_out, others)) and keeper.replaced is not None:
        path = keeper.replaced.path
        return _Gate(True, f"blocked by {path}: its make_resolv_conf takes no nameserver from DHCP")
    if not ours:
        return _Gate(False, f"dnsguard's enter hook {OURS} is not there")
    late = _replacements(dhclient, after)
    redefining = next((one.replaced for one in late if one.replaced is not None), None)
    if redefining is not None:
        what = f"{redefining.path} redefines make_resolv_conf"
        return _Gate(False, f"sourced after dnsguard: {what}")
    if not hook_is_active:
        return _Gate(False, "dnsguard's enter hook is at rest: no daemon takes its word")
    return _Gate(True, _DEFUSED)


def _replacements(dhclient: DhclientFiles, enter: Sequence[Hook]) -> list[Outcome]:
    """Return what becomes of make_resolv_conf on each interface that is known."""
    alone = replace(dhclient, enter=tuple(enter), exit=())
    names = sorted({lease.interface for _, lease in dhclient.leases if lease.interface})
    told = {"reason": "BOUND", "new_domain_name_servers": "192.0.2.53"}
    scenes = [{**told, "interface": name} for name in names[:MOST_INTERFACES]] or [told]
    return [alone.rehearse(values, "", lambda *_: None) for values in scenes]


def _keeps_out(outcome: Outcome) -> bool:
    is_replaced = outcome.replaced is not None and outcome.is_replacement_certain
    return is_replaced and not outcome.passes and not outcome.unclear


def _scripts(found: Iterable[Hook]) -> tuple[Script, ...]:
    return tuple(Script(path=one.path, content=one.content) for one in found if not one.is_ours)


def _find_behind(gate: _Gate, parsed: Conf, interfaces: Iterable[str | None]) -> _Gate:
    """Return the gate, open where the hooks are not asked at all."""
    scripts = [find_replaced_script(parsed, interface) for interface in interfaces]
    script = next((one for one in scripts if one is not None), None)
    if script is None or not gate.is_shut:
        return gate
    why = f"{script} is run in the place of dhclient-script, and so without its hooks"
    return _Gate(False, why)


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


def _kind(statement: Statement, cluster: frozenset[IPAddress]) -> Kind | None:
    if not cluster.isdisjoint(map(plain, statement.addresses)):
        return Kind.POISONS
    return Kind.UNCLEAR if statement.texts or statement.is_computed else None


def _of_statement(statement: Statement, cluster: frozenset[IPAddress], gate: _Gate) -> Hazard:
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
        defused=gate.is_shut,
        why="; ".join((*notes, *_explain(gate))),
    )


def _of_lease(lease: Lease, gate: _Gate) -> Hazard:
    servers = ", ".join(map(str, lease.nameservers))
    return Hazard(
        path=CONF,
        line=lease.line,
        what=f"lease with domain-name-servers {servers}",
        interface=lease.interface,
        kind=Kind.POISONS,
        defused=gate.is_shut,
        why="; ".join(("counts where no server answers", *_explain(gate))),
    )


def _explain(gate: _Gate) -> tuple[str, ...]:
    return (gate.why,) if gate.is_shut else (gate.why, _REPAIRS)
