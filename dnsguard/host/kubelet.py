"""Which resolv.conf kubelet hands to pods (KubeletConfiguration, ``resolvConf``)."""

import os
import re
from pathlib import Path

DEFAULT = "/etc/resolv.conf"
"""kubelet's default (kubelet(8), --resolv-conf)."""

# A top-level scalar of KubeletConfiguration; quotes are YAML's own.
_RESOLV_CONF = re.compile(r"""^resolvConf:[ \t]*["']?([^"'#\s]*)""", re.MULTILINE)


def pods_read(configs: tuple[Path, ...], root: Path) -> str | None:
    """Return the file named by the first configuration found, None where there is none.

    One that can't be read counts as kubelet's default, which is the dangerous case; so
    does any other name of /etc/resolv.conf.
    """
    for path in configs:
        try:
            match = _RESOLV_CONF.search(path.read_bytes().decode("utf-8", "replace"))
        except FileNotFoundError:
            continue
        except OSError:
            return DEFAULT
        named = match.group(1) if match and match.group(1) else DEFAULT
        if _real(root, named) == _real(root, DEFAULT):
            return DEFAULT
        return named
    return None


def _real(root: Path, name: str) -> str:
    return os.path.realpath(root / name.lstrip("/"))
