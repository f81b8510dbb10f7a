"""What dhclient will write into resolv.conf: at its next renewal, and after a reboot.

A running dhclient has the configuration of its start, so a renewal brings what its newest
lease holds. A reboot applies dhclient.conf as it is now to what the DHCP server offers;
with ``supersede`` the offer doesn't matter. That is why a node may be healthy for weeks
and poisoned by its next boot.

What dhclient tells its script is one thing, what the file says then another: hooks may
keep the script from it or write it themselves, and it may be immutable.

What can't be known is said to be so, not guessed: an offer behind a superseded lease, a
value that dhclient computes, a file that another program makes, a hook that runs a program.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from dnsguard.core import resolvconf
from dnsguard.core.address import IPAddress, plain
from dnsguard.core.hazards import (
    CONF,
    DhclientFiles,
    contributing,
    replaced_script,
    writers,
)
from dnsguard.core.offer import OPTIONS, Offer, needs_offer, told_at_boot, under
from dnsguard.core.sources.dhclient import script
from dnsguard.core.sources.dhclient.leases import Lease
from dnsguard.core.sources.dhclient.options import DOMAIN
from dnsguard.core.sources.dhclient.rehearsal import Outcome
from dnsguard.core.sources.dhclient.statements import Conf, Statement, requested
from dnsguard.core.sources.dhclient.told import Reason, Told, from_lease
from dnsguard.core.writers import keeper

Pairs = tuple[tuple[str, str], ...]

_MAKERS = (
    ("/NetworkManager/", "NetworkManager"),
    ("/systemd/resolve/", "systemd-resolved"),
    ("lib/systemd/resolv.conf", "systemd-resolved"),
    ("resolvconf/", "resolvconf"),
)
"""What a link leads to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A dhclient process, for one interface."""

    pid: int
    interface: str | None
    """None: all that it finds."""
    version: int = 4
    started: float
    """Seconds since the epoch."""
    script: str | None = None
    """What it was told to run instead of dhclient-script (``-sf``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """All that a forecast is made from."""

    dhclient: DhclientFiles
    running: tuple[Running, ...] = ()
    content: bytes = b""
    """resolv.conf as it is."""
    link: str | None = None
    """Where resolv.conf leads to, if it is a symbolic link."""
    offers: Mapping[str, Offer] = field(default_factory=dict)
    """What the DHCP server said when it was asked, by interface."""
    absent: frozenset[str] = frozenset()
    """Programs that no boot starts here: a header of theirs is a left-over."""
    cluster: frozenset[IPAddress] = frozenset()
    configured: tuple[tuple[str, int], ...] = ()
    """The interfaces, and versions of IP, for which ifupdown starts dhclient at boot."""
    unwritable: str | None = None
    """Why nobody can write resolv.conf, not even root; None where root can."""
    wall: float = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Future:
    """What resolv.conf will be after one event, as far as dhclient has a say."""

    interface: str | None
    """None: it is not about any."""
    text: bytes | None
    """None: it can't be told."""
    because: Pairs
    caveats: tuple[str, ...] = ()


def renewals(node: Node) -> tuple[Future, ...]:
    """Return what the next renewal of each running dhclient brings, at least one future."""
    if not node.running:
        return (_unmoved(node, "no dhclient runs, so none renews a lease"),)
    return tuple(_renewal(node, running) for running in node.running)


def reboots(node: Node) -> tuple[Future, ...]:
    """Return what each interface's dhclient writes at the next boot, at least one future.

    Which of several is the last to be bound, and so has the file, can't be told.
    """
    maker = maker_of(node)
    if maker in ("NetworkManager", "systemd-resolved"):
        return (_unmoved(node, "what dhclient does at boot doesn't last"),)
    parsed = node.dhclient.parse()
    lines = _lines_of_boot(node)
    if not lines:
        return (_unmoved(node, "no lease and no process: dhclient is not in use here"),)
    return tuple(_reboot(node, parsed, *line) for line in lines)


def maker_of(node: Node) -> str | None:
    """Return the program that resolv.conf belongs to, None if it is a plain file."""
    if node.link is None:
        maker = keeper(node.content)
        return None if maker in node.absent else maker
    return next((name for mark, name in _MAKERS if mark in node.link), None)


def _unmoved(node: Node, reason: str) -> Future:
    maker = maker_of(node)
    if maker is not None:
        because = (("dhclient", reason), ("resolv.conf", f"belongs to {maker}: see there"))
        return Future(interface=None, text=None, because=because)
    because = (("dhclient", reason), ("resolv.conf", "stays as it is"))
    return Future(interface=None, text=resolvconf.unguard(node.content), because=because)


def _renewal(node: Node, running: Running) -> Future:
    lease = _newest(node, running.interface, running.version)
    interface = running.interface or (lease and lease[1].interface) or None
    changed = node.dhclient.changed
    later = "; it was changed after that" if changed and changed > running.started else ""
    since = (
        "dhclient",
        f"process {running.pid} has the {CONF} of its start, {_date(running.started)}{later}",
    )
    if lease is None and running.version == 4:
        missing = (since, ("lease", "none of it is found"))
        return Future(interface=interface, text=None, because=missing)
    other = running.script or replaced_script(node.dhclient.parse(), interface)
    because: Pairs = (since,)
    if lease is not None:
        says = _servers(lease[1].nameservers)
        because = (since, ("lease", f"the newest in {lease[0]} says {says}"))
    if lease is None or running.version == 6:
        # dhclient-script writes for RENEW6 only if the server says something new.
        because = (*because, ("dhclient-script", "writes when it is new, so the file stays"))
        return Future(interface=interface, text=resolvconf.unguard(node.content), because=because)
    told = from_lease(lease[1], reason=Reason.RENEW)
    return _written(node, (told,), because, script_instead=other)


def _reboot(node: Node, parsed: Conf, interface: str, version: int) -> Future:
    option, _ = OPTIONS[version]
    statements = parsed.statements
    offer, source = _offer(node, parsed, interface, version)
    is_needed = needs_offer(statements, interface, version)
    because: Pairs = (
        *_named(statements, interface, option),
        ("offer", source if is_needed else f"superseded ({source})"),
    )
    if _is_unclear(statements, interface, option):
        because = (*because, ("nameservers", "can't be told from the file: a name, or computed"))
        return Future(interface=interface, text=None, because=because)
    if is_needed and offer.nameservers is None:
        return Future(interface=interface, text=None, because=because)
    told = told_at_boot(offer, statements, interface, version)
    other = replaced_script(parsed, interface)
    runs = [replace(told, reason=reason) for reason in _reasons(node, interface, version)]
    future = _written(node, runs, because, script_instead=other)
    caveats = (
        *future.caveats,
        *_conditions(statements, interface, option),
        *_without_server(node, interface, version, told.nameservers),
    )
    return replace(future, caveats=caveats)


def _reasons(node: Node, interface: str, version: int) -> tuple[Reason, ...]:
    """Return with which reasons dhclient may run its script at boot, the likeliest first.

    A lease that still counts is asked for again (REBOOT), unless it was released when the
    node was shut down; a stateless client (``-S``) says RENEW6 from the start.
    """
    if version == 6:
        return (Reason.BOUND6,) if _newest(node, interface, 6) else (Reason.RENEW6,)
    lease = _newest(node, interface, version)
    is_valid = lease is not None and (lease[1].expires or 0.0) > node.wall
    return (Reason.REBOOT, Reason.BOUND) if is_valid else (Reason.BOUND,)


def _written(
    node: Node, runs: Sequence[Told], because: Pairs, *, script_instead: str | None
) -> Future:
    """Return what dhclient-script(8) and its hooks leave when it is told this.

    :param runs: the same with each reason that may be given; the worst counts.
    """
    interface = runs[0].interface
    if script_instead is not None:
        because = (*because, ("script", f"{script_instead} is run instead of dhclient-script"))
        return Future(interface=interface, text=None, because=because)
    if node.unwritable is not None and not _unlocks(node.dhclient):
        because = (*because, ("resolv.conf", f"stays as it is: {node.unwritable}"))
        kept = resolvconf.unguard(node.content)
        return Future(interface=interface, text=kept, because=because)
    outcomes = [(told, _rehearsed(node, told)) for told in runs]
    told, outcome = max(outcomes, key=lambda pair: _is_worse(node, pair[1]))
    because = (*because, *_deeds(node, told, outcome))
    text = None if outcome.text is None else _bytes(outcome.text)
    caveats = (*_other_reasons(told, outcome, outcomes), *_caveats(node, outcome))
    return Future(interface=interface, text=text, because=because, caveats=caveats)


def _unlocks(files: DhclientFiles) -> bool:
    return any(b"chattr" in hook.content for hook in (*files.enter, *files.exit))


def _rehearsed(node: Node, told: Told) -> Outcome:
    def own(text: str, changed: Mapping[str, str]) -> str | None:
        made = script.resolv_conf(script.changed(told, changed), _bytes(text))
        return None if made is None else _text(made)

    current = _text(resolvconf.unguard(node.content))
    return node.dhclient.rehearse(script.variables(told), current, own)


def _is_worse(node: Node, outcome: Outcome) -> int:
    """Return how bad it is: cluster addresses, what nobody knows, all else."""
    if outcome.text is None:
        return 1
    named = resolvconf.addresses(_bytes(outcome.text))
    return 0 if node.cluster.isdisjoint(map(plain, named)) else 2


def _deeds(node: Node, told: Told, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield who wrote, or did not."""
    replaced = outcome.replaced
    if replaced is not None and outcome.is_replacement_certain and not outcome.unclear:
        is_writer = any(one.path == replaced.path for one in outcome.wrote)
        what = "writes its own file" if is_writer else "leaves resolv.conf alone"
        what = what if is_writer or not outcome.is_own_written else "has its own way"
        yield "make_resolv_conf", f"{replaced.path}:{replaced.line} replaces it and {what}"
    elif replaced is None and script.resolv_conf(told, node.content) is None:
        yield "dhclient-script", "has nothing to write: the file stays as it is"
    elif replaced is None and not told.nameservers:
        yield "dhclient-script", "keeps the file's nameservers"
    for place in outcome.wrote:
        yield f"{place.path}:{place.line}", f"writes resolv.conf with {place.how}"
    for reason in outcome.unclear:
        yield "hooks", f"can't be told: {reason}"


def _other_reasons(
    told: Told, outcome: Outcome, outcomes: Sequence[tuple[Told, Outcome]]
) -> Iterator[str]:
    for other, one in outcomes:
        if _named_by(one) != _named_by(outcome):
            then = "it can't be told" if one.text is None else _servers(_named_by(one) or ())
            yield f"dhclient may run its hooks for {other.reason}, not {told.reason}: then {then}"


def _named_by(outcome: Outcome) -> tuple[IPAddress, ...] | None:
    return None if outcome.text is None else tuple(resolvconf.addresses(_bytes(outcome.text)))


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _caveats(node: Node, outcome: Outcome) -> Iterator[str]:
    replaced = outcome.replaced
    if replaced is not None and outcome.is_own_written:
        yield f"{replaced.path} redefines make_resolv_conf: the file may have more or other lines"
    known = {(place.path, place.line) for place in outcome.wrote}
    for hazard in writers(node.dhclient):
        if (hazard.path, hazard.line) not in known:
            yield f"{hazard.path}:{hazard.line} may rewrite it: {hazard.what}"


def _conditions(statements: tuple[Statement, ...], interface: str, option: str) -> Iterator[str]:
    for one in contributing(statements, interface, option):
        if one.is_conditional:
            yield f"{one.path or CONF}:{one.line} counts if its condition holds, here it doesn't"


def _without_server(
    node: Node, interface: str, version: int, foreseen: Sequence[IPAddress]
) -> Iterator[str]:
    """Yield what the lease does when no server answers at boot (the reason is TIMEOUT)."""
    lease = _newest(node, interface, version)
    if lease is None or (lease[1].expires or 0.0) <= node.wall:
        return
    servers = lease[1].nameservers
    if not node.cluster.isdisjoint(map(plain, servers)) and tuple(foreseen) != servers:
        yield f"if no DHCP server answers, the lease in {lease[0]} counts: {_servers(servers)}"


def _named(
    statements: tuple[Statement, ...], interface: str, option: str
) -> Iterator[tuple[str, str]]:
    for one in contributing(statements, interface, option):
        if not one.is_conditional:
            values = _servers(one.addresses) if one.addresses else ", ".join(one.texts)
            yield f"{one.path or CONF}:{one.line}", f"{one.verb} {option} {values}"


def _lines_of_boot(node: Node) -> tuple[tuple[str, int], ...]:
    """Return the interfaces and IP versions that dhclient is likely to serve after a boot."""
    running = [(one.interface, one.version) for one in node.running]
    leases = [lease for _, lease in node.dhclient.leases if not lease.is_released]
    valid = [one for one in leases if one.expires is None or one.expires > node.wall]
    held = [(one.interface, one.version) for one in valid or leases[-1:]]
    found = sorted(
        {(name, version) for name, version in (*running, *held, *node.configured) if name}
    )
    return tuple(found)


def _newest(node: Node, interface: str | None, version: int) -> tuple[str, Lease] | None:
    for path, lease in reversed(node.dhclient.leases):
        fits = interface in (None, lease.interface) and lease.version == version
        if fits and not lease.is_released:
            return path, lease
    return None


def _is_unclear(statements: tuple[Statement, ...], interface: str, option: str) -> bool:
    found = contributing(statements, interface, option)
    return any(one.texts or one.is_computed for one in found)


def _offer(node: Node, parsed: Conf, interface: str, version: int) -> tuple[Offer, str]:
    """Return what the server will offer of what it is asked for, and how that is known."""
    servers, search = OPTIONS[version]
    asked = requested(parsed.requests, interface)
    lease = _newest(node, interface, version)
    known = node.offers.get(interface) if version == 4 else None
    if known is not None:
        source = f"the DHCP server was asked and names {_servers(known.nameservers or ())}"
    elif lease is None:
        return Offer(nameservers=None), f"not known: {interface} has no lease"
    else:
        path, block = lease
        known = under(block, parsed.statements, interface)
        source = f"the newest lease in {path} names {_servers(block.nameservers)}"
        if not node.cluster.isdisjoint(map(plain, known.nameservers or ())):
            known = replace(known, nameservers=None)
            source = f"not known: {source}, which is dhclient.conf's word, not the server's"
    if asked and servers not in asked:
        known = replace(known, nameservers=())
        source = f"none: {CONF} doesn't ask for nameservers"
    if asked and DOMAIN not in asked:
        known = replace(known, domain=None)
    if asked and search not in asked:
        known = replace(known, search=())
    return known, source


def _servers(addresses: Sequence[IPAddress]) -> str:
    return ", ".join(map(str, addresses)) or "no nameserver"


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
