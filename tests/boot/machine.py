"""A tree made into a bootable machine: its network, its kubelet, its NodeLocalDNS.

Nothing here knows of dnsguard: the control boots the very same machine.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from boot.kubespray import NODE_LOCAL
from boot.outside import REGISTRY, REGISTRY_ADDRESS, UPSTREAM

RECORDS = Path("var/lib/lab")
NODELOCALDNS = "nodelocaldns.service"
END = "lab-end.service"
EXIT_STATUS = 123

_INTERFACES = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n"

# A pod with dnsPolicy: Default gets the copy; the lookup is an image that is to be pulled.
# Ten seconds is longer than every lookup that ends well and shorter than a kubelet's own patience.
_KUBELET = f"""\
#!/bin/sh
cd /{RECORDS} || exit 1
cp /etc/resolv.conf pod-resolv.conf
timeout 10 getent ahostsv4 {REGISTRY} > lookup
echo $? > lookup-status
"""

# Ordered as the real ones are: after the container runtime and the network, no further.
KUBELET_SERVICE = """\
[Unit]
Description=A stand-in for kubelet
Wants=network-online.target
After=network-online.target containerd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/bin/kubelet
TimeoutStartSec=60

[Install]
WantedBy=multi-user.target
"""

# The kernel of the machines that run this has no dummy links; a bridge carries the address as well.
# Nothing takes the address away again: node-cache killed with SIGKILL leaves it bound.
_NODELOCALDNS_SERVICE = f"""\
[Unit]
Description=A stand-in for NodeLocalDNS

[Service]
ExecStartPre=-/usr/sbin/ip link add nodelocaldns type bridge
ExecStartPre=-/usr/sbin/ip address add {NODE_LOCAL}/32 dev nodelocaldns
ExecStart=/usr/bin/python3 /usr/local/lib/lab/nameserver.py {NODE_LOCAL} {UPSTREAM}
"""

# Wanted only by a boot that is to end with a result: systemd.wants= on the command line.
_END_SERVICE = f"""\
[Unit]
Description=The end of a boot, with a result
Requires=kubelet.service
After=kubelet.service
SuccessAction=exit
SuccessActionExitStatus={EXIT_STATUS}

[Service]
Type=oneshot
ExecStart=/bin/true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletRecord:
    """What the stand-in kubelet saw when it started."""

    pod_resolv_conf: str
    lookup_status: int
    lookup: str

    @property
    def nameservers(self) -> list[str]:
        return nameservers(self.pod_resolv_conf)

    @property
    def found_registry(self) -> bool:
        return self.lookup_status == 0 and REGISTRY_ADDRESS in self.lookup


def nameservers(text: str) -> list[str]:
    """Return the nameservers of a resolv.conf(5), as glibc reads it: the word stands in column 1."""
    words = (line.split() for line in text.splitlines() if line.startswith("nameserver"))
    return [fields[1] for fields in words if len(fields) > 1 and fields[0] == "nameserver"]


def furnish(tree: Path) -> None:
    """Write everything that makes ``tree`` a machine of the lab."""
    files = {
        # A known id: an empty one makes systemd enable every unit at the first boot (preset-all),
        # and a package that forgot to would pass.
        "etc/machine-id": "6d6b1f0b3c2e4f6aa1d5c0ffee000010\n",
        "etc/hostname": "node1\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 node1\n",
        "etc/network/interfaces": _INTERFACES,
        "etc/systemd/system/kubelet.service": KUBELET_SERVICE,
        "etc/systemd/system/nodelocaldns.service": _NODELOCALDNS_SERVICE,
        f"etc/systemd/system/{END}": _END_SERVICE,
        "usr/local/bin/kubelet": _KUBELET,
    }
    for name, text in files.items():
        path = tree / name
        path.write_text(text)
    (tree / "usr/local/bin/kubelet").chmod(0o755)
    _enable(tree, "kubelet.service")
    library = tree / "usr/local/lib/lab"
    library.mkdir()
    shutil.copy(Path(__file__).with_name("nameserver.py"), library)
    (tree / RECORDS).mkdir()


def forget_records(tree: Path) -> None:
    for record in (tree / RECORDS).iterdir():
        record.unlink()


def read_record(tree: Path) -> KubeletRecord:
    records = tree / RECORDS
    return KubeletRecord(
        pod_resolv_conf=(records / "pod-resolv.conf").read_text(),
        lookup_status=int((records / "lookup-status").read_text()),
        lookup=(records / "lookup").read_text(),
    )


def _enable(tree: Path, unit: str) -> None:
    wants = tree / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")
