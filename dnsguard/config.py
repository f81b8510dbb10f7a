"""dnsguard.toml: read, checked against one table of keys, turned into a policy.

The table below is the reference: the shipped file, the manual and the errors follow it.
"""

import difflib
import tomllib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dnsguard.config_values import (
    InvalidError,
    Listen,
    choice_reader,
    cut,
    read_addresses,
    read_count,
    read_directory,
    read_listen,
    read_name,
    read_servers,
    read_switch,
    read_url,
    seconds_reader,
)
from dnsguard.core.policy import KNOWN_NODELOCAL, HandoverMode, Policy
from dnsguard.errors import ConfigError
from dnsguard.formats.address import IPAddress, plain
from dnsguard.host.files import read_whole
from dnsguard.reporting.events import Level

MAX_BYTES = 1 << 16
"""Of the file; one with every key and its comments has 4 KiB."""


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


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its default as TOML writes it, its reader, and what it is for."""

    default: object
    read: Callable[[object], object]
    about: str


KEYS: dict[str, Key] = {
    "upstream.servers": Key(
        [], read_servers, "Real nameservers, preferred to all that is found on the node."
    ),
    "upstream.question": Key(
        ".",
        read_name,
        "Upstreams are asked for the NS records of this name; any resolver knows the root's.",
    ),
    "upstream.fallback": Key([], read_servers, "Used when nothing else answers; asked only then."),
    "upstream.ask_dhcp": Key(
        True,
        read_switch,
        "Ask the DHCP server (DHCPINFORM) where its lease is poisoned or no upstream answers.",
    ),
    "nodelocal.addresses": Key(
        [],
        read_addresses,
        "Where NodeLocalDNS listens; empty: kubelet's clusterDNS and the usual addresses.",
    ),
    "nodelocal.require_binding": Key(
        True,
        read_switch,
        "Whether that address must be bound; false for Cilium's local redirect policy.",
    ),
    "nodelocal.question": Key(
        "",
        lambda value: value if value == "" else read_name(value),
        "NodeLocalDNS is asked for this name; empty: kubernetes.default.svc.<cluster.domain>.",
    ),
    "nodelocal.health_url": Key(
        "",
        read_url,
        "NodeLocalDNS's health URL, http://169.254.25.10:9254/health with Kubespray.",
    ),
    "cluster.dns": Key(
        ["10.233.0.3"], read_addresses, "Cluster DNS service addresses; never upstreams."
    ),
    "cluster.domain": Key(
        "",
        lambda value: value if value == "" else read_name(value),
        "The cluster's domain; empty: kubelet's clusterDomain, or cluster.local.",
    ),
    "handover.mode": Key(
        "auto",
        choice_reader(HandoverMode),
        '"auto": hand over unless kubelet gives /etc/resolv.conf to pods; "always"; "never".',
    ),
    "dhclient.hook": Key(
        True, read_switch, "Keep dhclient from resolv.conf; what it is told is taken in."
    ),
    "health.successes": Key(3, read_count, "Answers in a row that make NodeLocalDNS healthy."),
    "health.failures": Key(2, read_count, "Failures in a row that end it."),
    "health.fast": Key(
        0.2, seconds_reader(60), "Seconds between questions while something changes."
    ),
    "health.slow": Key(5.0, seconds_reader(3600), "Seconds between questions while nothing does."),
    "health.heartbeat": Key(
        0.3,
        seconds_reader(60),
        "The same for the one question that tells whether NodeLocalDNS hangs.",
    ),
    "health.unread": Key(
        0.06,
        seconds_reader(4),
        "Seconds that a question lies unread before a NodeLocalDNS that sleeps is hung.",
    ),
    "health.timeout": Key(1.0, seconds_reader(4), "Seconds until a question counts as unanswered."),
    "health.hold_down": Key(
        1.0,
        seconds_reader(300, shortest=0),
        "Seconds without a handover once NodeLocalDNS broke; doubled each time it does again.",
    ),
    "metrics.textfile": Key(
        "/var/lib/prometheus/node-exporter",
        read_directory,
        "Where metrics are written for node-exporter, if that exists; empty: nowhere.",
    ),
    "metrics.listen": Key(
        "",
        read_listen,
        "Where metrics are served by HTTP; a bare port is on 127.0.0.1. Empty: nowhere.",
    ),
    "log.level": Key("info", choice_reader(Level), "The least that is logged."),
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
        raise ConfigError(f"{path}: {reason}", "make it a readable text file") from error
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        remedy = "no key has lists in lists, see dnsguard.toml(5)"
        raise ConfigError(f"{path}: nested too deeply", remedy) from error
    except ValueError as error:  # TOMLDecodeError, or a number of more digits than int() takes
        why = cut(str(error))
        raise ConfigError(f"{path}: {why}", "correct the line, see dnsguard.toml(5)") from error
    return _build(path, dict(_flatten(path, data)))


def defaults() -> Config:
    """Return the configuration of an empty file."""
    return _build(Path("defaults"), {})


def _flatten(path: Path, data: dict[str, object]) -> Iterator[tuple[str, object]]:
    tables = {key.partition(".")[0] for key in KEYS}
    for table, content in data.items():
        if table not in tables:
            raise _make_unknown(path, "table", table, tables)
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {table}", f"write it as a table, [{table}]")
        for name, value in content.items():
            key = f"{table}.{name}"
            if key not in KEYS:
                raise _make_unknown(path, "key", key, KEYS)
            yield key, value


def _make_unknown(path: Path, kind: str, word: str, known: Collection[str]) -> ConfigError:
    """Return the error about a table or key that there is not, with the nearest that there is."""
    near = difflib.get_close_matches(cut(word), sorted(known), n=1)
    if near:
        return ConfigError(f"{path}: {cut(word)}", f"unknown {kind}, did you mean {near[0]}?")
    return ConfigError(f"{path}: {cut(word)}: unknown {kind}", "remove it, see dnsguard.toml(5)")


def _build(path: Path, given: dict[str, object]) -> Config:
    values: dict[str, object] = {}
    for name, key in KEYS.items():
        try:
            values[name] = key.read(given.get(name, key.default))
        except InvalidError as error:
            raise ConfigError(f"{path}: {name}", f"must be {error}") from error
    config = _assemble(values)
    policy = config.policy
    for name, servers in (("servers", policy.servers), ("fallback", policy.fallback)):
        for server in servers:
            if plain(server) in policy.cluster:
                what = f"{path}: upstream.{name}: {server} is a cluster address"
                raise ConfigError(what, "name a real nameserver")
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
        unread=get("health.unread", float),
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
