"""dhclient-script(8) as Debian 12 has it (isc-dhcp-client 4.4.3-P1): what it makes of resolv.conf.

A test runs the real ``make_resolv_conf`` beside this one. Not here is when it is run:
for RENEW6 and REBIND6 only if the servers or the search list are others than before, for
TIMEOUT only if the first router answers a ping.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv6Address

from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient.records import DhclientEvent, Reason, add_zones, parse_addresses

_WRITES = frozenset(
    {
        Reason.BOUND,
        Reason.RENEW,
        Reason.REBIND,
        Reason.REBOOT,
        Reason.TIMEOUT,
        Reason.BOUND6,
        Reason.RENEW6,
        Reason.REBIND6,
    }
)
# It says ^\w*, but outside quotes, so the shell takes the backslash away.
_OLD = re.compile(rb"^w*(?i:nameserver)[^\n]*\n?", re.MULTILINE)


_VARIABLES = {4: ("new_", "domain_name_servers"), 6: ("new_dhcp6_", "name_servers")}


def make_resolv_conf(told: DhclientEvent, current: bytes) -> bytes | None:
    """Return what the script makes of the file, None where it doesn't touch it.

    ``make_resolv_conf``, /sbin/dhclient-script:40, and the reasons that call it, from 231 on.

    :param current: the file as it is; a missing one is empty.
    """
    if told.reason not in _WRITES:
        return None
    head = _list_head4(told) if told.options_version == 4 else _list_head6(told)
    if not head and not told.nameservers:
        return None
    lines = "".join(f"{line}\n" for line in (*head, *_list_nameservers(told)))
    kept = b"" if told.nameservers else b"".join(_OLD.findall(current))
    return lines.encode() + kept


def apply_changes(told: DhclientEvent, values: Mapping[str, str]) -> DhclientEvent:
    """Return what the script is told where hooks have set its variables to something else."""
    prefix, servers = _VARIABLES[told.options_version]
    if (text := values.get(prefix + servers)) is not None:
        told = replace(told, nameservers=add_zones(parse_addresses(text), told.interface))
    if (text := values.get(f"{prefix}domain_search")) is not None:
        told = replace(told, search=tuple(text.split()))
    if (text := values.get("new_domain_name")) is not None and told.options_version == 4:
        told = replace(told, domain=text or None)
    return told


def list_variables(told: DhclientEvent) -> dict[str, str]:
    """Return the variables that its hooks find, as far as they are known."""
    prefix, servers = _VARIABLES[told.options_version]
    known = {
        "reason": str(told.reason),
        "interface": told.interface,
        "new_domain_name_servers": "",
        "new_domain_search": "",
        "new_domain_name": told.domain or "",
        "new_dhcp6_name_servers": "",
        "new_dhcp6_domain_search": "",
    }
    known[prefix + servers] = " ".join(map(_format_address, told.nameservers))
    known[f"{prefix}domain_search"] = " ".join(told.search)
    return known


def _list_head4(told: DhclientEvent) -> Sequence[str]:
    domain, search = told.domain, " ".join(told.search)
    if not domain:
        return [f"search {search}"] if search else []
    if not search:
        search = domain
    elif not {domain, domain + "."} & set(told.search):
        search = f"{domain} {search}"
    return [f"domain {domain.partition(' ')[0]}".rstrip(), f"search {search}"]


def _list_head6(told: DhclientEvent) -> Sequence[str]:
    return [f"search {' '.join(told.search)}"] if told.search else []


def _list_nameservers(told: DhclientEvent) -> Iterator[str]:
    for address in told.nameservers:
        text = _format_address(address)
        if told.options_version == 6 and text.startswith("fe80::"):
            text += f"%{told.interface}"
        yield f"nameserver {text}"


def _format_address(address: IPAddress) -> str:
    """Return an address without its zone as inet_ntop(3) writes it: IPv4 inside IPv6 dotted."""
    if not isinstance(address, IPv6Address):
        return str(address)
    bare = IPv6Address(int(address))
    high, low = divmod(int(bare), 1 << 32)
    if high == 0xFFFF or (high == 0 and low > 0xFFFF):
        tail = ".".join(map(str, low.to_bytes(4, "big")))
        return f"::{'ffff:' if high else ''}{tail}"
    return str(bare)
