"""CoreDNS and node-cache, built with the Go toolchain. Their versions are pinned here only.

A binary is built once and kept in the tests' cache. ``python3 -m lab.gobin`` builds what is
missing and says what there is: tests/run does so before the time of its rings begins.

**node-cache is not to be had everywhere.** It is no module that ``go install`` takes (it
replaces 25 others), so its module is downloaded and built in place. Where the module proxy
refuses it, ``DNSGUARD_KUBERNETES_DNS`` may name a clone of its repository. Where there is
neither, :func:`nodelocal` says so, and CoreDNS of the very version inside node-cache stands
in. What that leaves out is node-cache's own frame: its flags, and that it writes the Corefile.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from lab import needs

COREDNS = "v1.11.3"
NODE_CACHE = "1.25.0"
"""What Kubespray 2.28 installs; CoreDNS v1.11.3 is inside."""
LEAST_GO = (1, 21)

_MODULE = "k8s.io/dns"
_FLAGS = ("-trimpath", "-ldflags=-s -w")


class MissingError(Exception):
    """Raised where a program can't be had on this machine; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLocal:
    """The program that plays NodeLocalDNS."""

    program: Path
    is_node_cache: bool
    because: str
    """Why it is not node-cache, where it isn't."""

    def __str__(self) -> str:
        if self.is_node_cache:
            return f"node-cache {NODE_CACHE}"
        return f"CoreDNS {COREDNS} in place of node-cache ({self.because})"


def coredns() -> Path:
    """Return CoreDNS's program.

    :raises MissingError: there is none.
    """
    return _kept("coredns", COREDNS, _install_coredns)


def node_cache() -> Path:
    """Return the program of NodeLocalDNS.

    :raises MissingError: there is none.
    """
    return _kept("node-cache", NODE_CACHE, _build_node_cache)


@cache
def nodelocal() -> NodeLocal:
    """Return node-cache, or what stands in for it.

    :raises MissingError: there is neither.
    """
    try:
        return NodeLocal(program=node_cache(), is_node_cache=True, because="")
    except MissingError as missing:
        reason = " ".join(str(missing).split())
        return NodeLocal(program=coredns(), is_node_cache=False, because=reason)


def lookup() -> Path:
    """Return the program that resolves names with Go's resolver, lookup.go beside this file.

    :raises MissingError: there is none.
    """
    return of_file(Path(__file__).with_name("lookup.go"))


def of_file(source: Path) -> Path:
    """Return the program of one of the tests' own files; it is called like the file.

    :raises MissingError: there is none.
    """
    version = hashlib.sha256(source.read_bytes()).hexdigest()[:12]

    def build(work: Path) -> Path:
        built = work / source.stem
        run_go(work, "build", *_FLAGS, "-o", str(built), str(source), within=work)
        return built

    return _kept(source.stem, version, build)


def of_module(name: str, module: str, version: str, package: str) -> Path:
    """Return a program of a module that ``go install`` does not take.

    :param package: its folder in the module.
    :raises MissingError: there is none.
    """

    def build(work: Path) -> Path:
        (work / "go.mod").write_text(f"module dnsguard.test/{name}\nrequire {module} {version}\n")
        built = work / name
        target = f"{module}/{package}"
        run_go(work, "build", "-mod=mod", *_FLAGS, "-o", str(built), target, within=work)
        return built

    return _kept(name, version, build)


@cache
def go() -> Path | None:
    """Return the newest Go toolchain that is new enough. sudo leaves none on PATH."""
    usual = [Path("/usr/local/go/bin/go"), *Path("/usr/lib").glob("go*/bin/go")]
    told = [os.environ.get("DNSGUARD_GO"), shutil.which("go")]
    places = {*(Path(place) for place in told if place), *usual}
    found = [(_version(place), place) for place in places if place.exists()]
    return max((pair for pair in found if pair[0] >= LEAST_GO), default=(None, None))[1]


def _version(program: Path) -> tuple[int, ...]:
    told = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    number = re.search(r"\bgo(\d+)\.(\d+)", told.stdout)
    return tuple(map(int, number.groups())) if number else ()


