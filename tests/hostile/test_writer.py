"""The writer where the kernel refuses: a full disk, and the unit's own lack of capabilities."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnsguard.host.resolvfile import Replaced, observe, replace

OLD, NEW = b"nameserver 169.254.25.10\n", b"nameserver 10.0.0.2\n"
OTHER = 65534
ROOT = Path(__file__).parents[2]


def test_what_the_sandbox_refuses_is_told(tmp_path: Path) -> None:
    """Without CAP_CHOWN, as the unit has none: the file is root's, and readable."""
    path = tmp_path / "resolv.conf"
    path.write_bytes(OLD)
    os.chown(path, OTHER, OTHER)
    script = (
        "from pathlib import Path; import sys;"
        "from dnsguard.host.resolvfile import observe, replace;"
        "path = Path(sys.argv[1]); print(replace(path, b'x', observe(path)).lost)"
    )
    command = ["setpriv", "--bounding-set=-chown,-fowner", "--inh-caps=-chown,-fowner"]
    done = _python(*command, "/usr/bin/python3", "-c", script, str(path))
    assert done.stdout == f"('owner {OTHER}:{OTHER}',)\n"
    assert (path.stat().st_uid, path.read_bytes()) == (0, b"x")


@pytest.mark.parametrize("free", [0, 1, 2])
@pytest.mark.parametrize("length", [10, 4000, 9000])
@pytest.mark.parametrize("kind", ["file", "bind mount"])
def test_a_full_disk_has_the_old_text_or_the_new(
    tmp_path: Path, free: int, length: int, kind: str
) -> None:
    """With 0, 1 and 2 free pages; also where only writing in place is possible (EBUSY)."""
    command = ["unshare", "--mount", "/usr/bin/python3", __file__]
    _python(*command, str(tmp_path), str(free), str(length), kind)


def test_without_it_the_text_is_lost(tmp_path: Path) -> None:
    """The control: what shells and most programs do, on the same disk."""
    command = ["unshare", "--mount", "/usr/bin/python3", __file__]
    assert "lost" in _python(*command, str(tmp_path), "0", "9000", "control").stdout


def _python(*command: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done


def _on_a_full_disk(directory: Path, free: int, length: int, kind: str) -> None:
    """Run in a mount namespace of its own: fill the disk, replace, and look."""
    with _tmpfs(directory, 16):
        path = directory / "resolv.conf"
        path.write_bytes(OLD)
        if kind == "bind mount":
            subprocess.run(["mount", "--bind", path, path], check=True)
        _fill(directory / "filler", free)
        new = NEW + b"#" * length + b"\n"
        if kind == "control":
            _write_plainly(path, new)
            print("fine" if path.read_bytes() in (OLD, new) else "lost")
            return
        outcome = replace(path, new, observe(path))
        text = path.read_bytes()
        names = sorted(one.name for one in directory.iterdir())
        is_done = outcome.result in (Replaced.DONE, Replaced.IN_PLACE)
        assert text == (new if is_done else OLD), (outcome, text)
        assert names == ["filler", "resolv.conf"], names
        if kind == "bind mount":
            subprocess.run(["umount", path], check=True)


def _write_plainly(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        print(error)


@contextmanager
def _tmpfs(where: Path, pages: int) -> Iterator[None]:
    """Mount a tmpfs of so many pages, one of which is the directory's own."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={pages * 4096},mode=755", "tmpfs", where], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", where], check=True)


def _fill(path: Path, free: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    size = 0
    try:
        while True:
            size += os.write(descriptor, b"x" * 4096)
    except OSError:
        os.ftruncate(descriptor, size - free * 4096)
    os.close(descriptor)


if __name__ == "__main__":
    _on_a_full_disk(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
