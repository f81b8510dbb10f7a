"""The Debian 12 that every node starts from: made once with mmdebstrap, kept as a tar.

The tar's name holds a hash of all that went into it, so another package list is another tar.
"""

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = (
    # A node as Debian's installer leaves it: systemd, ifupdown and ISC dhclient.
    "dbus",
    "ifupdown",
    "iproute2",
    "isc-dhcp-client",
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

_RECIPE = (
    "--variant=minbase",
    f"--include={','.join(PACKAGES)}",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",  # which usr-is-merged asks for
    *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
)

_PUBLIC_MIRROR = (
    "deb http://deb.debian.org/debian bookworm main",
    "deb http://deb.debian.org/debian-security bookworm-security main",
)


def base_tar() -> Path:
    """Return the tar of the base tree, making it first where it is not cached yet."""
    tar = _cache() / f"bookworm-{_key()}.tar"
    with _locked(tar.with_suffix(".lock")):
        if not tar.exists():
            _make(tar)
    return tar


def unpack(tar: Path, tree: Path) -> None:
    """Make ``tree`` a fresh copy of the base."""
    tree.mkdir(parents=True)
    subprocess.run(["tar", "--extract", f"--file={tar}", f"--directory={tree}"], check=True)


def make_minimal(tree: Path) -> None:
    """Make ``tree`` a Debian 12 with nothing added, as a container's image is."""
    _run_mmdebstrap("--variant=minbase", target=tree)


def _cache() -> Path:
    cache = Path(os.environ.get("DNSGUARD_TEST_CACHE", "/var/cache/dnsguard-tests"))
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _key() -> str:
    return hashlib.sha256("\n".join(_RECIPE).encode()).hexdigest()[:12]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one run at a time make the tar; the kernel drops the lock of a killed one."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(tar: Path) -> None:
    """Write the tar under another name first: a cut run must not leave half of one."""
    partial = tar.with_suffix(".partial.tar")
    try:
        _run_mmdebstrap(*_RECIPE, target=partial)
    except RuntimeError:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(tar)


def _run_mmdebstrap(*recipe: str, target: Path) -> None:
    sources = _host_sources() or _PUBLIC_MIRROR
    made = subprocess.run(
        ["mmdebstrap", *recipe, *_proxy_options(), "bookworm", str(target), *sources],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if made.returncode != 0:
        raise RuntimeError(f"mmdebstrap could not make the base tree:\n{made.stdout[-4000:]}")


def archive() -> str:
    """Return where this machine gets Debian 12 itself from: a URI."""
    sources = _host_sources() or _PUBLIC_MIRROR
    return next(line.split()[1] for line in sources if " bookworm main" in line).rstrip("/")


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
