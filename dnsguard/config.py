"""dnsguard.toml: read, checked against one table of keys, turned into a policy.

The table below is the reference: the shipped file, the manual and the errors follow it.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from dnsguard.core.policy import KNOWN_NODELOCAL, HandoverMode, Policy
from dnsguard.errors import ConfigError
from dnsguard.formats.address import IPAddress, parse_address, plain
from dnsguard.host.files import read_whole
from dnsguard.reporting.events import Level

_Choice = TypeVar("_Choice", bound=StrEnum)


_LABEL = r"[A-Za-z0-9_-]{1,63}"
_NAME = re.compile(rf"\.|{_LABEL}(\.{_LABEL})*\.?")
_NAME_MAX = 253
_URL = re.compile(r"(http://[!-~]+)?")
_SHORTEST = 0.05
_PORT_MAX = 65535
MAX_BYTES = 1 << 16
"""Of the file; one with every key and its comments has 4 KiB."""
_LONGEST = 100
"""Characters of what is quoted from it in an error."""


class Listen(NamedTuple):
    """Where something is served."""

    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration; the defaults are those of an empty file."""

    policy: Policy
    takes_hook: bool
    """Whether the enter hook keeps dhclient from resolv.conf."""
    log_level: Level
    textfile: str
    """node-exporter's directory for textfiles; empty: none is written."""
    listen: Listen | None
    """Address and TCP port on which metrics are served."""


class _InvalidError(ValueError):
    """Raised by a reader; says what was expected."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its default as TOML writes it, its reader, and what it is for."""

    default: object
    read: Callable[[object], object]
    about: str


def _address(value: object) -> IPAddress:
    if not isinstance(value, str):
        raise _InvalidError('an IP address in quotes, such as "10.0.0.2"')
    try:
        return parse_address(value)
    except ValueError:
        raise _InvalidError(f"an IP address, {_cut(repr(value))} is none") from None


def _addresses(value: object) -> tuple[IPAddress, ...]:
    if not isinstance(value, list):
        raise _InvalidError('a list of IP addresses, such as ["10.0.0.2"]')
    return tuple(dict.fromkeys(_address(entry) for entry in value))


def _usable_servers(value: object) -> tuple[IPAddress, ...]:
    found = _addresses(value)
    for address in found:
        if address.is_unspecified or address.is_multicast:
            raise _InvalidError(f"addresses of servers, {address} can't be one")
    return found


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise _InvalidError("true or false")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > _NAME_MAX or not _NAME.fullmatch(value):
        raise _InvalidError('a domain name in quotes (RFC 1035, 2.3.4), such as "example.com"')
    return value


def _url(value: object) -> str:
    expected = 'an http:// URL of an IP address, "http://169.254.25.10:9254/health"'
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise _InvalidError(expected)
    try:
        parts = urlsplit(value)
        if value:
            parse_address(parts.hostname or "")
        is_port = parts.port != 0
    except ValueError:  # a name, which DNS would have to know, or no port's number
        is_port = False
    if not is_port:
        raise _InvalidError(expected)
    return value


def _directory(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(/[^\0\n]+)?", value):
        raise _InvalidError("the absolute path of a directory in quotes, or empty")
    return value


def _listen(value: object) -> Listen | None:
    expected = 'a port as "9353", or address and port as "127.0.0.1:9353" or "[::]:9353"; or empty'
    if not isinstance(value, str):
        raise _InvalidError(expected)
    if not value:
        return None
    host, _, port = value.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _PORT_MAX):
        raise _InvalidError(expected)
    try:
        # A bare port is for this node only: what is to be reached says its address.
        address = parse_address(host.strip("[]") or "127.0.0.1")
    except ValueError:
        raise _InvalidError(expected) from None
    return Listen(str(address), int(port))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 100:
        raise _InvalidError("a whole number from 1 to 100")
    return value


def _seconds(longest: int, shortest: float = _SHORTEST) -> Callable[[object], float]:
    def read(value: object) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # Compared as it is: no float holds an int of 400 digits.
        if not is_number or not shortest <= value <= longest:  # type: ignore[operator]
            raise _InvalidError(f"a number of seconds from {shortest:g} to {longest}")
        return float(value)  # type: ignore[arg-type]

    return read


def _one_of(choices: type[_Choice]) -> Callable[[object], _Choice]:
    def read(value: object) -> _Choice:
        try:
            return choices(str(value))
        except ValueError:
            raise _InvalidError(
                "one of " + ", ".join(f'"{choice}"' for choice in choices)
            ) from None

    return read


