"""resolv.conf after a reboot, as each interface's dhclient will write it.

A reboot applies dhclient.conf as it is now to what the DHCP server offers; with
``supersede`` the offer doesn't matter. That is why a node may be healthy for weeks and
poisoned by its next boot. What can't be known is said to be so, not guessed: an offer
behind a superseded lease, a value that dhclient computes, a file of another program's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dnsguard.commands.forecast.future import (
    ForecastInput,
    Future,
    Pairs,
    find_maker,
    find_newest_lease,
    format_servers,
    leave_unchanged,
)
from dnsguard.commands.forecast.script_run import run_script
from dnsguard.formats.address import IPAddress, plain
from dnsguard.formats.dhclient.files import CONF
from dnsguard.formats.dhclient.offer import (
    OPTIONS,
    Offer,
    apply_at_boot,
    find_offer_in,
    needs_offer,
)
from dnsguard.formats.dhclient.options import DOMAIN
from dnsguard.formats.dhclient.records import DhclientEvent, Reason
from dnsguard.formats.dhclient.statements import (
    Conf,
    Statement,
    find_contributing,
    find_replaced_script,
    find_requested,
)


def foresee_reboots(node: ForecastInput) -> tuple[Future, ...]:
    """Return what each interface's dhclient writes at the next boot, at least one future.

    Which of several is the last to be bound, and so has the file, can't be told.
    """
    maker = find_maker(node)
    if maker in ("NetworkManager", "systemd-resolved"):
        return (leave_unchanged(node, "what dhclient does at boot doesn't last"),)
    parsed = node.dhclient.parse_conf()
    lines = _find_lines_of_boot(node)
    if not lines:
        return (leave_unchanged(node, "no lease and no process: dhclient is not in use here"),)
    return tuple(_foresee_reboot(node, parsed, *line) for line in lines)


def _foresee_reboot(node: ForecastInput, parsed: Conf, interface: str, version: int) -> Future:
    option, _ = OPTIONS[version]
    statements = parsed.statements
    other = find_replaced_script(parsed, interface)
    if version == 6 and (own := _find_dhcp4_values(statements, interface)):
        said = (
            *_describe_statements(statements, interface, OPTIONS[4][0]),
            ("dhclient -6", "hands DHCPv4's over, too, and dhclient-script takes them first"),
        )
        runs = [replace(own, reason=one) for one in _list_reasons(node, interface, 6)]
        return run_script(node, runs, said, script_instead=other)
    offer, source = _find_offer(node, parsed, interface, version)
    is_needed = needs_offer(statements, interface, version)
    because: Pairs = (
        *_describe_statements(statements, interface, option),
        ("offer", source if is_needed else f"superseded ({source})"),
    )
    if _is_unclear(statements, interface, option):
        because = (*because, ("nameservers", "can't be told from the file: a name, or computed"))
        return Future(interface=interface, text=None, because=because)
    if is_needed and offer.nameservers is None:
        return Future(interface=interface, text=None, because=because)
    told = apply_at_boot(offer, statements, interface, version)
    runs = [replace(told, reason=reason) for reason in _list_reasons(node, interface, version)]
    future = run_script(node, runs, because, script_instead=other)
    caveats = (
        *future.caveats,
        *_find_conditions(statements, interface, option),
        *_explain_no_server(node, interface, version, told.nameservers),
    )
    return replace(future, caveats=caveats)


def _find_dhcp4_values(statements: tuple[Statement, ...], interface: str) -> DhclientEvent | None:
    """Return what dhclient.conf says of DHCPv4's options; None where that is nothing.

    With Kubespray's ``supersede domain-name-servers`` a node of IPv6 alone died of it, with
    stateless DHCPv6, and "fine" was said (issue 15).
    """
    own = replace(apply_at_boot(Offer(), statements, interface, 4), is_of_dhcp4=True)
    return own if own.nameservers or own.domain or own.search else None


def _list_reasons(node: ForecastInput, interface: str, version: int) -> tuple[Reason, ...]:
    """Return with which reasons dhclient may run its script at boot, the likeliest first.

    A lease that still counts is asked for again (REBOOT), unless it was released when the
    node was shut down; a stateless client (``-S``) says RENEW6 from the start.
    """
    if version == 6:
        return (Reason.BOUND6,) if find_newest_lease(node, interface, 6) else (Reason.RENEW6,)
    lease = find_newest_lease(node, interface, version)
    is_valid = lease is not None and (lease[1].expires or 0.0) > node.wall
    return (Reason.REBOOT, Reason.BOUND) if is_valid else (Reason.BOUND,)


def _find_conditions(
    statements: tuple[Statement, ...], interface: str, option: str
) -> Iterator[str]:
    for one in find_contributing(statements, interface, option):
        if one.is_conditional:
            yield f"{one.path or CONF}:{one.line} counts if its condition holds, here it doesn't"


def _explain_no_server(
    node: ForecastInput, interface: str, version: int, foreseen: Sequence[IPAddress]
) -> Iterator[str]:
    """Yield what the lease does when no server answers at boot (the reason is TIMEOUT)."""
    lease = find_newest_lease(node, interface, version)
    if lease is None or (lease[1].expires or 0.0) <= node.wall:
        return
    servers = lease[1].nameservers
    if not node.cluster.isdisjoint(map(plain, servers)) and tuple(foreseen) != servers:
        yield f"if no DHCP server answers, the lease in {lease[0]} counts: {format_servers(servers)}"


def _describe_statements(
    statements: tuple[Statement, ...], interface: str, option: str
) -> Iterator[tuple[str, str]]:
    for one in find_contributing(statements, interface, option):
        if not one.is_conditional:
            values = format_servers(one.addresses) if one.addresses else ", ".join(one.texts)
            yield f"{one.path or CONF}:{one.line}", f"{one.verb} {option} {values}"


def _find_lines_of_boot(node: ForecastInput) -> tuple[tuple[str, int], ...]:
    """Return the interfaces and IP versions that dhclient is likely to serve after a boot."""
    running = [(one.interface, one.version) for one in node.running]
    leases = [lease for _, lease in node.dhclient.leases if not lease.is_released]
    valid = [one for one in leases if one.expires is None or one.expires > node.wall]
    held = [(one.interface, one.version) for one in valid or leases[-1:]]
    found = sorted(
        {(name, version) for name, version in (*running, *held, *node.configured) if name}
    )
    return tuple(found)


def _is_unclear(statements: tuple[Statement, ...], interface: str, option: str) -> bool:
    found = find_contributing(statements, interface, option)
    return any(one.texts or one.is_computed for one in found)


def _find_offer(
    node: ForecastInput, parsed: Conf, interface: str, version: int
) -> tuple[Offer, str]:
    """Return what the server will offer of what it is asked for, and how that is known."""
    servers, search = OPTIONS[version]
    asked = find_requested(parsed.requests, interface)
    lease = find_newest_lease(node, interface, version)
    known = node.offers.get(interface) if version == 4 else None
    if known is not None:
        source = f"the DHCP server was asked and names {format_servers(known.nameservers or ())}"
    elif lease is None:
        return Offer(nameservers=None), f"not known: {interface} has no lease"
    else:
        path, block = lease
        known = find_offer_in(block, parsed.statements, interface)
        source = f"the newest lease in {path} names {format_servers(block.nameservers)}"
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
