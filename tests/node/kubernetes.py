"""Kubernetes' own programs, compiled from the Go module proxy and kept in the tests' cache.

``k8s.io/kubernetes`` is no module that ``go install`` takes: it replaces its staging modules
(``k8s.io/api`` and thirty more) by folders of its repository. A module of our own requires it
and replaces each of them by its published release of the same number (v0.28.15 belongs to
v1.28.15), so that what is compiled is the release, unmodified.

It takes 11 minutes on two cores. What is kept is a tar, named by the version and by Go's.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from lab import gobuild
from lab.lock import locked

VERSION = "1.28.15"
"""The ring's, unless ``DNSGUARD_TEST_KUBERNETES`` names another: 1.35.4, or the newest 1.35."""
PROGRAMS = (
    "kubelet",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubectl",
)

_MODULE = "k8s.io/kubernetes"
_STAGING = re.compile(r"^\t?(?:replace )?(\S+) => \./staging/src/", re.MULTILINE)
_STATED_IN = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
"""Where a program has its version from, set by the linker in a release's build, too."""


@cache
def version() -> str:
    """Return the release that the ring runs, such as 1.28.15.

    :raises gobuild.MissingError: only a series is named, and none of it is served.
    """
    named = os.environ.get("DNSGUARD_TEST_KUBERNETES") or VERSION
    return named if named.count(".") == 2 else _newest_of(named)


def minor() -> int:
    """Return the release's second number."""
    return int(version().split(".")[1])


def _newest_of(series: str) -> str:
    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        listed = gobuild.run_go(place, "list", "-m", "-versions", _MODULE, within=place).split()
    final = [one for one in listed if re.fullmatch(rf"v{re.escape(series)}\.\d+", one)]
    if not final:
        raise gobuild.MissingError(f"the module proxy serves no Kubernetes {series}")
    return max(final, key=lambda one: int(one.rpartition(".")[2])).removeprefix("v")


def programs(keep: Path) -> Path:
    """Return the tar with the programs of :func:`version`, made where it is missing.

    :raises gobuild.MissingError: it can't be made on this machine.
    """
    keep.mkdir(parents=True, exist_ok=True)
    release = version()
    kept = keep / f"kubernetes-{release}-go{_go_version()}.tar"
    if kept.exists():
        return kept
    with locked(kept.with_suffix(".lock")):
        if not kept.exists():
            # Go's own caches are four gigabytes that nobody needs twice.
            with tempfile.TemporaryDirectory(dir=keep, prefix="kubernetes-") as work:
                _pack(_compile(Path(work), release), kept)
    return kept


def _go_version() -> str:
    program = gobuild.go()
    if program is None:
        raise gobuild.MissingError("no Go to compile Kubernetes with")
    told = subprocess.run([program, "version"], capture_output=True, text=True, check=True)
    found = re.search(r"\bgo(\d[\w.]*)", told.stdout)
    return found[1] if found else "-unknown"


def _compile(work: Path, release: str) -> Path:
    """Compile the programs; return the folder that they lie in."""
    module = work / "module"
    built = work / "bin"
    module.mkdir()
    built.mkdir()
    (module / "go.mod").write_text(_go_mod(work, release), encoding="utf-8")
    stated = " ".join(f"-X {package}.gitVersion=v{release}" for package in _STATED_IN)
    gobuild.run_go(
        work,
        "build",
        "-mod=mod",
        "-trimpath",
        f"-ldflags=-s -w {stated}",
        "-o",
        f"{built}/",
        *(f"{_MODULE}/cmd/{program}" for program in PROGRAMS),
        within=module,
    )
    return built


def _go_mod(work: Path, release: str) -> str:
    """Return a module that requires the release with the staging modules of its number."""
    told = json.loads(
        gobuild.run_go(work, "mod", "download", "-json", f"{_MODULE}@v{release}", within=work)
    )
    theirs = Path(told["GoMod"]).read_text(encoding="utf-8")
    # Go's defaults (GODEBUG) are those of the main module's Go: the release's own.
    spoken = re.search(r"^go \S+$", theirs, re.MULTILINE)
    published = "v0." + release.partition(".")[2]
    lines = [
        "module dnsguard.test/kubernetes",
        spoken[0] if spoken else "go 1.21",
        f"require {_MODULE} v{release}",
        *(f"replace {name} => {name} {published}" for name in sorted(_staging(theirs))),
    ]
    return "\n".join(lines) + "\n"


def _staging(go_mod: str) -> set[str]:
    """Return the modules that lie in the release's repository.

    Since 1.30 a workspace (go.work) holds them, and go.mod only requires them at v0.0.0.
    """
    return set(_STAGING.findall(go_mod)) | set(
        re.findall(r"^\t?(\S+) v0\.0\.0$", go_mod, re.MULTILINE)
    )


def _pack(folder: Path, kept: Path) -> None:
    packed = folder.with_suffix(".tar")
    with tarfile.open(packed, "w") as archive:
        for program in PROGRAMS:
            archive.add(folder / program, arcname=program)
    # Whoever takes it finds it whole.
    shutil.move(packed, kept)
