"""Full, read-only and limited disks: nobody reads half a file, and nothing foreign is lost.

A text that fits into what its file has already, or into what is free, is repaired. One that
does not is left as it was, byte for byte.
"""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from lab.guard import POISON

from hostile.disks import PAGE, Disk, btrfs, ext4, private_mounts, tmpfs
from hostile.scene import END, HEAL, Lab, Scene, copy, next_start

pytestmark = pytest.mark.hostile

PLACES = {"etc": ("etc",), "lib": ("var/lib/dnsguard",), "both": ("etc", "var/lib/dnsguard")}
SIZES = {
    "small": len(POISON) + 2,
    "to the page's end": PAGE - 6,
    "two pages": 6000,
    "three": 12_000,
}
ENDS_AT_PAGE = "to the page's end"
"""What is added does not fit into the page that the file has."""
LOOKS = 1.5
"""Seconds in which a daemon looks at a file several times."""
_SUFFIX = b"#\n"


@pytest.fixture
def scene(lab: Lab, template: Path, tmp_path: Path) -> Iterator[Scene]:
    """Return a poisoned node in a mount namespace of its own."""
    with private_mounts():
        made = copy(template, tmp_path / "node", lab)
        # In place is all that is left on a full disk, and a reader may come in between.
        made.is_strict = False
        yield made


def _poison(size: int) -> bytes:
    return POISON + _SUFFIX.rjust(size - len(POISON), b"#")


def _write(scene: Scene, text: bytes) -> None:
    """Write it as dhclient-script does: in place, and all of it."""
    scene.olds.add(text)
    deadline = time.monotonic() + HEAL
    while True:
        try:
            with scene.file.open("wb", buffering=0) as file:
                assert file.write(text) == len(text)
        except OSError as error:  # on a full disk dnsguard may have taken the page just freed
            if error.errno != errno.ENOSPC or time.monotonic() > deadline:
                raise
        else:
            return


def _secure(scene: Scene) -> int:
    process = scene.spawn(scene.command("secure"))
    assert scene.watch(lambda: process.poll() is not None, END), "secure hangs"
    return process.wait()


def _no_problems(scene: Scene) -> None:
    assert not scene.problems, "\n".join([*scene.problems, scene.log.read_text()[-3000:]])


def _heals(scene: Scene, disks: list[Disk], names: set[str]) -> None:
    """With room again, all is as if nothing had been; no name is left that was not there."""
    for disk in disks:
        disk.free()
    next_start(scene)
    _no_problems(scene)
    left = scene.names() - names
    assert not left


@pytest.fixture
def names(lab: Lab, template: Path, tmp_path: Path) -> set[str]:
    """Return the names that a start and a stop leave on a node with room."""
    made = copy(template, tmp_path / "well", lab)
    next_start(made)
    _no_problems(made)
    return made.names()


