"""Read the file that pods get, whoever keeps it, at every look: again only when it changed."""

import os
from contextlib import suppress
from pathlib import Path

from dnsguard.core.observation import MAX_FILE, PodsFile
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.host.files import read_bounded
from dnsguard.host.resolvfile import try_identity

_RESOLVED = "run/systemd/resolve/"


class PodsFileReader:
    """Looks at the file that kubelet names."""

    def __init__(self, root: Path, resolv_conf: Path) -> None:
        self._root = root
        self._resolv_conf = resolv_conf
        self._name, self._path = "", root
        self._last: tuple[tuple[object, ...], PodsFile] | None = None

    def read(self, name: str) -> PodsFile:
        """Return what pods would get now. Never raises OSError."""
        if name != self._name:
            self._name, self._path = name, self._root / name.lstrip("/")
        path = self._path
        version = (
            name,
            try_identity(path),
            try_identity(self._resolv_conf),
            _read_link(self._resolv_conf),
        )
        if self._last is None or self._last[0] != version:
            self._last = (version, self._read(name, path))
        return self._last[1]

    def _read(self, name: str, path: Path) -> PodsFile:
        is_same = False
        with suppress(OSError):
            is_same = path.samefile(self._resolv_conf)
        is_resolveds = self._is_made_by_resolved(path)
        # Where resolv.conf is none of its own files, it makes them of that one
        # (systemd-resolved.service(8), /ETC/RESOLV.CONF, the last way).
        is_copy = is_resolveds and not self._is_made_by_resolved(self._resolv_conf)
        return PodsFile(
            path=name,
            nameservers=_find_nameservers(path),
            follows=is_same or is_copy,
            is_resolveds=is_resolveds,
        )

    def _is_made_by_resolved(self, path: Path) -> bool:
        places = os.path.realpath(self._root / _RESOLVED), f"/{_RESOLVED.rstrip('/')}"
        return os.path.dirname(os.path.realpath(path)) in places  # noqa: PTH120 -- beside realpath


def _find_nameservers(path: Path) -> tuple[IPAddress, ...] | None:
    content = read_bounded(path, MAX_FILE + 1)
    return None if content is None else resolvconf.read_addresses(content)


def _read_link(path: Path) -> str | None:
    with suppress(OSError):
        return os.readlink(path)  # noqa: PTH115 -- once a second
    return None
