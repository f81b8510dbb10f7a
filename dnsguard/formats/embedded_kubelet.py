"""A kubelet inside another program: it has no process of that name and files of its own.

k3s and MicroK8s are such. (RKE2 and k0s start a kubelet of its own name with flags, which is
found like any other.) Texts and documents in, settings out; the files are read elsewhere.

k3s without an option of its own takes /etc/resolv.conf, where that names no loopback and no
link-local address at its start, else systemd-resolved's file, else one with 8.8.8.8
(locateOrGenerateResolvConf()). Which one it was, and which one it will be, nobody can tell
from outside: it counts as /etc/resolv.conf, which is the dangerous one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dnsguard.formats import kubelet
from dnsguard.formats.kubelet import DEFAULT, FLAGS_OF_KEYS, RESOLV_CONF_FLAG, UNREADABLE, Setting

Flag = tuple[str, str, str]
"""Flag, value and where it stands, as of :func:`dnsguard.formats.kubelet.find_flags_in`."""
POD_FILE = "/var/lib/dnsguard/resolv.conf"

_COMMENT = re.compile(r"^[ \t]*[#;].*$", re.MULTILINE)
_QUOTES = str.maketrans("", "", "'\"")
_IS = r"(?:=|(?:[ \t]|\\\n)+)"
_ARGUMENT = rf"--kubelet-arg{_IS}(?:--)?"
_PASSED_ON = re.compile(_ARGUMENT + r"(?=(?:resolv[-_]conf|cluster[-_](?:dns|domain))\b)")
_CONFIG_OF_KUBELET = re.compile(_ARGUMENT + r"(config(?:[-_]dir)?)=")
_VARIABLE = re.compile(r"(?<!\w)K3S_RESOLV_CONF=")
_CONFIG = re.compile(rf"(?:(?<!\w)K3S_CONFIG_FILE=|(?<![\w-])--config{_IS})(/\S*)")
_OTHER_CONFIG = "kubelet-arg"
_DATA_DIR = re.compile(rf"(?:(?<!\w)K3S_DATA_DIR=|(?<![\w-])(?:--data-dir|-d){_IS})(/\S*)")
DATA_DIR_FLAG = "--data-dir"
_OPTIONS = ("resolv-conf", "cluster-dns", "cluster-domain", "data-dir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A program with a kubelet in it, and where it is told what to do."""

    name: str
    programs: frozenset[str]
    """What its process is called."""
    units: tuple[str, ...] = ()
    """The one that is there runs it."""
    texts: tuple[str, ...] = ()
    """Patterns of files with flags and variables."""
    configs: tuple[str, ...] = ()
    """YAML with its options as keys."""
    config_dir: str | None = None
    """With more of those."""
    data_dir: str = ""
    """Where it keeps its own, unless told otherwise."""
    drop_ins: str = ""
    """There: pattern of KubeletConfigurations that kubelet reads beside what it is told."""
    own_drop_in: str = ""
    """There: the one that it writes itself, at each start, from what it is told."""
    cluster_dns: str
    """Where it puts cluster DNS unless told otherwise."""
    remedy: str
    """How pods get the file that dnsguard keeps for them, once it has been restarted."""


