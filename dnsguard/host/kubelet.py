"""Which resolv.conf kubelet hands to pods (KubeletConfiguration, ``resolvConf``)."""

import re
from contextlib import suppress
from pathlib import Path

DEFAULT = "/etc/resolv.conf"
"""kubelet's default (kubelet(8), --resolv-conf)."""

# A top-level scalar of KubeletConfiguration; quotes are YAML's own.
_RESOLV_CONF = re.compile(r"""^resolvConf:[ \t]*["']?([^"'#\s]*)""", re.MULTILINE)


def pods_read(configs: tuple[Path, ...]) -> str | None:
    """Return the file named by the first configuration found, None where there is none."""
    for path in configs:
        with suppress(OSError, UnicodeDecodeError):
            match = _RESOLV_CONF.search(path.read_text(encoding="utf-8"))
            return match.group(1) if match and match.group(1) else DEFAULT
    return None