def is_had() -> bool:
    """Say whether it is worth trying; CI insists, so that nothing is skipped there."""
    return (
        "DNSGUARD_NEEDS_GO" in os.environ
        or needs.NEEDS_ALL in os.environ
        or go() is not None
        or _place("coredns", COREDNS).exists()
    )


def _place(name: str, version: str) -> Path:
    # Its name alone is the process's: dnsguard doctor knows both by it.
    root = Path(os.environ.get("DNSGUARD_TEST_CACHE", "/var/cache/dnsguard-tests"))
    return root / "go" / f"{name}@{version}" / name


def _kept(name: str, version: str, build: Callable[[Path], Path]) -> Path:
    place = _place(name, version)
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_suffix(".lock")):
        if not place.exists():
            # Go's own caches, too, are a gigabyte that nobody needs twice.
            with tempfile.TemporaryDirectory(dir=place.parent) as work:
                build(Path(work)).replace(place)
    return place


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time build; the kernel drops the lock of a killed one."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_coredns(work: Path) -> Path:
    run_go(work, "install", *_FLAGS, f"github.com/coredns/coredns@{COREDNS}", within=work)
    return work / "bin/coredns"


def _build_node_cache(work: Path) -> Path:
    clone = os.environ.get("DNSGUARD_KUBERNETES_DNS")
    tree = _check_out(Path(clone), work) if clone else _download(work)
    # A clone has all that it needs in vendor/, a module never has.
    mode = "vendor" if clone else "mod"
    built = work / "node-cache"
    run_go(
        work, "build", f"-mod={mode}", *_FLAGS, "-o", str(built), "./cmd/node-cache", within=tree
    )
    return built


def _check_out(clone: Path, work: Path) -> Path:
    tree = work / "tree"
    tree.mkdir()
    packed = work / "tree.tar"
    _run(["git", "-C", str(clone), "archive", f"--output={packed}", NODE_CACHE], os.environ, work)
    _run(["tar", "--extract", f"--file={packed}", f"--directory={tree}"], os.environ, work)
    return tree


def _download(work: Path) -> Path:
    # Without -json the reason stands on stderr; with it, once here, comes the directory.
    module = f"{_MODULE}@{NODE_CACHE}"
    run_go(work, "mod", "download", module, within=work)
    return Path(json.loads(run_go(work, "mod", "download", "-json", module, within=work))["Dir"])


def run_go(work: Path, *command: str, within: Path) -> str:
    program = go()
    if program is None:
        raise MissingError(f"no Go >= {'.'.join(map(str, LEAST_GO))}")
    environ = os.environ | {
        "CGO_ENABLED": "0",
        "GOBIN": str(work / "bin"),
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": "-buildvcs=false -modcacherw",
        "GOPATH": str(work / "path"),
        "GOMODCACHE": str(work / "path/pkg/mod"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    return _run([str(program), *command], environ, within)


def _run(command: list[str], environ: "os._Environ[str] | dict[str, str]", within: Path) -> str:
    done = subprocess.run(
        command, env=environ, cwd=within, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise MissingError(f"{' '.join(command)}:\n{done.stderr[-2000:] or done.stdout[-2000:]}")
    return done.stdout


needed = pytest.mark.skipif(
    not is_had(),
    reason=f"needs Go >= {'.'.join(map(str, LEAST_GO))} to build CoreDNS with: on PATH, in"
    " /usr/local/go or /usr/lib/go*, or as DNSGUARD_GO",
)
"""Marks a test that runs these programs."""


def main() -> int:
    """Build what is missing; fail only where a Go is there, or has to be, and can't."""
    if not is_had():
        print("no Go: the tests of the real chain will be left out")
        return 0
    try:
        print(f"cluster DNS: CoreDNS {COREDNS}, {coredns()}")
        print(f"node-local DNS: {nodelocal()}")
        print(f"a program with Go's resolver: {lookup()}")
    except MissingError as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
