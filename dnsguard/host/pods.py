"""A process in a pod: which pod, and what files, addresses and sockets it has (proc(5)).

``process`` is always its directory, ``/proc/PID``. Its files are opened as it would open
them: a symbolic link in a container ends in the container, never on the node.
"""

import ctypes
import errno
import os
import posixpath
import re
import stat
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from dnsguard.formats.address import IPAddress, plain
from dnsguard.host import trust
from dnsguard.host.files import read_bounded

MOST_BYTES = 1 << 16
MOST_TABLE = 8 << 20
"""Of a table of the kernel's: some nodes have many addresses and sockets."""
MOST_FILES = 64

_LOCAL = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")
_OPENAT2 = 437
_NO_MAGICLINKS, _IN_ROOT = 0x02, 0x10
"""openat2(2), since Linux 5.6: the number is the same on every architecture."""
_UNCONNECTED, _LISTEN = "07", "0A"
_LOOPED = re.compile(
    rb"""^(?:\S+ std(?:out|err) [FP] |\{"log":")?(?:\d\S* )*\[FATAL\] plugin/loop: Loop \(""",
    re.MULTILINE,
)
"""The last words of a CoreDNS whose ``loop`` plugin has seen its own question, as the CRI and
as Docker keep them. A line of their own: CoreDNS logs names, and who asks chooses those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod as kubelet's directories name it."""

    name: str
    namespace: str
    uid: str


def find_known(root: Path) -> dict[str, Pod]:
    """Return the pods that kubelet keeps logs of, by uid."""
    found = trust.find_pods(root)
    return {uid: Pod(name=name, namespace=namespace, uid=uid) for namespace, name, uid, _ in found}


def find_looped(root: Path, containers: Iterable[str], running: Iterable[str]) -> tuple[Pod, ...]:
    """Return kube-system's pods whose ``loop`` plugin ended them, and that don't run now.

    :param containers: the names that count.
    :param running: the uids of those that run.
    """
    up, names = set(running), list(containers)
    return tuple(
        Pod(name=name, namespace=namespace, uid=uid)
        for namespace, name, uid, logs in trust.find_pods(root)
        if namespace == trust.SYSTEM and uid not in up
        if any(_is_looped(logs / container) for container in names)
    )


def _is_looped(container: Path) -> bool:
    with suppress(OSError):
        newest = max(container.glob("*.log"), key=lambda path: path.stat().st_mtime, default=None)
        if newest is not None:
            return bool(_LOOPED.search(read_bounded(newest, MOST_BYTES, tail=True) or b""))
    return False


def read(process: Path, path: str) -> tuple[bytes, float]:
    """Return a regular file as the process sees it, and when it changed.

    :param path: relative to its working directory unless it is absolute.
    :raises OSError: it can't be read.
    """
    with _Opened(process, path) as descriptor:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return os.read(descriptor, MOST_BYTES), found.st_mtime


def find_matching(process: Path, pattern: str) -> Iterator[bytes]:
    """Yield the files that a pattern of Corefile's ``import`` names; what can't be read is left out."""
    directory, name = posixpath.split(pattern)
    with suppress(OSError):
        with _Opened(process, directory, os.O_DIRECTORY) as descriptor:
            found = [one for one in os.listdir(descriptor) if fnmatch(one, name)]  # noqa: PTH208
        for one in sorted(found)[:MOST_FILES]:
            with suppress(OSError):
                yield read(process, posixpath.join(directory, one))[0]


class _Opened:
    """A file of the process, open."""

    def __init__(self, process: Path, path: str, flags: int = 0) -> None:
        self._process, self._path, self._flags = process, path, flags

    def __enter__(self) -> int:
        here = str((self._process / "cwd").readlink())
        root = os.open(self._process / "root", os.O_PATH | os.O_CLOEXEC)
        try:
            self._descriptor = _open_in(root, posixpath.join(here, self._path), self._flags)
        finally:
            os.close(root)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _open_in(root: int, path: str, flags: int) -> int:
    """Open for reading below a directory that is ``/`` to the path and all its links."""
    flags |= os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    how = struct.pack("QQQ", flags, 0, _IN_ROOT | _NO_MAGICLINKS)
    call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).syscall
    opened = call(_OPENAT2, root, os.fsencode(path), how, ctypes.c_size_t(len(how)))
    if opened == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return opened


def read_environ(process: Path) -> dict[str, str]:
    """Return the environment that the process was started with."""
    content = (read_bounded(process / "environ", MOST_BYTES) or b"").decode("utf-8", "replace")
    pairs = (entry.partition("=") for entry in content.split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def find_network(process: Path) -> int:
    """Return its network namespace's number.

    :raises OSError: it can't be told.
    """
    return (process / "ns/net").stat().st_ino


def find_addresses(process: Path) -> frozenset[IPAddress]:
    """Return the addresses in its network namespace."""
    table = read_bounded(process / "net/fib_trie", MOST_TABLE) or b""
    found: set[IPAddress] = {IPv4Address(one) for one in _LOCAL.findall(table.decode())}
    for line in _read_table(process / "net/if_inet6"):
        found.add(IPv6Address(bytes.fromhex(line.split()[0])))
    return frozenset(found)


def find_listening(process: Path) -> frozenset[tuple[IPAddress, int]]:
    """Return where it takes questions, over UDP or TCP; ``0.0.0.0`` and ``::`` are everywhere.

    :raises OSError: its descriptors can't be read.
    """
    inodes = set()
    for name in os.listdir(process / "fd"):  # noqa: PTH208
        with suppress(FileNotFoundError):
            inodes.add(str((process / "fd" / name).readlink()))
    found = set()
    for table, state in (("udp", _UNCONNECTED), ("tcp", _LISTEN)):
        for suffix in ("", "6"):
            for line in _read_table(process / "net" / (table + suffix))[1:]:
                fields = line.split()
                if fields[3] == state and f"socket:[{fields[9]}]" in inodes:
                    found.add(_read_endpoint(fields[1]))
    return frozenset(found)


def _read_table(path: Path) -> list[str]:
    """Return the whole lines of one of the kernel's tables, as many as are read of it."""
    content = read_bounded(path, MOST_TABLE) or b""
    return content[: content.rfind(b"\n") + 1].decode().splitlines()


def _read_endpoint(text: str) -> tuple[IPAddress, int]:
    """Read ``0100007F:0035``: words in the machine's own order of bytes."""
    words, _, port = text.partition(":")
    packed = b"".join(
        int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8)
    )
    address: IPAddress = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
    return plain(address), int(port, 16)
