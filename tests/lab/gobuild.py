"""Building programs with the Go toolchain: each once, and kept in the tests' cache."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from lab.lock import locked

LEAST_GO = (1, 21)
FLAGS = ("-trimpath", "-ldflags=-s -w")


class MissingError(Exception):
    """Raised where a program can't be had on this machine; says why."""


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


def of_file(source: Path, *modules: str) -> Path:
    """Return the program of one of the tests' own files; it is called like the file.

    :param modules: what it needs beside Go's own library, each with its version.
    :raises MissingError: there is none.
    """
    told = "\n".join((source.read_text(encoding="utf-8"), *modules))
    version = hashlib.sha256(told.encode()).hexdigest()[:12]

    def build(work: Path) -> Path:
        shutil.copy(source, work / "main.go")
        return _build_in_module(work, source.stem, modules, ".")

    return kept(source.stem, version, build)


def of_module(name: str, module: str, version: str, package: str) -> Path:
    """Return a program of a module; not every one is served as ``go install`` asks for it.

    :param package: its folder in the module.
    :raises MissingError: there is none.
    """

    def build(work: Path) -> Path:
        return _build_in_module(work, name, (f"{module} {version}",), f"{module}/{package}")

    return kept(name, version, build)


def _build_in_module(work: Path, name: str, modules: Sequence[str], package: str) -> Path:
    """Build a program in a module of its own that needs these."""
    required = [f"require {one}" for one in modules]
    lines = [f"module dnsguard.test/{name}", "go 1.21", *required]
    (work / "go.mod").write_text("\n".join(lines) + "\n")
    built = work / "built"
    run_go(work, "build", "-mod=mod", *FLAGS, "-o", str(built), package, within=work)
    return built


def place_of(name: str, version: str) -> Path:
    # Its name alone is the process's: dnsguard doctor knows both by it.
    root = Path(os.environ.get("DNSGUARD_TEST_CACHE", "/var/cache/dnsguard-tests"))
    return root / "go" / f"{name}@{version}" / name


def kept(name: str, version: str, build: Callable[[Path], Path]) -> Path:
    place = place_of(name, version)
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_suffix(".lock")):
        if not place.exists():
            # Go's own caches, too, are a gigabyte that nobody needs twice.
            with tempfile.TemporaryDirectory(dir=place.parent) as work:
                build(Path(work)).replace(place)
    return place


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
    return run([str(program), *command], environ, within)


def run(command: list[str], environ: "os._Environ[str] | dict[str, str]", within: Path) -> str:
    done = subprocess.run(
        command, env=environ, cwd=within, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise MissingError(f"{' '.join(command)}:\n{done.stderr[-2000:] or done.stdout[-2000:]}")
    return done.stdout
