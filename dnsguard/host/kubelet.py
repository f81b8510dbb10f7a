"""The node's kubelet as it is now: its process, and the files that it reads at its start.

It may be inside another program (:mod:`dnsguard.core.embedded`). No parser of systemd's: units and environment files are searched for the few flags that
matter. All that a process or a file may say is bounded, and never raises.
"""

import math
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from dnsguard.core import embedded, kubelet
from dnsguard.core.embedded import DISTRIBUTIONS, Distribution, Flag
from dnsguard.core.kubelet import DEFAULT, Flags, Kubelet, Setting, Settings
from dnsguard.host import yaml_text
from dnsguard.host.files import read_bounded
from dnsguard.host.kubelet_process import UNIT, Finder, distribution_of
from dnsguard.host.kubelet_unit import K0S, PLACES, find_unit
from dnsguard.host.processes import Process

ENVIRONMENT = (
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/kubernetes/kubelet.env",
    "/etc/default/kubelet",
)
"""kubeadm's, Kubespray's and Debian's, where no unit names others; the last is the operator's."""
CONFIGS = (
    "/etc/kubernetes/kubelet-config.yaml",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/k0s/kubelet-config.yaml",
)
"""Kubespray's place, kubeadm's and k0s's, where no flag names another."""
SIGNS = (
    *(f"/run/{name}" for name in ("containerd/containerd.sock", "crio/crio.sock")),
    *(f"/run/{name}" for name in ("cri-dockerd.sock", "docker.sock", "k3s", "k0s")),
    *(f"/var/lib/{name}" for name in ("rancher/k3s", "rancher/rke2", "k0s", "kubelet")),
    *("/var/snap/microk8s", "/etc/rancher", "/etc/k0s", "/etc/kubernetes"),
)
"""A container runtime's, and what a cluster leaves on its nodes: somebody starts pods here."""
_READ_AT_START = 0.02
"""Seconds: a start is known to 10 ms, and kubelet's own takes longer than that."""
_MOST_FILES = 64
_DEEPEST = 32
_MOST_TEXT = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file as it was read last."""

    identity: tuple[int, ...]
    content: bytes | None = None
    document: object = None


@dataclass(slots=True, kw_only=True)
class _Read:
    """What has been come across while files were read."""

    changed: float = 0.0
    """When the youngest was changed; seconds since the epoch."""
    first: str | None = None
    is_any: bool = False
    troubles: list[str] = field(default_factory=list)

    def is_newer_than(self, process: Process) -> bool:
        return self.changed > process.started + _READ_AT_START


def look(root: Path) -> Kubelet | None:
    """Return what is known at first sight. Never raises OSError."""
    lookout = Lookout(root)
    lookout.search()
    return lookout.look()


class Lookout:
    """Looks again and again, and reads and searches only what has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._prefix = str(root).rstrip("/")
        self._files: dict[str, _File] = {}
        self._finder = Finder(root)
        self._used: tuple[Process, Setting] | None = None
        """What a process has read at its start."""
        self._last: Kubelet | None = None
        self._unit: tuple[Process, str] | None = None
        """Whose service a process is."""

    def look(self) -> Kubelet | None:
        """Return the kubelet as it is now, None where the node has none.

        One that was there and left no file is being restarted for all that is known.
        """
        found = self._look(self._finder.find())
        if found is None and self._last is not None:
            return replace(self._last, used=None, pid=None)
        self._last = found
        return found

    @property
    def is_search_due(self) -> bool:
        return self._finder.is_due

    def search(self, seconds: float = math.inf) -> bool:
        """Search for its process for about so long; return whether there is more to search."""
        return self._finder.search(seconds)

    def doubt(self) -> str | None:
        """Return why there may be a kubelet though :meth:`look` has found none, for people."""
        if self._last is not None:
            return None
        if not self._finder.has_searched:
            return "the node's processes are still being searched for a kubelet"
        sign = next((one for one in SIGNS if self._is_there(one)), None)
        return sign and f"no kubelet is understood here, but there is {sign}; {_REMEDY}"

    def _look(self, process: Process | None) -> Kubelet | None:
        if process is None:
            kept = (self._embedded(one, None) for one in DISTRIBUTIONS)
            return self._own(None) or next((one for one in kept if one is not None), None)
        distribution = distribution_of(process)
        return self._embedded(distribution, process) if distribution else self._own(process)

    def _unit_of(self, process: Process | None, likely: Iterable[str]) -> str:
        if process is None:
            return find_unit(self._root, None, likely)
        if self._unit is None or self._unit[0] != process:
            self._unit = (process, find_unit(self._root, process.pid, likely))
        return self._unit[1]

    def _own(self, process: Process | None) -> Kubelet | None:
        """Return a kubelet that is its own program."""
        units, files = _Read(), _Read()
        flags = self._written(units)
        used = None
        if process is not None:
            where = f"kubelet's command line (pid {process.pid})"
            told = Flags.of(kubelet.flags_of(process.arguments[1:], where))
            used = self._in_use(process, told)
            if not units.is_newer_than(process):  # what it runs with is what is written
                flags = _attributed(told, flags)
        settings = self._settings(flags, files, is_running=process is not None)
        if process is None and not (units.is_any or files.is_any):
            return None
        if units.troubles and (process is None or units.is_newer_than(process)):
            # It may hold the flag that counts.
            settings = replace(settings, resolv_conf=_unknown(units))
        config = flags.config.value if flags.config else files.first
        is_k0s = (config or "").startswith(_K0S_PLACES)
        return Kubelet(
            used=used,
            resolv_conf=settings.resolv_conf,
            cluster_dns=settings.cluster_dns,
            cluster_domain=settings.cluster_domain,
            config=config,
            pid=None if process is None else process.pid,
            troubles=(*units.troubles, *files.troubles),
            remedy=_K0S if is_k0s else None,
            unit=self._unit_of(process, K0S if is_k0s else ()),
        )

    def _embedded(self, distribution: Distribution, process: Process | None) -> Kubelet | None:
        """Return a kubelet inside another program, which reads all its files at its start."""
        read = _Read()
        found = list(self._told(distribution, read))
        if process is None and not read.is_any:
            return None
        setting = embedded.resolv_conf(distribution, found)
        if read.troubles:
            setting = _unknown(read)
        elif _is_default(self._root, setting.value):
            setting = replace(setting, value=DEFAULT)
        if process is not None and not read.is_newer_than(process):
            self._used = (process, setting)
        is_known = process is not None and self._used is not None and self._used[0] == process
        flags = Flags.of(found)
        dns = Setting(value=distribution.cluster_dns, where=f"{distribution.name}'s default")
        return Kubelet(
            used=self._used[1] if self._used is not None and is_known else None,
            resolv_conf=setting,
            cluster_dns=flags.cluster_dns or (dns,),
            cluster_domain=flags.cluster_domain,
            pid=None if process is None else process.pid,
            troubles=tuple(read.troubles),
            remedy=distribution.remedy,
            unit=self._unit_of(process, distribution.units),
        )

    def _told(self, distribution: Distribution, read: _Read) -> Iterator[Flag]:
        """Yield what the program is told in units, environment files and configuration."""
        configs = list(distribution.configs)
        if distribution.config_dir is not None:
            configs += self._below(distribution.config_dir, (".yaml", ".yml"), read)
        units = [f"{unit}.service" for unit in distribution.units]
        for name in (*self._unit_files(units), *distribution.texts):
            text = self._text(name, read)
            yield from embedded.flags_in(text, name)
            if distribution.configs:
                configs += embedded.configs_in(text)
        for name in dict.fromkeys(configs):
            file = self._file(name, read, is_yaml=True)
            if file is not None:
                yield from embedded.flags_of(_mapping(file.document), name)

    def _in_use(self, process: Process, told: Flags) -> Setting | None:
        """Return what the process hands to pods, None where nobody knows any more."""
        files = _Read()
        setting = self._settings(told, files, is_running=True).resolv_conf
        if setting.is_flag or not files.is_newer_than(process):
            self._used = (process, setting)
            return setting
        if self._used is not None and self._used[0] == process:
            return self._used[1]
        return None

    def _settings(self, flags: Flags, files: _Read, *, is_running: bool) -> Settings:
        settings = kubelet.merge(flags, self._documents(flags, files, is_running=is_running))
        named = settings.resolv_conf
        if _is_default(self._root, named.value):
            named = replace(named, value=DEFAULT)
        return replace(settings, resolv_conf=named)

    def _documents(
        self, flags: Flags, files: _Read, *, is_running: bool
    ) -> Iterator[tuple[str, object]]:
        """Yield the configuration file and its drop-ins, the weakest first."""
        if flags.config is not None:
            names = [flags.config.value]
        else:
            names = [] if is_running else [one for one in CONFIGS if self._is_there(one)][:1]
        if flags.config_dir is not None:
            names += self._below(flags.config_dir.value, (".conf",), files)
        for name in names:
            file = self._file(name, files, is_yaml=True)
            if file is not None:
                files.first = files.first or name
                yield name, _mapping(file.document)

    def _below(self, directory: str, endings: tuple[str, ...], files: _Read) -> list[str]:
        """Return the files of ``--config-dir`` and below (filepath.WalkDir)."""
        found: list[str] = []
        self._walk(directory, endings, files, found)
        return found

    def _walk(
        self, directory: str, endings: tuple[str, ...], files: _Read, found: list[str]
    ) -> None:
        try:
            path = _below(self._root, directory)
            files.changed = max(files.changed, _changed(path.stat()))
            entries = sorted(os.scandir(path), key=lambda entry: os.fsencode(entry.name))
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError) as error:
            files.troubles.append(f"{directory}: {error}")
            found.append(directory)  # is no file, and so counts as one that can't be read
            return
        for entry in entries:
            if len(found) >= _MOST_FILES or directory.count("/") > _DEEPEST:
                found.append(directory)  # the same: what is in the rest, nobody knows
                return
            name = f"{directory}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                self._walk(name, endings, files, found)
            elif name.endswith(endings):
                found.append(name)

    def _written(self, units: _Read) -> Flags:
        """Return the flags in the unit, its drop-ins, and the environment files of both."""
        found: list[tuple[str, str, str]] = []
        environment: list[str] = []
        for name in self._unit_files((UNIT,)):
            text = self._text(name, units)
            found += kubelet.flags_in(text, name)
            environment += kubelet.environment_files(text)
        for name in dict.fromkeys(environment or ENVIRONMENT):
            found += kubelet.flags_in(self._text(name, units), name)
        return Flags.of(found)

    def _unit_files(self, units: Iterable[str]) -> list[str]:
        return [name for unit in units for name in self._files_of(unit)]

    def _files_of(self, unit: str) -> list[str]:
        files = [f"{place}/{unit}" for place in PLACES if self._is_there(f"{place}/{unit}")][:1]
        drop_ins: dict[str, str] = {}
        for place in PLACES:
            directory = f"{place}/{unit}.d"
            with suppress(OSError):
                for name in os.listdir(self._prefix + directory):  # noqa: PTH208
                    if name.endswith(".conf"):
                        drop_ins.setdefault(name, f"{directory}/{name}")
        return files + [drop_ins[name] for name in sorted(drop_ins)][:_MOST_FILES]

    def _is_there(self, name: str) -> bool:
        try:
            os.lstat(f"{self._prefix}/{name.lstrip('/')}")  # 100 of them at each look
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # it may be: os.path.exists() would say no
            return True
        return True

    def _text(self, name: str, read: _Read) -> str:
        file = self._file(name, read)
        return "" if file is None else os.fsdecode(file.content or b"")

    def _file(self, name: str, read: _Read, *, is_yaml: bool = False) -> _File | None:
        """Return a file as it is now, read again only when it has changed."""
        path = f"{self._prefix}/{name.lstrip('/')}"
        try:
            status = os.stat(path)  # noqa: PTH116 -- as in _is_there()
        except (FileNotFoundError, NotADirectoryError):
            self._files.pop(name, None)
            return None
        except (OSError, ValueError) as error:
            read.is_any = True
            read.troubles.append(f"{name}: {error.args[-1]}")
            return _File(identity=())
        if stat.S_ISCHR(status.st_mode):  # /dev/null: masked (systemd.unit(5))
            return None
        identity = (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
        file = self._files.get(name)
        if file is None or file.identity != identity:
            content = read_bounded(Path(path), _MOST_TEXT + 1)
            document = yaml_text.load(content) if is_yaml and content is not None else None
            file = _File(identity=identity, content=content, document=document)
            self._files[name] = file
        read.is_any = True
        read.changed = max(read.changed, _changed(status))
        if file.content is None or (is_yaml and _mapping(file.document) is None):
            read.troubles.append(f"{name}: {kubelet.UNREADABLE}")
        return file


_REMEDY = 'remedy: handover.mode = "always" once pods get real upstreams'
_K0S_PLACES = ("/var/lib/k0s/", "/run/k0s/")
_K0S = (
    "k0s writes its kubelet's configuration anew at each start: have k0s started with"
    f" --kubelet-extra-args={kubelet.RESOLV_CONF_FLAG}={embedded.POD_FILE}"
)


def _unknown(read: _Read) -> Setting:
    where = read.troubles[0].partition(": ")[0]
    return Setting(value=DEFAULT, where=where, name=kubelet.UNREADABLE)


def _attributed(told: Flags, written: Flags) -> Flags:
    """Return what the process was told, with the file's name where a file says the same."""

    def of(one: Setting | None, other: Setting | None) -> Setting | None:
        return other if one and other and one.value == other.value else one

    return replace(
        told,
        config=of(told.config, written.config),
        resolv_conf=of(told.resolv_conf, written.resolv_conf),
        cluster_domain=of(told.cluster_domain, written.cluster_domain),
    )


def _mapping(document: object) -> object:
    """Return the document that kubelet reads: the first one of several."""
    first = document[0] if isinstance(document, list) and document else document
    return first if isinstance(first, dict) else None


def _changed(status: os.stat_result) -> float:
    """Return when a file came to be what it is: mtime alone is kept by a rename and a copy."""
    return max(status.st_mtime, status.st_ctime)


def _is_default(root: Path, name: str) -> bool:
    """Tell whether the name, a link or a link's target leads to /etc/resolv.conf."""
    try:
        return os.path.realpath(_below(root, name)) == os.path.realpath(_below(root, DEFAULT))
    except ValueError:  # a NUL: no file's name
        return True


def _below(root: Path, name: str) -> Path:
    return root / name.lstrip("/")
