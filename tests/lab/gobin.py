"""CoreDNS and node-cache, built with the Go toolchain. Their versions are pinned here only.

A binary is built once and kept in the tests' cache. ``python3 -m lab.gobin`` builds what is
missing and says what there is: tests/run does so before the time of its rings begins.

**node-cache is not to be had everywhere.** It is no module that ``go install`` takes (it
replaces 25 others), so its module is downloaded and built in place. Where the module proxy
refuses it, ``DNSGUARD_KUBERNETES_DNS`` may name a clone of its repository. Where there is
neither, :func:`nodelocal` says so, and CoreDNS of the very version inside node-cache stands
in. What that leaves out is node-cache's own frame: its flags, and that it writes the Corefile.
"""

import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from lab import needs
from lab.gobuild import FLAGS, LEAST_GO, MissingError, go, kept, of_file, place_of, run, run_go

COREDNS = "v1.11.3"
NODE_CACHE = "1.25.0"
"""What Kubespray 2.28 installs; CoreDNS v1.11.3 is inside."""

_MODULE = "k8s.io/dns"


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
    return kept("coredns", COREDNS, _install_coredns)


def node_cache() -> Path:
    """Return the program of NodeLocalDNS.

    :raises MissingError: there is none.
    """
    return kept("node-cache", NODE_CACHE, _build_node_cache)


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


def is_had() -> bool:
    """Say whether it is worth trying; CI insists, so that nothing is skipped there."""
    return (
        "DNSGUARD_NEEDS_GO" in os.environ
        or needs.NEEDS_ALL in os.environ
        or go() is not None
        or place_of("coredns", COREDNS).exists()
    )


def _install_coredns(work: Path) -> Path:
    run_go(work, "install", *FLAGS, f"github.com/coredns/coredns@{COREDNS}", within=work)
    return work / "bin/coredns"


def _build_node_cache(work: Path) -> Path:
    clone = os.environ.get("DNSGUARD_KUBERNETES_DNS")
    tree = _check_out(Path(clone), work) if clone else _download(work)
    # A clone has all that it needs in vendor/, a module never has.
    mode = "vendor" if clone else "mod"
    built = work / "node-cache"
    run_go(work, "build", f"-mod={mode}", *FLAGS, "-o", str(built), "./cmd/node-cache", within=tree)
    return built


def _check_out(clone: Path, work: Path) -> Path:
    tree = work / "tree"
    tree.mkdir()
    packed = work / "tree.tar"
    run(["git", "-C", str(clone), "archive", f"--output={packed}", NODE_CACHE], os.environ, work)
    run(["tar", "--extract", f"--file={packed}", f"--directory={tree}"], os.environ, work)
    return tree


def _download(work: Path) -> Path:
    # Without -json the reason stands on stderr; with it, once here, comes the directory.
    module = f"{_MODULE}@{NODE_CACHE}"
    run_go(work, "mod", "download", module, within=work)
    return Path(json.loads(run_go(work, "mod", "download", "-json", module, within=work))["Dir"])


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