KEYS: dict[str, Key] = {
    "upstream.servers": Key(
        [], _usable_servers, "Real nameservers, preferred to all that is found on the node."
    ),
    "upstream.question": Key(
        ".",
        _name,
        "Upstreams are asked for the NS records of this name; any resolver knows the root's.",
    ),
    "upstream.fallback": Key(
        [], _usable_servers, "Used when nothing else answers; asked only then."
    ),
    "upstream.ask_dhcp": Key(
        True,
        _switch,
        "Ask the DHCP server (DHCPINFORM) where its lease is poisoned or no upstream answers.",
    ),
    "nodelocal.addresses": Key(
        [],
        _addresses,
        "Where NodeLocalDNS listens; empty: kubelet's clusterDNS and the usual addresses.",
    ),
    "nodelocal.require_binding": Key(
        True,
        _switch,
        "Whether that address must be bound; false for Cilium's local redirect policy.",
    ),
    "nodelocal.question": Key(
        "",
        lambda value: value if value == "" else _name(value),
        "NodeLocalDNS is asked for this name; empty: kubernetes.default.svc.<cluster.domain>.",
    ),
    "nodelocal.health_url": Key(
        "",
        _url,
        "NodeLocalDNS's health URL, http://169.254.25.10:9254/health with Kubespray.",
    ),
    "cluster.dns": Key(
        ["10.233.0.3"], _addresses, "Cluster DNS service addresses; never upstreams."
    ),
    "cluster.domain": Key(
        "",
        lambda value: value if value == "" else _name(value),
        "The cluster's domain; empty: kubelet's clusterDomain, or cluster.local.",
    ),
    "handover.mode": Key(
        "auto",
        _one_of(HandoverMode),
        '"auto": hand over unless kubelet gives /etc/resolv.conf to pods; "always"; "never".',
    ),
    "dhclient.hook": Key(
        True, _switch, "Keep dhclient from resolv.conf; what it is told is taken in."
    ),
    "health.successes": Key(3, _count, "Answers in a row that make NodeLocalDNS healthy."),
    "health.failures": Key(2, _count, "Failures in a row that end it."),
    "health.fast": Key(0.2, _seconds(60), "Seconds between questions while something changes."),
    "health.slow": Key(5.0, _seconds(3600), "Seconds between questions while nothing does."),
    "health.heartbeat": Key(
        1.0, _seconds(60), "The same for the one question that tells whether NodeLocalDNS hangs."
    ),
    "health.timeout": Key(1.0, _seconds(4), "Seconds until a question counts as unanswered."),
    "health.hold_down": Key(
        1.0,
        _seconds(300, shortest=0),
        "Seconds without a handover once NodeLocalDNS broke; doubled each time it does again.",
    ),
    "metrics.textfile": Key(
        "/var/lib/prometheus/node-exporter",
        _directory,
        "Where metrics are written for node-exporter, if that exists; empty: nowhere.",
    ),
    "metrics.listen": Key(
        "",
        _listen,
        "Where metrics are served by HTTP; a bare port is on 127.0.0.1. Empty: nowhere.",
    ),
    "log.level": Key("info", _one_of(Level), "The least that is logged."),
}


def load(path: Path) -> Config:
    """Read the configuration; a missing file is an empty one.

    :raises ConfigError: unreadable, no TOML, an unknown key or an impossible value.
    """
    try:
        text = read_whole(path, MAX_BYTES).decode()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: {reason}: make it a readable text file") from error
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        remedy = "no key has lists in lists, see dnsguard.toml(5)"
        raise ConfigError(f"{path}: nested too deeply: {remedy}") from error
    except ValueError as error:  # TOMLDecodeError, or a number of more digits than int() takes
        why = _cut(str(error))
        raise ConfigError(f"{path}: {why}: correct the line, see dnsguard.toml(5)") from error
    return _build(path, dict(_flatten(path, data)))


def defaults() -> Config:
    """Return the configuration of an empty file."""
    return _build(Path("defaults"), {})


def _flatten(path: Path, data: dict[str, object]) -> Iterator[tuple[str, object]]:
    tables = {key.partition(".")[0] for key in KEYS}
    for table, content in data.items():
        if table not in tables:
            raise ConfigError(f"{path}: {_cut(table)}: unknown table{_nearest(table, tables)}")
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {table}: write it as a table, [{table}]")
        for name, value in content.items():
            key = f"{table}.{name}"
            if key not in KEYS:
                raise ConfigError(f"{path}: {_cut(key)}: unknown key{_nearest(key, KEYS)}")
            yield key, value


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _nearest(word: str, known: dict[str, Key] | set[str]) -> str:
    near = difflib.get_close_matches(_cut(word), sorted(known), n=1)
    return f", did you mean {near[0]}?" if near else ": remove it, see dnsguard.toml(5)"


def _build(path: Path, given: dict[str, object]) -> Config:
    values: dict[str, object] = {}
    for name, key in KEYS.items():
        try:
            values[name] = key.read(given.get(name, key.default))
        except _InvalidError as error:
            raise ConfigError(f"{path}: {name}: must be {error}") from error
    config = _assemble(values)
    policy = config.policy
    for name, servers in (("servers", policy.servers), ("fallback", policy.fallback)):
        for server in servers:
            if plain(server) in policy.cluster:
                raise ConfigError(
                    f"{path}: upstream.{name}: {server} is a cluster address: name a real nameserver"
                )
    return config


def _assemble(values: dict[str, object]) -> Config:
    def get(name: str, kind: type[_Value]) -> _Value:
        value = values[name]
        assert isinstance(value, kind), name  # noqa: S101 -- its reader made it so
        return value

    nodelocal: tuple[IPAddress, ...] = get("nodelocal.addresses", tuple)
    policy = Policy(
        servers=get("upstream.servers", tuple),
        fallback=get("upstream.fallback", tuple),
        nodelocal=nodelocal,
        cluster=frozenset((*nodelocal, *get("cluster.dns", tuple), *KNOWN_NODELOCAL)),
        cluster_domain=get("cluster.domain", str).strip("."),
        nodelocal_question=get("nodelocal.question", str),
        upstream_question=get("upstream.question", str),
        health_url=get("nodelocal.health_url", str),
        require_binding=get("nodelocal.require_binding", bool),
        asks_dhcp=get("upstream.ask_dhcp", bool),
        handover=get("handover.mode", HandoverMode),
        successes=get("health.successes", int),
        failures=get("health.failures", int),
        fast=get("health.fast", float),
        slow=get("health.slow", float),
        heartbeat=get("health.heartbeat", float),
        timeout=get("health.timeout", float),
        hold_down=get("health.hold_down", float),
    )
    return Config(
        policy=policy,
        takes_hook=get("dhclient.hook", bool),
        log_level=get("log.level", Level),
        textfile=get("metrics.textfile", str),
        listen=None if values["metrics.listen"] is None else get("metrics.listen", Listen),
    )


_Value = TypeVar("_Value")