def _has_room(text: bytes, pages: int) -> bool:
    """Tell whether the new text, a little longer, fits: beside the old one or in its place."""
    return -(-len(text) // PAGE) == -(-(len(text) + 200) // PAGE) or pages > 0


def test_the_naive_writer_leaves_half_a_file(scene: Scene) -> None:
    """The control: what opens the file and writes it, on the same full disk."""
    with tmpfs(scene.root / "etc") as disk:
        _write(scene, _poison(SIZES[ENDS_AT_PAGE]))
        disk.fill()
        naive = Path(__file__).with_name("naive.py")
        assert scene.spawn([sys.executable, str(naive), str(scene.root)]).wait() == 0
        scene.inspect()
        assert any("half" in problem for problem in scene.problems)


@pytest.mark.parametrize("pages", [0, 1, 2])
@pytest.mark.parametrize(
    ("place", "size"),
    [*(("etc", size) for size in SIZES), ("lib", "small"), ("both", "small")],
)
def test_secure_on_a_full_tmpfs(
    scene: Scene, names: set[str], place: str, size: str, pages: int
) -> None:
    """Old or new, and new wherever there is room for it; twice, for what the first has left."""
    text = _poison(SIZES[size])
    with ExitStack() as stack:
        disks = [stack.enter_context(tmpfs(scene.root / at)) for at in PLACES[place]]
        _write(scene, text)
        for disk in disks:
            disk.fill(but=pages)
        for _ in range(2):
            status = _secure(scene)
            scene.inspect()
            _no_problems(scene)
            assert scene.is_safe() == (status == 0) or place != "etc"
        if place == "lib" or _has_room(text, pages):
            assert scene.is_safe(), scene.log.read_text()
        _heals(scene, disks, names)


@pytest.mark.parametrize("pages", [0, 1])
@pytest.mark.parametrize("place", PLACES)
def test_the_daemon_on_a_full_tmpfs(scene: Scene, names: set[str], place: str, pages: int) -> None:
    """It repairs what is written in place, and keeps the foreign text as soon as it can."""
    with ExitStack() as stack:
        disks = [stack.enter_context(tmpfs(scene.root / at)) for at in PLACES[place]]
        for disk in disks:
            disk.fill(but=pages)
        with scene.guarded() as process:
            assert scene.await_ready(process), scene.log.read_text()
            for number in range(4):
                text = POISON + b"# %d\n" % number
                _write(scene, text)
                assert scene.watch(scene.is_safe, HEAL), scene.log.read_text()
                scene.inspect()
                _no_problems(scene)
            for disk in disks:
                disk.free()
            kept = scene.lib / "resolv.conf.foreign"
            assert scene.watch(lambda: kept.read_bytes() == text, HEAL), scene.log.read_text()
            scene.stop(process)
        _heals(scene, disks, names)


@pytest.mark.parametrize(
    ("size", "pages"),
    [("small", 0), (ENDS_AT_PAGE, 0), (ENDS_AT_PAGE, 1), ("two pages", 0), ("three", 2)],
)
def test_a_bind_mounted_file_on_a_full_disk(
    scene: Scene, names: set[str], size: str, pages: int
) -> None:
    """No rename over it (EBUSY), and no room in it: neither a tail of NULs nor one that grows."""
    text = _poison(SIZES[size])
    below = scene.root / "below"
    below.mkdir()
    with tmpfs(below) as disk:
        source = below / "resolv.conf"
        source.touch(mode=0o644)
        subprocess.run(["mount", "--bind", source, scene.file], check=True)
        _write(scene, text)
        disk.fill(but=pages)
        _look_several_times(scene)
        if _has_room(text, pages):
            assert scene.is_safe(), scene.log.read_text()
        kept = (scene.lib / "resolv.conf.foreign").read_bytes()
        assert not scene.is_safe() or kept == text
        subprocess.run(["umount", scene.file], check=True)
    _write(scene, POISON)
    _heals(scene, [], names)


def _look_several_times(scene: Scene) -> None:
    for _ in range(2):
        _secure(scene)
        scene.inspect()
        _no_problems(scene)
    with scene.guarded() as process:
        assert scene.await_ready(process), scene.log.read_text()
        scene.watch(lambda: False, LOOKS)
        scene.inspect()
        _no_problems(scene)
        scene.stop(process)
    scene.inspect()
    _no_problems(scene)


@pytest.mark.parametrize(
    ("place", "size"),
    [*(("etc", size) for size in SIZES), ("lib", "small"), ("both", "small")],
)
def test_an_ext4_that_is_full_for_root_too(
    scene: Scene, names: set[str], tmp_path: Path, place: str, size: str
) -> None:
    """Not a block is reserved; the daemon and ``secure`` do what can be done."""
    text = _poison(SIZES[size])
    with ExitStack() as stack:
        disks = [
            stack.enter_context(ext4(scene.root / at, tmp_path / f"image{number}"))
            for number, at in enumerate(PLACES[place])
        ]
        _write(scene, text)
        for disk in disks:
            disk.fill()
        _look_several_times(scene)
        if place == "lib" or _has_room(text, 0):
            assert scene.is_safe(), scene.log.read_text()
        _heals(scene, disks, names)


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_disk_that_turns_read_only_in_a_repair(
    scene: Scene, names: set[str], tmp_path: Path, kind: str
) -> None:
    """Between a poison and its repair, again and again: old or new, and repaired afterwards."""
    at = scene.root / "etc"
    made: Callable[[], AbstractContextManager[Disk]] = (
        (lambda: tmpfs(at)) if kind == "tmpfs" else (lambda: ext4(at, tmp_path / "image"))
    )
    with made() as disk:
        with scene.guarded() as process:
            assert scene.await_ready(process), scene.log.read_text()
            for number in range(12):
                _write(scene, POISON + b"# %d\n" % number)
                _turn_read_only(disk)
                scene.inspect()
                disk.remount("rw")
                assert scene.watch(scene.is_safe, HEAL), scene.log.read_text()
                scene.inspect()
                _no_problems(scene)
            scene.stop(process)
        _heals(scene, [], names)


def _turn_read_only(disk: Disk) -> None:
    deadline = time.monotonic() + HEAL
    while True:
        try:
            disk.remount("ro")
        except subprocess.CalledProcessError:  # EBUSY: it is just writing
            assert time.monotonic() < deadline, "some file stays open for writing"
            continue
        return


@pytest.mark.parametrize("size", SIZES)
def test_a_quota_that_is_used_up(scene: Scene, names: set[str], tmp_path: Path, size: str) -> None:
    """EDQUOT: old or new, whole.

    Of btrfs, which spares root no more than anybody; ext4's quotas spare CAP_SYS_RESOURCE,
    and need CONFIG_QFMT_V2, which the test machines' kernel does not have.
    """
    if "btrfs" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no btrfs")
    text = _poison(SIZES[size])
    with btrfs(scene.root / "etc", tmp_path / "image", limit=2 << 20) as disk:
        _write(scene, text)
        os.sync()
        disk.fill()
        _look_several_times(scene)
        _heals(scene, [disk], names)
