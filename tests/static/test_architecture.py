"""Nothing assumes the processor: the package is for all of Debian's, and built once.

Checked here, as there is no other machine in the tests: what struct(3) and ctypes are told, numbers
that are other ones elsewhere, and paths and names of one architecture.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from static.manual import ROOT

MODULES = sorted((ROOT / "dnsguard").rglob("*.py"))
_STRUCT = frozenset(
    {"Struct", "pack", "pack_into", "unpack", "unpack_from", "iter_unpack", "calcsize"}
)
_NATIVE = {
    # struct timeval of SO_RCVTIMEO, struct open_how, struct sock_fprog with its pointer and struct
    # sock_filter, struct ucred, all as the kernel and the C library of the running machine have them.
    "dnsguard/client.py": {"ll"},
    "dnsguard/host/pods.py": {"QQQ"},
    "dnsguard/host/socket_filter.py": {"HP", "HBBI"},
    "dnsguard/control.py": {"3i"},
}
"""Native on purpose: Python computes size, order and padding there, and no number is written."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format for struct, and where it stands."""

    module: str
    line: int
    text: str


def _formats(path: Path) -> Iterator[Format]:
    """Yield the format of each call of struct's, which has to be written out."""
    name = str(path.relative_to(ROOT))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        called = node.func.id if isinstance(node.func, ast.Name) else called
        first = node.args[0]
        if called in _STRUCT and isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield Format(name, node.lineno, first.value)


FORMATS = [one for path in MODULES for one in _formats(path)]


def test_sizes_and_order_are_said() -> None:
    """Every format begins with its byte order, which fixes its sizes, or is native by decision."""
    assert len(FORMATS) > 10
    native = {
        (one.module, one.text) for one in FORMATS if not one.text.startswith(("!", "<", ">", "="))
    }
    assert native == {(module, text) for module, texts in _NATIVE.items() for text in texts}


def test_what_the_kernel_sends_has_standard_sizes() -> None:
    """In "=" an "l" has 4 bytes, and a C long 8: none of these letters may stand there."""
    sized = [one for one in FORMATS if one.text.startswith(("!", "<", ">", "="))]
    assert [one for one in sized if re.search(r"[lLnNP]", one.text)] == []


_NAMES = re.compile(
    r"x86_64|x86-64|\bamd64\b|aarch64|\barm64\b|lib64\b|-linux-gnu|platform\.machine|os\.uname\(\)\.machine"
)


@pytest.mark.parametrize(
    "directory", ["dnsguard", "systemd", "packaging/debian", "packaging/dhclient-enter-hooks.d"]
)
def test_no_architecture_is_named(directory: str) -> None:
    """Neither in the code nor in what is installed beside it."""
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in (ROOT / directory).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.name != "salsa-ci.yml"
    }
    assert texts
    found = {str(path): _NAMES.findall(text) for path, text in texts.items()}
    assert {name: names for name, names in found.items() if names} == {}


_OTHER_ELSEWHERE = frozenset(
    {"O_DIRECTORY", "O_NOFOLLOW", "O_DIRECT", "O_LARGEFILE", "O_TMPFILE", "O_CLOEXEC"}
    # SO_* are other ones on SPARC, PA-RISC, MIPS.
    | {"SO_REUSEADDR", "SO_BROADCAST", "SO_RCVBUF", "SO_RCVTIMEO", "SO_PEERCRED", "SO_BINDTODEVICE"}
)
"""Constants with another value on some architecture of Debian 12: os and socket have the right one."""


def test_no_number_stands_for_a_constant_that_differs() -> None:
    """An assignment of a number to such a name."""
    found = [
        (path.name, target.id)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.strip("_") in _OTHER_ELSEWHERE
    ]
    assert found == []


def test_system_calls_by_number_have_one_number_everywhere() -> None:
    """Those since Linux 5.0 have (asm-generic's, from 424 on); no older one is called so."""
    numbers = re.compile(r"^_?(?:SYS_|NR_|OPENAT2)\w* *= *(\d+)", re.MULTILINE)
    found = {
        int(number)
        for path in MODULES
        for number in numbers.findall(path.read_text(encoding="utf-8"))
    }
    assert found
    assert all(number >= 424 for number in found)


def test_the_package_is_for_all() -> None:
    """One for amd64 and arm64: nothing in it is compiled."""
    """Built once, installed everywhere."""
    control = (ROOT / "packaging/debian/control").read_text(encoding="utf-8")
    assert re.findall(r"^Architecture: (.*)$", control, re.MULTILINE) == ["all"]
