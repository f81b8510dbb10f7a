"""What dhclient.conf(5) says about nameservers, as values, and what that makes of an offer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv6Address

from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient import options
from dnsguard.formats.dhclient.leases import Lease

DEFAULT_REQUEST = (
    "subnet-mask",
    "broadcast-address",
    "time-offset",
    "routers",
    "domain-name",
    "domain-name-servers",
    "host-name",
    "dhcp6.name-servers",
    "dhcp6.domain-search",
)
"""What dhclient asks for without a ``request`` statement.

``read_client_conf``, client/clparse.c:58.
"""

_SCRIPTS = ("/sbin/dhclient-script", "/usr/sbin/dhclient-script")


class Verb(StrEnum):
    """What a statement does with an option."""

    SUPERSEDE = "supersede"  # this instead of what the server offers
    PREPEND = "prepend"  # this before it
    APPEND = "append"  # this behind it
    DEFAULT = "default"  # this where it offers none
    SEND = "send"  # told to the server: no effect on what it offers


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement about nameservers or domains that dhclient takes."""

    verb: Verb
    option: str
    """In lower case, with its space: ``domain-name-servers``, ``dhcp6.name-servers``, ..."""
    addresses: tuple[IPAddress, ...] = ()
    texts: tuple[str, ...] = ()
    """Domains; of nameservers, host names that dhclient would look up."""
    interface: str | None = None
    """The ``interface`` block around it; the name of a ``pseudo`` one."""
    line: int
    path: str | None = None
    """The included file that it stands in, None for the file itself."""
    is_computed: bool = False
    """``= expression``: the value can't be told from the file."""
    is_conditional: bool = False
    """Within ``if`` or ``switch``: whether it counts depends on the reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``request``, ``require`` or ``also`` one of them: options asked of the server."""

    is_required: bool
    is_added: bool
    """``also``: to what was asked before, not instead of it."""
    options: tuple[str, ...]
    interface: str | None
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """``script``: the program run instead of dhclient-script(8), and so without its hooks."""

    path: str
    interface: str | None
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """What a dhclient.conf says, in its order."""

    statements: tuple[Statement, ...] = ()
    requests: tuple[Request, ...] = ()
    scripts: tuple[Script, ...] = ()
    includes: tuple[str, ...] = ()
    """Files it includes, whether their content was given or not."""
    leases: tuple[Lease, ...] = ()
    """``lease {}`` blocks: used when no server answers."""


def apply(
    statements: Iterable[Statement],
    interface: str,
    offered: Sequence[IPAddress],
    *,
    option: str = options.SERVERS,
    with_conditional: bool = False,
) -> tuple[IPAddress, ...]:
    """Return the nameservers that dhclient makes of those a server offers.

    Statements of ``interface`` blocks come after all others, wherever they stand;
    otherwise the order of the file counts (``execute_statements_in_scope``,
    ``set_option``). One host name that isn't found, as at boot, leaves none at all of
    what it is joined to. Computed values add nothing.

    :param with_conditional: take statements within ``if`` as if their condition held.
    """
    matching = [
        one
        for one in statements
        if one.option == option
        and one.interface in (None, interface)
        and (with_conditional or not one.is_conditional)
    ]
    servers: tuple[IPAddress | None, ...] = tuple(offered)
    for one in sorted(matching, key=lambda one: one.interface is not None):
        own = (*one.addresses, *(None for _ in one.texts))
        match one.verb:
            case Verb.SUPERSEDE:
                servers = own
            case Verb.PREPEND:
                servers = own + servers
            case Verb.APPEND:
                servers += own
            case Verb.DEFAULT:
                servers = servers or own
            case Verb.SEND:
                pass
    found = tuple(server for server in servers if server is not None)
    return found if len(found) == len(servers) else ()


def find_requested(requests: Iterable[Request], interface: str) -> tuple[str, ...]:
    """Return the options that dhclient asks for on this interface.

    ``parse_option_list``, client/clparse.c:873.

    A block starts with what was asked for before it; what follows it outside doesn't count.
    """
    asked: tuple[str, ...] = DEFAULT_REQUEST
    own: tuple[str, ...] | None = None
    for one in requests:
        if one.is_required or one.interface not in (None, interface):
            continue
        if one.interface is None:
            asked = asked + one.options if one.is_added else one.options
        else:
            own = (asked if own is None else own) if one.is_added else ()
            own += one.options
    return asked if own is None else own


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
