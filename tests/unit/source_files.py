"""Files that name nameservers, and what is found in them."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from dnsguard.host.sources import find_sources
from dnsguard.paths import Paths

UUID = "7d1b3f0e-8f4e-4f53-9a9c-0d5f0c1f9a10"
AT = 1e9
UID = "0f6c6d0a-3f6e-4a5b-9c1e-2b7f8f0d4c11"
POD = f"var/lib/kubelet/pods/{UID}/volumes/kubernetes.io~configmap/config-volume"


def write_file(paths: Paths, name: str, content: str | bytes, *, at: float = AT) -> Path:
    path = paths.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (at, at))
    return path


def make_logs(paths: Paths, namespace: str) -> Path:
    """Make the directory that kubelet keeps the pod's logs in."""
    logs = paths.root / f"var/log/pods/{namespace}_coredns-abc_{UID}"
    logs.mkdir(parents=True)
    return logs


def find(paths: Paths) -> list[str]:
    return [f"{one.source} {one.tier} {one.address}" for one in find_sources(paths).candidates]


def make_lease(
    *servers: str, interface: str = "eth0", hours: float = 1, dhcp: str = "10.0.0.1", more: str = ""
) -> str:
    """Return a block that is over in so many hours."""
    expire = datetime.now(UTC) + timedelta(hours=hours)
    return (
        f'lease {{\n  interface "{interface}";\n  fixed-address 10.0.0.58;\n  {more}\n'
        f"  option domain-name-servers {','.join(servers)};\n"
        f"  option dhcp-server-identifier {dhcp};\n"
        f"  expire {expire:%w %Y/%m/%d %H:%M:%S};\n}}\n"
    )


LEASE6 = b"\x07\x01\x02\x03\x00\x17\x00\x10" + ip_address("fe80::1").packed
SERVERS = "nameserver 10.0.0.2\n"
CONFIGMAP = "kind: ConfigMap\ndata:\n  Corefile: |\n    .:53 {\n      forward . 10.0.0.2\n    }\n"
HOSTILE = ".:53 {\n    forward . 6.6.6.6\n}\n"
NOBODY = 65534
