"""The lab: a node and its outside world, and the proof that nothing of them is left behind."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from boot import kubespray, machine, tree
from boot.node import Node
from boot.outside import Outside


@dataclass(frozen=True, slots=True)
class Lab:
    """One node, without power at first and without dnsguard, plugged into its outside world."""

    outside: Outside
    node: Node


@contextmanager
def open_lab(directory: Path) -> Iterator[Lab]:
    """Give a lab in ``directory``.

    Namespaces and control groups say themselves, when they are closed, who is still inside.
    """
    tar = tree.base_tar()
    with untouched_host(directory), ExitStack() as stack:
        outside = Outside(directory)
        stack.callback(outside.close)
        root = directory / "node1"
        tree.unpack(tar, root)
        machine.furnish(root)
        kubespray.poison(root)
        node = Node(root, directory / "console.log", outside)
        stack.callback(node.close)
        with told_on_failure(node):
            yield Lab(outside, node)


@contextmanager
def told_on_failure(node: Node) -> Iterator[None]:
    """Print the node's account where the block fails: of a fixture, pytest shows that."""
    try:
        yield
    except BaseException:
        print(node.account())
        raise


@contextmanager
def untouched_host(directory: Path) -> Iterator[None]:
    """Assert that the block leaves the host as it was; ``directory`` is the lab's."""
    before = _host_resolv_conf()
    children = _children_of_ours()
    yield
    assert _host_resolv_conf() == before, "a test touched the host's own resolv.conf"
    left = [_command(pid) for pid in _children_of_ours() - children]
    assert not left, f"processes are left behind: {left}"
    assert not _mounts_below(directory), "mounts are left behind"


def _host_resolv_conf() -> tuple[bytes, int, int] | None:
    """Return the host's own file, down to its inode and its last change."""
    file = Path("/etc/resolv.conf")
    if not file.exists():
        return None
    seen = file.stat()
    return file.read_bytes(), seen.st_ino, seen.st_mtime_ns


def _children_of_ours() -> set[str]:
    return {pid.name for pid in Path("/proc").glob("[0-9]*") if _is_child(pid)}


def _is_child(process: Path) -> bool:
    try:
        return f"\nPPid:\t{os.getpid()}\n" in (process / "status").read_text()
    except OSError:
        return False


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") or f"{pid}, a zombie"
    except OSError:
        return pid


def _mounts_below(directory: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if f" {directory}" in line]
