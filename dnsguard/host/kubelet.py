"""The node's kubelet as it is now: its process, and the files that it reads at its start.

It may be inside another program (:mod:`dnsguard.formats.embedded_kubelet`). No parser of
systemd's: units and environment files are searched for the few flags that matter. All that
a process or a file may say is bounded, and never raises.
"""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dnsguard.formats import embedded_kubelet, kubelet
from dnsguard.formats.embedded_kubelet import DATA_DIR_FLAG, DISTRIBUTIONS, Distribution, Flag
from dnsguard.formats.kubelet import DEFAULT, Flags, Kubelet, Setting, Settings
from dnsguard.host.kubelet_files import KubeletFiles, Survey, below, find_mapping
from dnsguard.host.kubelet_process import UNIT, Finder, distribution_of
from dnsguard.host.kubelet_unit import K0S, RKE2, find_unit
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


def read_kubelet(root: Path) -> Kubelet | None:
    """Return what is known at first sight. Never raises OSError."""
    reader = KubeletReader(root)
    reader.search()
    return reader.read()


class KubeletReader:
    """Looks again and again, and reads and searches only what has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files = KubeletFiles(root)
        self._finder = Finder(root)
        self._used: tuple[Process, Setting] | None = None
        """What a process has read at its start."""
        self._last: Kubelet | None = None
        self._unit: tuple[Process, str] | None = None
        """Whose service a process is."""

    def read(self) -> Kubelet | None:
        """Return the kubelet as it is now, None where the node has none.

        One that was there and left no file is being restarted for all that is known.
        """
        found = self._read(self._finder.find())
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

    def explain_doubt(self) -> str | None:
        """Return why there may be a kubelet though :meth:`read` has found none, for people."""
        if self._last is not None:
            return None
        if not self._finder.has_searched:
            return "the node's processes are still being searched for a kubelet"
        sign = next((one for one in SIGNS if self._files.is_there(one)), None)
        return sign and f"no kubelet is understood here, but there is {sign}; {_REMEDY}"

    def _read(self, process: Process | None) -> Kubelet | None:
        if process is None:
            kept = (self._read_embedded(one, None) for one in DISTRIBUTIONS)
            return self._read_own(None) or next((one for one in kept if one is not None), None)
        distribution = distribution_of(process)
        return (
            self._read_embedded(distribution, process) if distribution else self._read_own(process)
        )

    def _find_unit_of(self, process: Process | None, likely: Iterable[str]) -> str:
        if process is None:
            return find_unit(self._root, None, likely)
        if self._unit is None or self._unit[0] != process:
            self._unit = (process, find_unit(self._root, process.pid, likely))
        return self._unit[1]

    def _read_own(self, process: Process | None) -> Kubelet | None:
        """Return a kubelet that is its own program."""
        units, files = Survey(), Survey()
        flags = self._find_written(units)
        used = None
        if process is not None:
            where = f"kubelet's command line (pid {process.pid})"
            told = Flags.of(kubelet.read_flags(process.arguments[1:], where))
            used = self._find_in_use(process, told)
            if not units.is_newer_than(process):  # what it runs with is what is written
                flags = _attribute(told, flags)
        settings = self._merge(flags, files, is_running=process is not None)
        if process is None and not (units.is_any or files.is_any):
            return None
        if units.troubles and (process is None or units.is_newer_than(process)):
            # It may hold the flag that counts.
            settings = replace(settings, resolv_conf=_make_unknown(units))
        config = flags.config.value if flags.config else files.first
        is_k0s = (config or "").startswith(_K0S_PLACES)
        unit = self._find_unit_of(process, K0S if is_k0s else ())
        return Kubelet(
            used=used,
            resolv_conf=settings.resolv_conf,
            cluster_dns=settings.cluster_dns,
            cluster_domain=settings.cluster_domain,
            config=config,
            pid=None if process is None else process.pid,
            troubles=(*units.troubles, *files.troubles),
            remedy=_K0S if is_k0s else _RKE2 if process and unit in RKE2 else None,
            unit=unit,
        )

    def _read_embedded(self, distribution: Distribution, process: Process | None) -> Kubelet | None:
        """Return a kubelet inside another program, which reads all its files at its start."""
        read = Survey()
        found = list(self._find_told(distribution, read))
        found += self._find_drop_ins(distribution, found, read)
        if process is None and not read.is_any:
            return None
        setting = embedded_kubelet.find_resolv_conf(distribution, found)
        if read.troubles:
            setting = _make_unknown(read)
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
            unit=self._find_unit_of(process, distribution.units),
        )

    def _find_told(self, distribution: Distribution, read: Survey) -> Iterator[Flag]:
        """Yield what the program is told in units, environment files and configuration."""
        configs = list(distribution.configs)
        if distribution.config_dir is not None:
            configs += self._files.find_below(distribution.config_dir, (".yaml", ".yml"), read)
        units = [f"{unit}.service" for unit in distribution.units]
        texts = self._files.find_matching(distribution.texts)
        for name in dict.fromkeys((*self._files.find_unit_files(units), *texts)):
            text = self._files.read_text(name, read)
            yield from embedded_kubelet.find_flags(text, name)
            if distribution.configs:
                configs += embedded_kubelet.find_configs(text)
        for name in dict.fromkeys(configs):
            file = self._files.read(name, read, is_yaml=True)
            if file is not None:
                yield from embedded_kubelet.read_flags(find_mapping(file.document), name)

    def _find_drop_ins(
        self, distribution: Distribution, told: Iterable[Flag], read: Survey
    ) -> Iterator[Flag]:
        """Yield what kubelet's own drop-ins say, wherever the program keeps them."""
        moved = [value for flag, value, _ in told if flag == DATA_DIR_FLAG]
        places = [one.rstrip("/") for one in (distribution.data_dir, *moved) if one]
        for place in dict.fromkeys(places):
            for name in self._files.find_matching([f"{place}/{distribution.drop_ins}"]):
                is_own = name == f"{place}/{distribution.own_drop_in}"
                file = None if is_own else self._files.read(name, read, is_yaml=True)
                if file is not None:
                    yield from embedded_kubelet.read_drop_in(find_mapping(file.document), name)

    def _find_in_use(self, process: Process, told: Flags) -> Setting | None:
        """Return what the process hands to pods, None where nobody knows any more."""
        files = Survey()
        setting = self._merge(told, files, is_running=True).resolv_conf
        if setting.is_flag or not files.is_newer_than(process):
            self._used = (process, setting)
            return setting
        if self._used is not None and self._used[0] == process:
            return self._used[1]
        return None

    def _merge(self, flags: Flags, files: Survey, *, is_running: bool) -> Settings:
        settings = kubelet.merge(flags, self._read_documents(flags, files, is_running=is_running))
        named = settings.resolv_conf
        if _is_default(self._root, named.value):
            named = replace(named, value=DEFAULT)
        return replace(settings, resolv_conf=named)

    def _read_documents(
        self, flags: Flags, files: Survey, *, is_running: bool
    ) -> Iterator[tuple[str, object]]:
        """Yield the configuration file and its drop-ins, the weakest first."""
        if flags.config is not None:
            names = [flags.config.value]
        else:
            names = [] if is_running else [one for one in CONFIGS if self._files.is_there(one)][:1]
        if flags.config_dir is not None:
            names += self._files.find_below(flags.config_dir.value, (".conf",), files)
        for name in names:
            file = self._files.read(name, files, is_yaml=True)
            if file is not None:
                files.first = files.first or name
                yield name, find_mapping(file.document)

    def _find_written(self, units: Survey) -> Flags:
        """Return the flags in the unit, its drop-ins, and the environment files of both."""
        found: list[tuple[str, str, str]] = []
        environment: list[str] = []
        for name in self._files.find_unit_files((UNIT,)):
            text = self._files.read_text(name, units)
            found += kubelet.find_flags_in(text, name)
            environment += kubelet.find_environment_files(text)
        for name in dict.fromkeys(environment or ENVIRONMENT):
            found += kubelet.find_flags_in(self._files.read_text(name, units), name)
        return Flags.of(found)


