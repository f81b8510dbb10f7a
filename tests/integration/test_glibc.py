"""What glibc itself reads from a resolv.conf, against what the guard believes it does.

The oracle is the C library of the machine: res_ninit(3) in a process with an /etc of its
own. It ends with its standard input.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import example, given
from lab import needs
from property.text import foreign_files, servers

from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.address import IPAddress, plain

pytestmark = pytest.mark.integration

_MAXNS = 3


class _SockaddrIn(ctypes.Structure):
    _fields_ = (
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("address", ctypes.c_ubyte * 4),
        ("zero", ctypes.c_ubyte * 8),
    )


class _SockaddrIn6(ctypes.Structure):
    _fields_ = (
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("flow", ctypes.c_uint32),
        ("address", ctypes.c_ubyte * 16),
        ("scope", ctypes.c_uint32),
    )


class _ResState(ctypes.Structure):
    """struct __res_state, <bits/types/res_state.h>, and room behind it."""

    _fields_ = (
        ("retrans", ctypes.c_int),
        ("retry", ctypes.c_int),
        ("options", ctypes.c_ulong),
        ("nscount", ctypes.c_int),
        ("nsaddr_list", _SockaddrIn * _MAXNS),
        ("id", ctypes.c_ushort),
        ("dnsrch", ctypes.c_void_p * 7),
        ("defdname", ctypes.c_char * 256),
        ("pfcode", ctypes.c_ulong),
        ("bits", ctypes.c_uint32),
        ("sort_list", ctypes.c_uint32 * 2 * 10),
        ("hooks", ctypes.c_void_p * 2),
        ("res_h_errno", ctypes.c_int),
        ("vcsock", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("ext_nscount", ctypes.c_uint16),
        ("nsmap", ctypes.c_uint16 * _MAXNS),
        ("nssocks", ctypes.c_int * _MAXNS),
        ("nscount6", ctypes.c_uint16),
        ("nsinit", ctypes.c_uint16),
        ("nsaddrs", ctypes.POINTER(_SockaddrIn6) * _MAXNS),
        ("room", ctypes.c_ubyte * 1024),
    )


def _read_by_glibc(libc: ctypes.CDLL) -> list[IPAddress]:
    state = _ResState()
    if libc.__res_ninit(ctypes.byref(state)) != 0:
        raise OSError("res_ninit failed")
    found: list[IPAddress] = []
    for index in range(state.nscount):
        # An IPv6 server leaves its place in the old list empty.
        if state.nsaddr_list[index].family:
            found.append(IPv4Address(bytes(state.nsaddr_list[index].address)))
        else:
            found.append(IPv6Address(bytes(state.nsaddrs[index].contents.address)))
    libc.__res_nclose(ctypes.byref(state))
    return found


def _serve() -> None:
    """Answer each line, a file in hexadecimal, with the addresses glibc reads from it."""
    libc = ctypes.CDLL("libc.so.6")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/etc"], check=True)
    for line in sys.stdin:
        new = Path("/etc/new")
        new.write_bytes(bytes.fromhex(line))
        new.rename("/etc/resolv.conf")  # another inode: glibc looks at that
        print(*_read_by_glibc(libc), flush=True)


class Oracle:
    """The process that knows."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def read(self, content: bytes) -> tuple[IPAddress, ...]:
        """Return what glibc uses; it takes 127.0.0.1 where the file names nobody."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(content.hex() + "\n")
        self._process.stdin.flush()
        words = self._process.stdout.readline().split()
        assert words, "the oracle has died"
        return tuple(
            plain(IPv6Address(word)) if ":" in word else IPv4Address(word) for word in words
        )


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    needs.require("root", "namespaces")
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__]
    tests = Path(__file__).parents[1]
    environ = os.environ | {"PYTHONPATH": f"{tests.parent}:{tests}"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ) as process:
        yield Oracle(process)
        assert process.stdin is not None
        process.stdin.close()


def _believed(content: bytes) -> tuple[IPAddress, ...]:
    found = [s.address for s in resolvconf.read_nameservers(content) if s.glibc][:_MAXNS]
    return tuple(map(_without_zone, found)) or (IPv4Address("127.0.0.1"),)


def _without_zone(address: IPAddress) -> IPAddress:
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address


@given(content=foreign_files())
@example(content=b"")
@example(content=b"nameserver 10.0.0.1\n" * 5)
@example(content=b"nameserver 10.0.0.1\nnameserver 2001:db8::1\nnameserver 10.0.0.2\n")
@example(content=b"nameserver 2852002058\nnameserver 0xa.1\nnameserver 010.0.0.1\n")
@example(content=b"nameserver 10.0.0.1\r\nnameserver 10.0.0.2\x0b\n nameserver 10.0.0.3\n")
@example(content=b"nameserver ::ffff:10.0.0.1\nnameserver fe80::1%nolink\nnameserver fe80::1%\n")
@example(content=b"nameserver 10.0.0.1\0\nnameserver\0 10.0.0.2\nnameserver \t 10.0.0.3")
@example(content=b"nameserver 08.0.0.1\nnameserver 1.2.3.4.5\nnameserver 10.0.0.1.\n")
def test_the_guard_reads_what_glibc_reads(oracle: Oracle, content: bytes) -> None:
    """The same servers in the same order, whatever stands around them."""
    assert _believed(content) == oracle.read(content)


@given(content=foreign_files(), wanted=servers())
def test_glibc_reads_what_the_guard_wants(
    oracle: Oracle, content: bytes, wanted: tuple[IPAddress, ...]
) -> None:
    """A guarded file sends the C library where the guard wants it, and nowhere else."""
    guarded = guarded_resolvconf.guard(content, wanted)
    assert oracle.read(guarded) == _believed(guarded)
    assert len(oracle.read(guarded)) == max(1, len(wanted))


if __name__ == "__main__":
    _serve()
