"""What kubelet is told about DNS: flags before drop-ins before its file before the default.

So it is since Kubernetes 1.28 (``--config-dir``; "Kubelet Configuration Directory Merging")
and was, without drop-ins, before. Texts in, values out; the files are read elsewhere.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from dnsguard.formats.address import IPAddress, parse_address

DEFAULT = "/etc/resolv.conf"
"""kubelet's default (kubelet(8), --resolv-conf)."""
BY_DEFAULT = "kubelet's default"
UNREADABLE = "can't be read"
RESOLV_CONF, RESOLV_CONF_FLAG = "resolvConf", "--resolv-conf"
_CLUSTER_DNS, _CLUSTER_DNS_FLAG = "clusterDNS", "--cluster-dns"
_CLUSTER_DOMAIN, _CLUSTER_DOMAIN_FLAG = "clusterDomain", "--cluster-domain"
FLAGS_OF_KEYS = {
    RESOLV_CONF: RESOLV_CONF_FLAG,
    _CLUSTER_DNS: _CLUSTER_DNS_FLAG,
    _CLUSTER_DOMAIN: _CLUSTER_DOMAIN_FLAG,
}
"""What a KubeletConfiguration calls what a flag says."""
RESTART = "restart kubelet, which is configured otherwise by now"

_FLAGS = frozenset({"--config", "--config-dir", *FLAGS_OF_KEYS.values()})
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
"""Says nothing in a file, and an empty text said so to kubelets that used a plain string."""

