"""The package, built once from a copy of the tree for all tests that look at it."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".hypothesis")


def run(*command: str | Path, cwd: Path = TREE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def expect_silence(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout
    assert not done.stdout.strip(), done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A built package: the file, what it would install, and dpkg's own part of it."""

    tree: Path
    """The copy that it was built from."""
    litter: frozenset[Path]
    """What the build added there."""
    deb: Path
    files: Path
    control: Path

    def field(self, name: str) -> str:
        return run("dpkg-deb", "--field", self.deb, name).stdout.strip()

    def installed(self) -> frozenset[str]:
        found = (path for path in self.files.rglob("*") if not path.is_dir())
        return frozenset(str(path.relative_to(self.files)) for path in found)


def _entries(tree: Path) -> frozenset[Path]:
    return frozenset(tree.rglob("*"))


def copy_tree(target: Path) -> None:
    """Copy what a checkout has."""
    shutil.copytree(TREE, target, ignore=_LEFT_OUT)


def build_in(
    tree: Path, *arguments: str | Path, umask: int, environ: Mapping[str, str] | None = None
) -> Path:
    """Build the package of a copy, as from a foreign directory; return the .deb."""
    built = subprocess.run(
        [tree / "packaging/build", *arguments],
        cwd="/",
        umask=umask,
        env=os.environ | (environ or {}),
        check=False,
        text=True,
        stdout=subprocess.PIPE,
    )
    assert built.returncode == 0
    return Path(built.stdout.splitlines()[-1])


def build(work: Path) -> Package:
    """Build the package in ``work``, with a private umask."""
    tree = work / "tree"
    copy_tree(tree)
    before = _entries(tree)
    deb = build_in(tree, work / "out", umask=0o077)
    expect_silence(run("dpkg-deb", "--extract", deb, work / "files"))
    expect_silence(run("dpkg-deb", "--control", deb, work / "control"))
    return Package(
        tree=tree,
        litter=_entries(tree) - before,
        deb=deb,
        files=work / "files",
        control=work / "control",
    )