_REMEDY = 'remedy: handover.mode = "always" once pods get real upstreams'
_K0S_PLACES = ("/var/lib/k0s/", "/run/k0s/")
_K0S = (
    "k0s writes its kubelet's configuration anew at each start: have k0s started with"
    f" --kubelet-extra-args={kubelet.RESOLV_CONF_FLAG}={embedded_kubelet.POD_FILE}"
)
# RKE2 writes its kubelet's 00-rke2-defaults.conf anew as well; up to 1.31 it gives it a flag.
_RKE2 = f"set resolv-conf to {embedded_kubelet.POD_FILE} in /etc/rancher/rke2/config.yaml"


def _make_unknown(read: Survey) -> Setting:
    where = read.troubles[0].partition(": ")[0]
    return Setting(value=DEFAULT, where=where, name=kubelet.UNREADABLE)


def _attribute(told: Flags, written: Flags) -> Flags:
    """Return what the process was told, with the file's name where a file says the same."""

    def of(one: Setting | None, other: Setting | None) -> Setting | None:
        return other if one and other and one.value == other.value else one

    return replace(
        told,
        config=of(told.config, written.config),
        resolv_conf=of(told.resolv_conf, written.resolv_conf),
        cluster_domain=of(told.cluster_domain, written.cluster_domain),
    )


def _is_default(root: Path, name: str) -> bool:
    """Tell whether the name, a link or a link's target leads to /etc/resolv.conf."""
    try:
        return os.path.realpath(below(root, name)) == os.path.realpath(below(root, DEFAULT))
    except ValueError:  # a NUL: no file's name
        return True
