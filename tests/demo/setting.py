"""Where the story plays: in namespaces of its own, or among this machine's loopback addresses.

A container gives no namespaces (Docker's default capabilities). There the daemon, inotify and
DNS are as real; only what needs a network of one's own is left out of the story.
"""

import atexit
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.guard import NODELOCAL, UPSTREAM

_DNS = 53
_SCRATCH_CONFIG = """\
[upstream]
servers = ["{upstream}"]  # a loopback address: only the configuration makes it an upstream
ask_dhcp = false

[nodelocal]
addresses = ["{nodelocal}"]
require_binding = false  # nobody adds addresses here; all of 127.0.0.0/8 answers
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Addresses, and whether the network and the processes are the demo's own."""

    upstream: str
    nodelocal: str
    is_private: bool

    @property
    def config(self) -> str:
        """dnsguard.toml; empty where the defaults do."""
        if self.is_private:
            return ""
        return _SCRATCH_CONFIG.format(upstream=self.upstream, nodelocal=self.nodelocal)


PRIVATE = Setting(upstream=UPSTREAM, nodelocal=NODELOCAL, is_private=True)
SCRATCH = Setting(upstream="127.0.2.53", nodelocal="127.0.25.10", is_private=False)


def is_scratch_possible() -> bool:
    """Tell whether this process may serve DNS on the loopback addresses, and nobody else does."""
    return all(
        _can_bind(address, kind)
        for address in (SCRATCH.upstream, SCRATCH.nodelocal)
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    )


def scratch() -> Path:
    """Return an empty directory, removed when this process ends by itself."""
    path = Path(tempfile.mkdtemp(prefix="dnsguard-demo-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _can_bind(address: str, kind: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as tried:
        # As the nameservers do: what a demo before this one left behind is no obstacle.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address, _DNS))
        except OSError:
            return False
    return True