# A flag wherever it stands in a unit or an environment file: quoted, behind "NAME=", in a
# list. Its value may follow an equals sign or white space.
_FLAG = re.compile(
    r"""(?<![\w-])(?P<flag>--(?:config|config[-_]dir|resolv[-_]conf|cluster[-_](?:dns|domain)))"""
    r"""(?:=|(?:[ \t]|\\\n)+(?!-))(?P<quote>["']?)(?P<value>[^\s"'\\]*)"""
)
_ENVIRONMENT = re.compile(r"^[ \t]*EnvironmentFile=[ \t]*-?(/\S*)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value, and where it comes from."""

    value: str
    where: str = BY_DEFAULT
    """A file's path, or words."""
    name: str = ""
    """The key or the flag."""

    @property
    def origin(self) -> str:
        """For people."""
        return _make_printable(f"{self.where}: {self.name}" if self.name else self.where)

    @property
    def is_flag(self) -> bool:
        return self.name.startswith("--")

    @property
    def path(self) -> str | None:
        """The file to edit, None for a command line and a default."""
        return self.where if self.where.startswith("/") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags of kubelet that matter here (pflag: the last one wins)."""

    config: Setting | None = None
    config_dir: Setting | None = None
    resolv_conf: Setting | None = None
    cluster_dns: tuple[Setting, ...] = ()
    cluster_domain: Setting | None = None

    @classmethod
    def of(cls, found: Iterable[tuple[str, str, str]]) -> Self:
        """Return what these say: flag, value, and where it stands, the weakest first."""
        last: dict[str, Setting] = {}
        dns: list[Setting] = []
        for flag, given, where in found:
            value = _make_printable(given)
            last[flag] = Setting(value=value, where=where, name=flag)
            if flag == _CLUSTER_DNS_FLAG:  # a list: comma separated, and more with each flag
                dns += [
                    Setting(value=one.strip(), where=where, name=flag)
                    for one in value.split(",")
                    if one.strip()
                ]
        return cls(
            config=last.get("--config"),
            config_dir=last.get("--config-dir"),
            resolv_conf=last.get(RESOLV_CONF_FLAG),
            cluster_dns=tuple(dns),
            cluster_domain=last.get(_CLUSTER_DOMAIN_FLAG),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What kubelet makes of flags and files."""

    resolv_conf: Setting
    cluster_dns: tuple[Setting, ...] = ()
    cluster_domain: Setting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet:
    """The node's kubelet: as it runs, or as it will once it is started."""

    used: Setting | None
    """The file of the running process; None where none runs, or nobody knows any more."""
    resolv_conf: Setting
    """The file as it is configured: what a kubelet started now hands to pods."""
    cluster_dns: tuple[Setting, ...] = ()
    cluster_domain: Setting | None = None
    config: str | None = None
    """Its configuration file."""
    pid: int | None = None
    troubles: tuple[str, ...] = ()
    remedy: str | None = None
    """How pods get our file, where that is not a line of kubelet's own files."""
    unit: str = "kubelet"
    """Whom systemd restarts for it."""

    @property
    def is_stale(self) -> bool:
        """Tell whether it hands out, for all that is known, another file than configured."""
        if self.pid is None:
            return False
        return self.used is None or self.used.value != self.resolv_conf.value

    @property
    def needs_restart(self) -> bool:
        """Tell whether pods would get another file if kubelet were only restarted.

        So it is after ``adopt`` without ``--restart``.
        """
        return self.is_stale and self.resolv_conf.value not in (DEFAULT, self.pods_file)

    @property
    def restart(self) -> str:
        """Return the command that restarts it."""
        return f"systemctl restart {self.unit}"

    @property
    def by_hand(self) -> str | None:
        """Return how pods get our file where ``adopt`` has no line to change, None where it has."""
        return self.remedy and f"{self.remedy}, then {self.restart}"

    @property
    def step(self) -> str | None:
        """Return what is to be done before pods get another file, None where ``adopt`` does it."""
        return f"{RESTART}: {self.restart}" if self.needs_restart else self.by_hand

    @property
    def pods_file(self) -> str:
        """Return the file to reckon with: /etc/resolv.conf if a new pod may get it.

        A kubelet that has yet to be restarted may be at any moment, so what it runs with
        and what it is configured to must both be another file.
        """
        if self.pid is None:
            return self.resolv_conf.value
        if self.used is None or DEFAULT in (self.used.value, self.resolv_conf.value):
            return DEFAULT
        return self.used.value

    @property
    def nameservers(self) -> tuple[IPAddress, ...]:
        """Return the addresses among ``cluster_dns``."""
        found = []
        for setting in self.cluster_dns:
            try:
                found.append(parse_address(setting.value))
            except ValueError:  # kubelet leaves it out, too
                continue
        return tuple(found)


def read_flags(arguments: Sequence[str], where: str) -> Iterator[tuple[str, str, str]]:
    """Yield flag, value and place for a command line, as pflag takes it.

    ``--flag=value`` or ``--flag value``, underscores are dashes, ``--`` ends it.
    """
    words = iter(arguments)
    for word in words:
        if word == "--":
            return
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if name in _FLAGS:
            yield name, value if equals else next(words, ""), where


def find_flags_in(text: str, where: str) -> Iterator[tuple[str, str, str]]:
    """Yield flag, value and place for a unit or an environment file; comments don't count."""
    for match in find_flags(text):
        yield match["flag"].replace("_", "-"), match["value"], where


def find_flags(text: str) -> Iterator[re.Match[str]]:
    for match in _FLAG.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if line.lstrip()[:1] not in ("#", ";"):
            yield match


def find_environment_files(text: str) -> list[str]:
    """Return the environment files that a unit names (systemd.exec(5))."""
    return _ENVIRONMENT.findall(text)


def merge(flags: Flags, documents: Iterable[tuple[str, object]]) -> Settings:
    """Return what kubelet takes from its flags and files.

    :param documents: path and content of the file and the drop-ins, the weakest first. What
        is no mapping could not be read, and may say anything: it counts as the default,
        which is the dangerous case.
    """
    keys: dict[str, Setting] = {}
    dns: tuple[Setting, ...] = ()
    for path, document in documents:
        if not isinstance(document, Mapping):
            keys[RESOLV_CONF] = Setting(value=DEFAULT, where=path, name=UNREADABLE)
            continue
        for key in (RESOLV_CONF, _CLUSTER_DOMAIN):
            if key in document:
                keys[key] = _read_scalar(document[key], path, key)
        if _CLUSTER_DNS in document:  # a list replaces the one before
            dns = tuple(_read_list(document[_CLUSTER_DNS], path))
    file = keys.get(RESOLV_CONF, Setting(value=DEFAULT))
    if file.value in _NOTHING:
        file = Setting(value=DEFAULT, where=file.where, name=file.name)
    domain = flags.cluster_domain or keys.get(_CLUSTER_DOMAIN)
    return Settings(
        resolv_conf=flags.resolv_conf or file,
        cluster_dns=flags.cluster_dns or dns,
        cluster_domain=None if domain is None or domain.value in _NOTHING else domain,
    )


def _make_printable(text: str) -> str:
    """Return a text that can be encoded: names and command lines are bytes to the kernel."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _read_scalar(value: object, path: str, key: str) -> Setting:
    return Setting(value=value if isinstance(value, str) else "", where=path, name=key)


def _read_list(value: Any, path: str) -> Iterator[Setting]:  # noqa: ANN401 -- a stranger's YAML
    for one in value if isinstance(value, list) else ():
        if isinstance(one, str) and one not in _NOTHING:
            yield Setting(value=one, where=path, name=_CLUSTER_DNS)
