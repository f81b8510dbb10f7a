"""What an upload to Debian has: a source package, and a .deb that anybody can build to the byte."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from static.built import Package, build_in, copy_tree, expect_silence, run

LONG_AGO = 86400 * 365 * 20
"""Seconds since the epoch."""


@pytest.fixture(scope="module")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as another person would: elsewhere, in another zone and language, from old files."""
    tree = tmp_path_factory.mktemp("another") / "a longer path/of another/checkout"
    copy_tree(tree)
    for path in (tree, *tree.rglob("*")):
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)
    out = tree.parent / "out"
    build_in(
        tree,
        "--source",
        out,
        umask=0o002,
        environ={"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "C", "HOME": "/nonexistent"},
    )
    return out


def test_the_package_is_the_same_to_the_byte(upload: Path, package: Package) -> None:
    """Built in another directory, at another time, with another umask, zone and language."""
    (other,) = upload.glob("*.deb")
    assert other.name == package.deb.name
    assert other.read_bytes() == package.deb.read_bytes()


def test_an_upload_is_complete(upload: Path) -> None:
    """Source, .buildinfo and .changes, whose checksums are those of the files."""
    (changes,) = upload.glob("*.changes")
    kinds = {path.name.split("_")[-1].partition(".")[2] for path in upload.iterdir()}
    assert {"deb", "buildinfo", "changes"} <= kinds
    text = changes.read_text("utf-8")
    listed = re.findall(r"^ ([0-9a-f]{64}) \d+ (\S+)$", text, re.MULTILINE)
    named = {path.name for path in upload.iterdir()} - {changes.name}
    assert {name for _, name in listed} == named
    sums = "".join(f"{digest}  {name}\n" for digest, name in listed)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet"],
        cwd=upload,
        input=sums,
        text=True,
        check=True,
    )
    assert done.returncode == 0


def test_the_buildinfo_names_the_package_that_was_built(upload: Path, package: Package) -> None:
    """Its checksum is that of the .deb which the other build gave, too."""
    (buildinfo,) = upload.glob("*.buildinfo")
    digest = run("sha256sum", package.deb).stdout.split()[0]
    assert digest in buildinfo.read_text("utf-8")


def test_lintian_finds_nothing(upload: Path) -> None:
    """In source and package: no error, warning or hint; an override says its reason."""
    (changes,) = upload.glob("*.changes")
    options = ("--display-info", "--pedantic", "--fail-on", "error,warning", "--allow-root")
    expect_silence(run("lintian", *options, changes, cwd=Path("/")))
