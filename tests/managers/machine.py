"""A tree made into one node of a set-up: its manager, its kubelet, its NodeLocalDNS."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from boot import kubespray
from boot.kubespray import CLUSTER_DNS, NODE_LOCAL
from boot.machine import KUBELET_SERVICE

from managers.asking import CLUSTER_ZONE, LIBRARY
from managers.setup import File, Setup

RECORDS = "/var/lib/lab"
COREDNS = f"{LIBRARY}/coredns"
COREFILE = "/etc/lab/Corefile"
NODELOCALDNS = "nodelocaldns.service"
RESOLV_CONF_OF_NODELOCALDNS = "/etc/lab/resolv.conf"
CLUSTER_ADDRESS = "10.233.0.1"

# kubelet: what pods get, and what becomes of a first image's name, at the first moment with a
# route. A name of each boot's own, which the test has written there.
_KUBELET = f"""\
#!/bin/sh
cd {RECORDS} || exit 1
until [ -n "$(ip -4 route show default; ip -6 route show default)" ]; do
    sleep 0.02
done
cp "$(cat pods-file)" pod-resolv.conf || : > pod-resolv.conf
for way in $(cat ways); do
    (timeout 12 {LIBRARY}/ask "$way" "$way-$(cat name)" > "$way.said" 2>&1
    echo $? > "$way.status") &
done
wait
"""

# NodeLocalDNS as Kubespray configures it, and cluster DNS beside it: whichever cluster address
# a file names, the question comes back. Only `template` stands in for `kubernetes`.
_COREFILE = f"""\
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    template IN A {{
        match (^kubernetes[.]default[.]svc|[.]{CLUSTER_ZONE.replace(".cluster.local", "")})[.]cluster[.]local[.]$
        answer "{{{{ .Name }}}} 5 IN A {CLUSTER_ADDRESS}"
        fallthrough
    }}
    template ANY ANY {CLUSTER_ZONE} {{
        rcode NOERROR
    }}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
    bind {NODE_LOCAL} {CLUSTER_DNS}
}}
.:53 {{
    errors
    log
    cache 30
    loop
    bind {NODE_LOCAL} {CLUSTER_DNS}
    forward . RESOLV_CONF
    health {NODE_LOCAL}:9254
}}
"""

# The kernel of the machines that run this has no dummy links; a bridge carries the addresses.
# Nothing takes them away again: node-cache killed with SIGKILL leaves its own bound.
BIND = (
    "ip link add nodelocaldns type bridge",
    *(f"ip address add {address}/32 dev nodelocaldns" for address in (NODE_LOCAL, CLUSTER_DNS)),
)
"""The commands by which NodeLocalDNS binds its addresses; each may have been run before."""
_BINDING = "\n".join(f"ExecStartPre=-/usr/sbin/{command}" for command in BIND)
_NODELOCALDNS_SERVICE = f"""\
[Unit]
Description=NodeLocalDNS

[Service]
{_BINDING}
ExecStart={COREDNS} -conf {COREFILE}
"""


def corefile(resolv_conf: str) -> str:
    """Return the Corefile of a CoreDNS whose pod has this resolv.conf."""
    return _COREFILE.replace("RESOLV_CONF", resolv_conf)


def furnish(tree: Path, setup: Setup) -> None:
    """Write everything that makes ``tree`` a healthy node of this set-up."""
    common = (
        # A known id: an empty one makes systemd enable every unit at the first boot (preset-all).
        File("/etc/machine-id", "6d6b1f0b3c2e4f6aa1d5c0ffee000010\n"),
        File("/etc/hostname", "node1\n"),
        File("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 node1\n"),
        File("/etc/systemd/system/kubelet.service", KUBELET_SERVICE),
        File(f"/etc/systemd/system/{NODELOCALDNS}", _NODELOCALDNS_SERVICE),
        File("/usr/local/bin/kubelet", _KUBELET, mode=0o755),
        File(COREFILE, corefile(RESOLV_CONF_OF_NODELOCALDNS)),
        File(f"{LIBRARY}/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        File(f"{RECORDS}/ways", " ".join(sorted(setup.ways))),
        File(f"{RECORDS}/pods-file", setup.kubelet_reads),
        # Nothing of the archive is there, and their timers cost the first minute.
        *(File(f"/etc/systemd/system/{name}.timer", link="/dev/null") for name in _TIMERS),
    )
    # What systemd-resolved's package has saved there is of the machine that made the tree.
    (tree / "etc/.resolv.conf.systemd-resolved.bak").unlink(missing_ok=True)
    write(tree, (*common, setup.resolv_conf, *setup.files))
    kubespray.point_kubelet_at(tree, setup.kubelet_reads)
    switch(tree, "enable", "kubelet.service", *setup.enabled)
    switch(tree, "disable", *setup.disabled)


_TIMERS = ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "e2scrub_all", "fstrim")


def add_programs(tree: Path, programs: dict[str, Path]) -> None:
    """Copy programs into the node's own library."""
    for name, program in programs.items():
        place = tree / LIBRARY.lstrip("/") / name
        shutil.copy(program, place)
        place.chmod(0o755)


def write(tree: Path, files: Iterable[File]) -> None:
    """Write files into a tree; whatever stands there goes."""
    for file in files:
        path = tree / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if file.is_appended else ""
        path.unlink(missing_ok=True)
        if file.link is not None:
            path.symlink_to(file.link)
        else:
            path.write_text(before + file.text)
            path.chmod(file.mode)


def switch(tree: Path, verb: str, *units: str) -> None:
    """Enable or disable units for the next boot."""
    if units:
        command = ["systemctl", f"--root={tree}", "--quiet", verb, *units]
        subprocess.run(command, check=True)
