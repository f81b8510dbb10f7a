"""The Debian that a node starts from: made once with mmdebstrap, kept as a tar.

The tar's name holds a hash of all that went into it, so another package list is another tar.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.lock import locked

SYSTEM = (
    # What every node has, whoever manages its network.
    "dbus",
    "iproute2",
    "netbase",
    "systemd",
    "systemd-sysv",
    "usr-is-merged",  # and not usrmerge, which brings all of Perl: a quarter of the tree
    # All that the .deb depends on: it is installed without a network.
    "python3",
    "python3-dnspython",
    "python3-pyroute2",
    "python3-sdnotify",
    "python3-structlog",
    "python3-systemd",
    "python3-watchdog",
    "python3-yaml",
)

# No boot reads these, and every test unpacks the tree.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")

_PUBLIC_MIRROR = (
    "deb http://deb.debian.org/debian {} main",
    "deb http://deb.debian.org/debian-security {}-security main",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A Debian: its release, and what is installed beside :data:`SYSTEM`."""

    name: str
    release: str = "bookworm"
    packages: tuple[str, ...]

    @property
    def options(self) -> tuple[str, ...]:
        """What mmdebstrap is told."""
        return (
            "--variant=minbase",
            f"--include={','.join(sorted((*SYSTEM, *self.packages)))}",
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",  # which usr-is-merged asks for
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        )

    @property
    def key(self) -> str:
        """The name of what is made by it: another one for another list of packages."""
        told = "\n".join((self.release, *self.options))
        return f"{self.name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


NODE = Recipe(name="bookworm", packages=("ifupdown", "isc-dhcp-client"))
"""A node as Debian 12's installer leaves it."""


def base_tar(recipe: Recipe = NODE) -> Path:
    """Return the tar of a base tree, making it first where it is not cached yet."""
    tar = cache() / f"{recipe.key}.tar"
    with locked(tar.with_suffix(".lock")):
        if not tar.exists():
            _make(recipe, tar)
    return tar


def unpacked(tar: Path) -> Path:
    """Return what is in a tar of the cache, unpacked there once: nobody writes into it."""
    place = cache() / "trees" / tar.stem
    place.parent.mkdir(exist_ok=True)
    with locked(place.with_name(f"{place.name}.lock")):
        if not place.exists():
            partial = place.with_name(f"{place.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            unpack(tar, partial)
            partial.rename(place)
    return place


def unpack(tar: Path, tree: Path) -> None:
    """Make ``tree`` a fresh copy of the base."""
    tree.mkdir(parents=True)
    subprocess.run(["tar", "--extract", f"--file={tar}", f"--directory={tree}"], check=True)


def make_minimal(tree: Path) -> None:
    """Make ``tree`` a Debian 12 with nothing added, as a container's image is."""
    _run_mmdebstrap("--variant=minbase", release="bookworm", target=tree)


def cache() -> Path:
    """Return the directory of what is kept for the next run."""
    kept = Path(os.environ.get("DNSGUARD_TEST_CACHE", "/var/cache/dnsguard-tests"))
    kept.mkdir(parents=True, exist_ok=True)
    return kept


def _make(recipe: Recipe, tar: Path) -> None:
    """Write the tar under another name first: a cut run must not leave half of one."""
    partial = tar.with_suffix(".partial.tar")
    try:
        _run_mmdebstrap(*recipe.options, release=recipe.release, target=partial)
    except RuntimeError:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(tar)


def _run_mmdebstrap(*options: str, release: str, target: Path) -> None:
    made = subprocess.run(
        ["mmdebstrap", *options, *_proxy_options(), release, str(target), *_sources(release)],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if made.returncode != 0:
        raise RuntimeError(f"mmdebstrap could not make the base tree:\n{made.stdout[-4000:]}")


def archive() -> str:
    """Return where this machine gets Debian 12 itself from: a URI."""
    lines = _sources("bookworm")
    return next(line.split()[1] for line in lines if " bookworm main" in line).rstrip("/")


def _sources(release: str) -> tuple[str, ...]:
    """Return the mirrors of a release; of one that this machine has not, where it has bookworm."""
    here = _host_sources() or tuple(line.format("bookworm") for line in _PUBLIC_MIRROR)
    return tuple(line.replace(" bookworm", f" {release}") for line in here)


def _host_sources() -> tuple[str, ...]:
    """Return this machine's own mirrors of bookworm, as apt itself understands its files."""
    form = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    found: dict[str, None] = {}
    for line in _output("apt-get", "indextargets", "--format", form, "Created-By: Packages"):
        match line.split():
            case [
                "Debian",
                uri,
                ("bookworm" | "bookworm-updates" | "bookworm-security") as suite,
                "main",
            ] if uri.startswith("http"):
                found[f"deb {uri} {suite} main"] = None
            case _:
                continue  # another release, a third party, a CD-ROM
    # The release itself has to be among them: updates alone make no tree.
    return tuple(found) if any(" bookworm main" in line for line in found) else ()


def _proxy_options() -> Iterator[str]:
    for line in _output("apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"):
        if not line.endswith('"";'):
            yield f"--aptopt={line}"


def _output(*command: str) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
