"""Files and directories that kubelet or its unit names, read again only when they have changed.

Nothing here raises: what can't be read is a trouble of the :class:`Survey`.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dnsguard.formats import kubelet
from dnsguard.host import yaml_text
from dnsguard.host.files import read_bounded
from dnsguard.host.kubelet_unit import PLACES
from dnsguard.host.patterns import expand_all, find_drop_ins
from dnsguard.host.processes import Process

_READ_AT_START = 0.02
"""Seconds: a start is known to 10 ms, and kubelet's own takes longer than that."""
_MOST_FILES = 64
_DEEPEST = 32
_MOST_TEXT = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as it was read last."""

    identity: tuple[int, ...]
    content: bytes | None = None
    document: object = None


@dataclass(slots=True, kw_only=True)
class Survey:
    """What has been come across while files were read."""

    changed: float = 0.0
    """When the youngest was changed; seconds since the epoch."""
    first: str | None = None
    is_any: bool = False
    troubles: list[str] = field(default_factory=list)

    def is_newer_than(self, process: Process) -> bool:
        return self.changed > process.started + _READ_AT_START


class KubeletFiles:
    """The files below a root, each as it was read last."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._prefix = str(root).rstrip("/")
        self._files: dict[str, File] = {}

    def find_below(self, directory: str, endings: tuple[str, ...], survey: Survey) -> list[str]:
        """Return the files of ``--config-dir`` and below (filepath.WalkDir)."""
        found: list[str] = []
        self._walk(directory, endings, survey, found)
        return found

    def _walk(
        self, directory: str, endings: tuple[str, ...], survey: Survey, found: list[str]
    ) -> None:
        try:
            path = below(self._root, directory)
            survey.changed = max(survey.changed, _find_changed(path.stat()))
            entries = sorted(os.scandir(path), key=lambda entry: os.fsencode(entry.name))
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError) as error:
            survey.troubles.append(f"{directory}: {error}")
            found.append(directory)  # is no file, and so counts as one that can't be read
            return
        for entry in entries:
            if len(found) >= _MOST_FILES or directory.count("/") > _DEEPEST:
                found.append(directory)  # the same: what is in the rest, nobody knows
                return
            name = f"{directory}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                self._walk(name, endings, survey, found)
            elif name.endswith(endings):
                found.append(name)

    def find_matching(self, patterns: Iterable[str]) -> list[str]:
        """Return the files of these patterns; what is none need not exist."""
        paths = expand_all(self._prefix, (one.lstrip("/") for one in patterns))
        return [path.removeprefix(self._prefix) for path in paths]

    def find_unit_files(self, units: Iterable[str]) -> list[str]:
        return [name for unit in units for name in self._find_files_of(unit)]

    def _find_files_of(self, unit: str) -> list[str]:
        files = [f"{place}/{unit}" for place in PLACES if self.is_there(f"{place}/{unit}")][:1]
        drop_ins = find_drop_ins(self._prefix, (f"{place}/{unit}.d" for place in PLACES))
        return files + drop_ins[:_MOST_FILES]

    def is_there(self, name: str) -> bool:
        try:
            os.lstat(f"{self._prefix}/{name.lstrip('/')}")  # 100 of them at each look
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # it may be: os.path.exists() would say no
            return True
        return True

    def read_text(self, name: str, survey: Survey) -> str:
        file = self.read(name, survey)
        return "" if file is None else os.fsdecode(file.content or b"")

    def read(self, name: str, survey: Survey, *, is_yaml: bool = False) -> File | None:
        """Return a file as it is now, read again only when it has changed."""
        path = f"{self._prefix}/{name.lstrip('/')}"
        try:
            status = os.stat(path)  # noqa: PTH116 -- as in is_there()
        except (FileNotFoundError, NotADirectoryError):
            self._files.pop(name, None)
            return None
        except (OSError, ValueError) as error:
            survey.is_any = True
            survey.troubles.append(f"{name}: {error.args[-1]}")
            return File(identity=())
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
            file = File(identity=identity, content=content, document=document)
            self._files[name] = file
        survey.is_any = True
        survey.changed = max(survey.changed, _find_changed(status))
        if file.content is None or (is_yaml and find_mapping(file.document) is None):
            survey.troubles.append(f"{name}: {kubelet.UNREADABLE}")
        return file


def find_mapping(document: object) -> object:
    """Return the document that kubelet reads: the first one of several."""
    first = document[0] if isinstance(document, list) and document else document
    return first if isinstance(first, dict) else None


def _find_changed(status: os.stat_result) -> float:
    """Return when a file came to be what it is: mtime alone is kept by a rename and a copy."""
    return max(status.st_mtime, status.st_ctime)


def below(root: Path, name: str) -> Path:
    return root / name.lstrip("/")
