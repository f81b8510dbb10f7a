"""The node's kubelet as it is now: its process, and the files that it reads at its start.

No parser of systemd's: units and environment files are searched for the few flags that
matter. All that a process or a file may say is bounded, and never raises.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from dnsguard.core import kubelet
from dnsguard.core.kubelet import DEFAULT, Flags, Kubelet, Setting, Settings
from dnsguard.host import processes, yaml_text
from dnsguard.host.files import read_bounded
from dnsguard.host.processes import Process

UNIT = "kubelet.service"
_UNITS = tuple(
    f"/{place}/systemd/system" for place in ("etc", "run", "usr/local/lib", "usr/lib", "lib")
)
"""systemd.unit(5), the strongest first."""
ENVIRONMENT = (
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/kubernetes/kubelet.env",
    "/etc/default/kubelet",
)
"""kubeadm's, Kubespray's and Debian's, where no unit names others; the last is the operator's."""
CONFIGS = ("/etc/kubernetes/kubelet-config.yaml", "/var/lib/kubelet/config.yaml")
"""Kubespray's place and kubeadm's, where no flag names another."""
_CGROUPS = ("sys/fs/cgroup", "sys/fs/cgroup/systemd")
"""cgroup v2 and v1."""
_NAMES = frozenset({"kubelet"})

SCAN_EVERY = 30.0
"""Seconds between two searches through all processes, for a kubelet that is not systemd's."""
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
    return Lookout(root).look()


class Lookout:
    """Looks again and again, and reads and searches only what has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, _File] = {}
        self._process: Process | None = None
        self._scanned: float | None = None
        self._used: tuple[Process, Setting] | None = None
        """What a process has read at its start."""

    def look(self) -> Kubelet | None:
        """Return the kubelet as it is now, None where the node has none."""
        process = self._find()
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
            where = units.troubles[0].partition(": ")[0]
            unknown = Setting(value=DEFAULT, where=where, name=kubelet.UNREADABLE)
            settings = replace(settings, resolv_conf=unknown)
        config = flags.config.value if flags.config else files.first
        return Kubelet(
            used=used,
            resolv_conf=settings.resolv_conf,
            cluster_dns=settings.cluster_dns,
            cluster_domain=settings.cluster_domain,
            config=config,
            pid=None if process is None else process.pid,
            troubles=(*units.troubles, *files.troubles),
        )

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
            names += self._drop_ins(flags.config_dir.value, files)
        for name in names:
            file = self._file(name, files, is_yaml=True)
            if file is not None:
                files.first = files.first or name
                yield name, _mapping(file.document)

    def _drop_ins(self, directory: str, files: _Read) -> list[str]:
        """Return the files of ``--config-dir`` and below (filepath.WalkDir)."""
        found: list[str] = []
        self._walk(directory, files, found)
        return found

    def _walk(self, directory: str, files: _Read, found: list[str]) -> None:
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
                self._walk(name, files, found)
            elif name.endswith(".conf"):
                found.append(name)

    def _written(self, units: _Read) -> Flags:
        """Return the flags in the unit, its drop-ins, and the environment files of both."""
        found: list[tuple[str, str, str]] = []
        environment: list[str] = []
        for name in self._unit_files():
            text = self._text(name, units)
            found += kubelet.flags_in(text, name)
            environment += kubelet.environment_files(text)
        for name in dict.fromkeys(environment or ENVIRONMENT):
            found += kubelet.flags_in(self._text(name, units), name)
        return Flags.of(found)

    def _unit_files(self) -> list[str]:
        unit = [f"{place}/{UNIT}" for place in _UNITS if self._is_there(f"{place}/{UNIT}")][:1]
        drop_ins: dict[str, str] = {}
        for place in _UNITS:
            directory = f"{place}/{UNIT}.d"
            with suppress(OSError):
                for name in os.listdir(_below(self._root, directory)):  # noqa: PTH208
                    if name.endswith(".conf"):
                        drop_ins.setdefault(name, f"{directory}/{name}")
        return unit + [drop_ins[name] for name in sorted(drop_ins)][:_MOST_FILES]

    def _is_there(self, name: str) -> bool:
        try:
            _below(self._root, name).lstat()
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
        path = _below(self._root, name)
        try:
            status = path.stat()
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
            content = read_bounded(path, _MOST_TEXT + 1)
            document = yaml_text.load(content) if is_yaml and content is not None else None
            file = _File(identity=identity, content=content, document=document)
            self._files[name] = file
        read.is_any = True
        read.changed = max(read.changed, _changed(status))
        if file.content is None or (is_yaml and _mapping(file.document) is None):
            read.troubles.append(f"{name}: {kubelet.UNREADABLE}")
        return file

    def _find(self) -> Process | None:
        """Return kubelet's process; the known one costs one small read."""
        proc, known = self._root / "proc", self._process
        if known is not None and processes.started(proc, known.pid) == known.ticks:
            return known
        self._process = self._of_systemd(proc)
        now = time.monotonic()
        is_due = self._scanned is None or now - self._scanned >= SCAN_EVERY
        if self._process is None and (is_due or known is not None):
            self._scanned = now
            found = [one for one in processes.running(proc, _NAMES) if _is_the_nodes(one)]
            self._process = found[0] if found else None
        return self._process

    def _of_systemd(self, proc: Path) -> Process | None:
        for place in _CGROUPS:
            group = self._root / place / "system.slice" / UNIT / "cgroup.procs"
            for pid in (read_bounded(group, _MOST_TEXT) or b"").split():
                found = processes.process(proc, int(pid))
                if found and found.arguments[0].rpartition("/")[2] in _NAMES:
                    return found
        return None


def _is_the_nodes(process: Process) -> bool:
    """Tell it from a pod's, and from what anybody may call ``kubelet``."""
    return process.uid == 0 and not process.is_nested


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
