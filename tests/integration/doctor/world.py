"""A node with real CoreDNS processes, each with a resolv.conf of its own.

NodeLocalDNS is played by CoreDNS under the name node-cache: node-cache is CoreDNS, and its
Corefile is what matters. No ``loop`` plugin here, which would end what is to be looked at.
"""

import argparse
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from lab import gobin, gobuild, needs
from lab.nameserver import nameserver
from lab.netns import Namespace, cable, namespace
from lab.wait import until

from dnsguard.commands import doctor
from dnsguard.host import pods

NODELOCAL, CLUSTER, UPSTREAM = "169.254.25.10", "10.233.0.3", "192.0.2.53"
UID = "0a1b2c3d-1111-2222-3333-{:012d}"
COREDNS = """\
.:53 {
    errors
    forward . /etc/resolv.conf
}
"""
NODE_CACHE = f"""\
cluster.local:53 {{
    bind {NODELOCAL}
    forward . {CLUSTER} {{
        force_tcp
    }}
}}
in-addr.arpa:53 {{
    bind {NODELOCAL}
    forward . {CLUSTER}
}}
.:53 {{
    errors
    bind {NODELOCAL}
    forward . /etc/resolv.conf
}}
"""


def _coredns() -> Path:
    """Return the program, or skip."""
    try:
        return gobin.coredns()
    except gobuild.MissingError as error:
        needs.leave_out(str(error))


class Lab:
    """A node, a pod network with cluster DNS's address in it, and a real upstream."""

    def __init__(self, root: Path, node: Namespace, pod: Namespace, stack: ExitStack) -> None:
        self.root, self.node, self.pod = root, node, pod
        self._stack = stack
        self._count = 0
        self._program = _coredns()
        for name in ("proc", "etc/kubernetes", "var/log/pods", "bin"):
            (root / name).mkdir(parents=True)
        (root / "etc/kubernetes/kubelet-config.yaml").write_text("resolvConf: /etc/resolv.conf\n")
        (root / "etc/resolv.conf").write_text(f"nameserver {UPSTREAM}\n")

    def start(
        self,
        name: str,
        conf: str,
        *servers: str,
        pod: str | None = None,
        namespace: str = "kube-system",
        user: int = 0,
    ) -> int:
        """Start a server in its mount namespace, as the container runtime does; return its pid."""
        self._count += 1
        program = self.root / "bin" / name
        if not program.exists():
            program.symlink_to(self._program)
        files = self.root / f"{self._count}"
        files.mkdir()
        (files / "Corefile").write_text(conf)
        (files / "resolv.conf").write_text("".join(f"nameserver {one}\n" for one in servers))
        for path in (self.root, *self.root.parents) if user else ():
            path.chmod(path.stat().st_mode | 0o055)  # "user" reads its files
        become = (
            f"setpriv --reuid {user} --ambient-caps +net_bind_service --inh-caps +net_bind_service"
        )
        script = (
            'mount --bind "$1/resolv.conf" /etc/resolv.conf && '
            f'exec {become if user else ""} "$2" -conf "$1/Corefile"'
        )
        command = ["unshare", "-m", "sh", "-c", script, "sh", str(files), str(program)]
        with (self.node if name == "node-cache" else self.pod).inside():
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=files
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        real = Path(f"/proc/{process.pid}")
        until(lambda: (real / "comm").read_text().strip() == name, within=20)
        until(lambda: any(port == 53 for _, port in pods.find_listening(real)), within=20)
        self.enter(real, pod, namespace)
        return process.pid

    def start_pod(self, pod: str, namespace: str, content: str) -> None:
        """Start a program of a pod that is no DNS server, with this resolv.conf."""
        self._count += 1
        file = self.root / f"resolv.conf.{self._count}"
        file.write_text(content)
        script = 'mount --bind "$1" /etc/resolv.conf && exec sleep 1000'
        process = subprocess.Popen(["unshare", "-m", "sh", "-c", script, "sh", str(file)])
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        real = Path(f"/proc/{process.pid}")
        until(lambda: (real / "comm").read_text().strip() == "sleep")
        self.enter(real, pod, namespace)

    def enter(self, real: Path, pod: str | None, namespace: str = "kube-system") -> None:
        """Put the process into the lab's /proc, in the pod's cgroup."""
        entry = self.root / "proc" / real.name
        entry.mkdir()
        for name in (
            "stat",
            "status",
            "comm",
            "cmdline",
            "environ",
            "exe",
            "root",
            "cwd",
            "fd",
            "net",
            "ns",
        ):
            (entry / name).symlink_to(real / name)
        uid = UID.format(self._count)
        slice_ = f"kubepods.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice"
        (entry / "cgroup").write_text(f"0::/{slice_}/cri.scope\n" if pod else "0::/system.slice\n")
        if pod:
            (self.root / f"var/log/pods/{namespace}_{pod}_{uid}").mkdir()

    def doctor(
        self,
        capsys: pytest.CaptureFixture[str],
        *,
        as_json: bool = False,
    ) -> tuple[int, str]:
        """Run the command on the node; return its exit status and what it prints."""
        with self.node.inside():
            status = doctor.run(argparse.Namespace(root=self.root, json=as_json))
        return status, capsys.readouterr().out


@contextmanager
def world(root: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        node, pod = (stack.enter_context(namespace()) for _ in range(2))
        cable(node, pod)
        node.bridge("nodelocaldns", f"{NODELOCAL}/32")
        node.bridge("up0", f"{UPSTREAM}/32")
        node.ip("address add 10.98.0.1/24 dev eth0")
        node.ip(f"route add {CLUSTER} dev eth0")
        pod.ip("address add 10.98.0.2/24 dev eth0")
        pod.ip(f"address add {CLUSTER}/32 dev eth0")
        pod.ip("route add default via 10.98.0.1")
        stack.enter_context(nameserver(node, UPSTREAM))
        yield Lab(root, node, pod, stack)
