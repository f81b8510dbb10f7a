"""What the benches need of the machine, said in one line where it is missing.

The standard library alone: it runs before anything is imported that may not be there.
"""

import shutil
import sys
from importlib.util import find_spec

PROGRAMS = {
    "gcc": "gcc libc6-dev",
    "dnsmasq": "dnsmasq-base",
    "inotifywait": "inotify-tools",
    "ip": "iproute2",
    "unshare": "util-linux",
}
"""Programs, and the Debian packages that have them."""
MODULES = {
    "dns": "python3-dnspython",
    "pyroute2": "python3-pyroute2",
    "pytest": "python3-pytest",
    "sdnotify": "python3-sdnotify",
    "structlog": "python3-structlog",
    "watchdog": "python3-watchdog",
    "yaml": "python3-yaml",
}
"""The same of modules; pytest is the lab's."""
DAEMON = tuple(name for name in MODULES if name != "pytest")


def require(*names: str) -> None:
    """End with one line that names what is missing and how to get it, if anything is."""
    missing = [name for name in names if not _is_there(name)]
    if missing:
        packages = " ".join((PROGRAMS | MODULES)[name] for name in missing)
        sys.exit(f"cannot measure: {', '.join(missing)} missing: apt-get install {packages}")


def _is_there(name: str) -> bool:
    return (find_spec(name) if name in MODULES else shutil.which(name)) is not None