K3S = Distribution(
    name="k3s",
    # The wrapper, what it runs, and the title that hides the token.
    programs=frozenset({"k3s", "k3s-server", "k3s-agent", "k3s server", "k3s agent"}),
    units=("k3s", "k3s-agent"),
    # Units of other names too, as INSTALL_K3S_NAME makes them (install.sh), and their variables.
    texts=(
        "/etc/systemd/system/k3s-*.service",
        "/etc/systemd/system/k3s-*.service.d/*.conf",
        *(
            f"/etc/{place}"
            for one in ("k3s", "k3s-*")
            for place in (f"systemd/system/{one}.service.env", f"default/{one}", f"sysconfig/{one}")
        ),
    ),
    configs=("/etc/rancher/k3s/config.yaml",),
    config_dir="/etc/rancher/k3s/config.yaml.d",
    # Since 1.32, and stronger (docs.k3s.io, "Kubelet Configuration Files").
    data_dir="/var/lib/rancher/k3s",
    drop_ins="agent/etc/kubelet.conf.d/*.conf",
    own_drop_in="agent/etc/kubelet.conf.d/00-k3s-defaults.conf",
    cluster_dns="10.43.0.10",
    remedy=f"set resolv-conf to {POD_FILE} in /etc/rancher/k3s/config.yaml",
)
MICROK8S = Distribution(
    name="MicroK8s",
    programs=frozenset({"kubelite"}),
    units=("snap.microk8s.daemon-kubelite",),
    texts=("/var/snap/microk8s/current/args/kubelet",),
    cluster_dns="10.152.183.10",
    remedy=f"set {RESOLV_CONF_FLAG}={POD_FILE} in /var/snap/microk8s/current/args/kubelet",
)
DISTRIBUTIONS = (K3S, MICROK8S)
PROGRAMS = frozenset(name for one in DISTRIBUTIONS for name in one.programs)


def has_kubelet(arguments: Sequence[str]) -> bool:
    """Tell a node's daemon from the commands that share its name (``k3s kubectl``)."""
    is_shared = arguments[0].rpartition("/")[2] == "k3s"
    return not is_shared or bool({"server", "agent"}.intersection(arguments[1:]))


def find_flags(text: str, where: str) -> Iterator[Flag]:
    """Yield what a unit, an environment file or a file of flags says that matters."""
    plain = _VARIABLE.sub(f"{RESOLV_CONF_FLAG}=", _unquote(text))
    for match in _DATA_DIR.finditer(plain):
        yield DATA_DIR_FLAG, match[1], where
    for match in _CONFIG_OF_KUBELET.finditer(plain):
        yield _OTHER_CONFIG, match[1], where
    yield from kubelet.find_flags_in(_PASSED_ON.sub("--", plain), where)


def find_configs(text: str) -> list[str]:
    """Return the configuration files that such a text names."""
    return _CONFIG.findall(_unquote(text))


def _unquote(text: str) -> str:
    return _COMMENT.sub("", text).translate(_QUOTES)


def read_flags(document: object, where: str) -> Iterator[Flag]:
    """Yield the same of a configuration: each option is a key, a list where it is repeated."""
    for key, text in _find_texts(document):
        option = key.removesuffix("+")
        if option in _OPTIONS:
            yield f"--{option}", text, where
        elif option == "kubelet-arg":
            yield from find_flags(f"--kubelet-arg={text}", where)


def read_drop_in(document: object, where: str) -> Iterator[Flag]:
    """Yield the same of a KubeletConfiguration."""
    for key, text in _find_texts(document):
        if key in FLAGS_OF_KEYS:
            yield FLAGS_OF_KEYS[key], text, where


def _find_texts(document: object) -> Iterator[tuple[str, str]]:
    """Yield keys and texts of a mapping, those of a list one after the other."""
    for key, value in document.items() if isinstance(document, Mapping) else ():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield str(key), one


def find_resolv_conf(distribution: Distribution, found: Sequence[Flag]) -> Setting:
    """Return the file that pods get.

    The last word of a file counts, and where files disagree, nobody can tell. Nor where kubelet is
    given a configuration of its own: k3s puts it in the place of the one that holds what k3s was
    told itself (pkg/daemons/agent, extractConfigArgs).
    """
    for flag, value, where in found:
        if flag == _OTHER_CONFIG:
            return Setting(value=DEFAULT, where=where, name=f"{flag} {value}")
    last = {where: value for flag, value, where in found if flag == RESOLV_CONF_FLAG}
    if not last:
        return Setting(value=DEFAULT, where=f"{distribution.name}'s default")
    where, value = next(iter(last.items()))
    other = next((one for one, said in last.items() if said != value), None)
    if other is not None:
        return Setting(value=DEFAULT, where=where, name=f"{other} says otherwise")
    if not value.startswith("/") or "$" in value:
        return Setting(value=DEFAULT, where=where, name=UNREADABLE)
    return Setting(value=value, where=where, name=RESOLV_CONF_FLAG)
