"""NetworkManager.conf(5): the global DNS configuration, which replaces what connections say."""

import re
from dataclasses import dataclass

from dnsguard.core.sources.endpoint import Endpoint, parse_endpoints
from dnsguard.core.sources.ini import entries

_DOMAIN = "global-dns-domain-"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalDns:
    """What the ``global-dns`` sections of one file say."""

    servers: tuple[Endpoint, ...] = ()
    """Of ``[global-dns-domain-*]``: for every name."""
    others: tuple[tuple[str, tuple[Endpoint, ...]], ...] = ()
    """Of other domains, and those domains."""
    search: tuple[str, ...] = ()


def parse(content: bytes) -> GlobalDns:
    """Read a NetworkManager.conf or a file of its ``conf.d``; any bytes will do.

    A later ``servers`` replaces an earlier one, ``servers+`` adds to it.
    """
    servers: dict[str, list[str]] = {}
    search: list[str] = []
    for section, key, value in entries(content):
        words = re.split(r"[,;\s]+", value.strip(" ,;"))
        if section.startswith(_DOMAIN) and key in ("servers", "servers+"):
            domain = section[len(_DOMAIN) :]
            if key == "servers":
                servers.pop(domain, None)
            servers.setdefault(domain, []).extend(words)
        elif section == "global-dns" and key == "searches":
            search = [word for word in words if word]
    others = ((name, parse_endpoints(texts)) for name, texts in servers.items() if name != "*")
    return GlobalDns(
        servers=parse_endpoints(servers.get("*", [])), others=tuple(others), search=tuple(search)
    )
