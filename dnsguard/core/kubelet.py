"""What kubelet is told about DNS: flags before drop-ins before its file before the default.

So it is since Kubernetes 1.28 (``--config-dir``; "Kubelet Configuration Directory Merging")
and was, without drop-ins, before. Texts in, values out; the files are read elsewhere.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from dnsguard.core.address import IPAddress, parse_address

DEFAULT = "/etc/resolv.conf"
"""kubelet's default (kubelet(8), --resolv-conf)."""
BY_DEFAULT = "kubelet's default"
UNREADABLE = "can't be read"
RESOLV_CONF, RESOLV_CONF_FLAG = "resolvConf", "--resolv-conf"
_CLUSTER_DNS, _CLUSTER_DOMAIN = "clusterDNS", "clusterDomain"
RESTART = "restart kubelet, which is configured otherwise by now"

_FLAGS = frozenset({"--config", "--config-dir", RESOLV_CONF_FLAG, "--cluster-dns"}) | {
    "--cluster-domain"
}
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
"""Says nothing in a file, and an empty text said so to kubelets that used a plain string."""

# A flag wherever it stands in a unit or an environment file: quoted, behind "NAME=", in a
# list. Its value may follow an equals sign or white space.
_FLAG = re.compile(
    r"""(?<![\w-])(?P<flag>--(?:config|config[-_]dir|resolv[-_]conf|cluster[-_](?:dns|domain)))"""
    r"""(?:=|(?:[ \t]|\\\n)+(?!-))(?P<quote>["']?)(?P<value>[^\s"'\\]*)"""
)
_KEY_LINE = r"^(?P<before>(?P<q>[\"']?){key}(?P=q)[ \t]*:[ \t]*)(?P<value>{scalar})"
_KEY_INSIDE = r"(?P<before>(?P<q>[\"']){key}(?P=q)\s*:\s*)(?P<value>{scalar})"
_SCALAR = r"\"[^\"\n]*\"|'[^'\n]*'|[^\s#\"'{\[|>][^\s#,}]*|(?=\s|$)"
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
        return _printable(f"{self.where}: {self.name}" if self.name else self.where)

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
            value = _printable(given)
            last[flag] = Setting(value=value, where=where, name=flag)
            if flag == "--cluster-dns":  # a list: comma separated, and more with each flag
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
            cluster_domain=last.get("--cluster-domain"),
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


def flags_of(arguments: Sequence[str], where: str) -> Iterator[tuple[str, str, str]]:
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


def flags_in(text: str, where: str) -> Iterator[tuple[str, str, str]]:
    """Yield flag, value and place for a unit or an environment file; comments don't count."""
    for match in _matches(text):
        yield match["flag"].replace("_", "-"), match["value"], where


def _matches(text: str) -> Iterator[re.Match[str]]:
    for match in _FLAG.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if line.lstrip()[:1] not in ("#", ";"):
            yield match


def environment_files(text: str) -> list[str]:
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
                keys[key] = _scalar(document[key], path, key)
        if _CLUSTER_DNS in document:  # a list replaces the one before
            dns = tuple(_list(document[_CLUSTER_DNS], path))
    file = keys.get(RESOLV_CONF, Setting(value=DEFAULT))
    if file.value in _NOTHING:
        file = Setting(value=DEFAULT, where=file.where, name=file.name)
    domain = flags.cluster_domain or keys.get(_CLUSTER_DOMAIN)
    return Settings(
        resolv_conf=flags.resolv_conf or file,
        cluster_dns=flags.cluster_dns or dns,
        cluster_domain=None if domain is None or domain.value in _NOTHING else domain,
    )


def _printable(text: str) -> str:
    """Return a text that can be encoded: names and command lines are bytes to the kernel."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _scalar(value: object, path: str, key: str) -> Setting:
    return Setting(value=value if isinstance(value, str) else "", where=path, name=key)


def _list(value: Any, path: str) -> Iterator[Setting]:  # noqa: ANN401 -- a stranger's YAML
    for one in value if isinstance(value, list) else ():
        if isinstance(one, str) and one not in _NOTHING:
            yield Setting(value=one, where=path, name=_CLUSTER_DNS)


def with_flag(text: str, flag: str, value: str) -> str | None:
    """Return the text with another value at the flag's last mention, None without one."""
    found = [match for match in _matches(text) if match["flag"].replace("_", "-") == flag]
    if not found:
        return None
    return text[: found[-1].start("value")] + value + text[found[-1].end("value") :]


def with_key(text: str, key: str, value: str) -> Iterator[str]:
    """Yield texts of a YAML or JSON file that may be the same but for this key's value.

    One line is changed, so that comments, order and quotes stay. Only a parser can tell
    which of them is right: the caller asks one.
    """
    for pattern in (_KEY_LINE, _KEY_INSIDE):
        expression = pattern.replace("{key}", re.escape(key)).replace("{scalar}", _SCALAR)
        for match in re.finditer(expression, text, re.MULTILINE):
            before, old = match["before"], match["value"]
            quote = old[:1] if old[:1] in ("'", '"') else ""
            gap = "" if before[-1:].isspace() else " "
            new = f"{before}{gap}{quote}{value}{quote}"
            yield text[: match.start()] + new + text[match.end() :]


def with_new_key(text: str, key: str, value: str) -> Iterator[str]:
    """Yield texts that may be the same but for a key that is in it for the first time."""
    gap = "" if text.endswith("\n") or not text else "\n"
    end = "\r\n" if text.endswith("\r\n") else "\n"
    yield f"{text}{gap}{key}: {value}{end}"
    yield re.sub(r"\A\s*\{", lambda brace: f'{brace[0]}"{key}": "{value}", ', text)


def undone(current: str, before: str, after: str) -> str | None:
    """Return the text without the one line's change that made ``after`` of ``before``.

    None where that line is not in it any more, or more than once.
    """
    if current == after:
        return before
    old, new, lines = before.splitlines(), after.splitlines(), current.splitlines(keepends=True)
    at = next((n for n, line in enumerate(new) if n >= len(old) or line != old[n]), None)
    if at is None:
        return None
    places = [n for n, line in enumerate(lines) if line.splitlines()[0] == new[at]]
    if len(places) != 1:
        return None
    place = places[0]
    end = lines[place][len(new[at]) :]
    lines[place] = "" if len(new) > len(old) else old[at] + end
    return "".join(lines)
