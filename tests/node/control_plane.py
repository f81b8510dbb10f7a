"""The control plane, outside of the node: etcd, API server, controller manager, scheduler.

The node alone is what breaks and reboots; its control plane goes on, as that of a worker does.
"""

import base64
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from boot.net import Namespace
from boot.waiting import wait_for
from managers.outside import GATEWAY

TOKEN = "dnsguard-lab"  # noqa: S105 # of a cluster that nobody else can reach
SERVER = f"https://{GATEWAY}:6443"
SERVICES = "10.233.0.0/18"
_FIRST_SERVICE = "10.233.0.1"
"""The API server's own, from inside the cluster."""
_START_SECONDS = 90.0
_COMMAND_SECONDS = 60.0


class ControlPlane:
    """Its four programs in a namespace, and ``kubectl``.

    :param directory: where it keeps its data; a copy of another's goes on where that ended.
    :param kubernetes: where Kubernetes' programs lie.
    :param etcd: etcd itself.
    """

    def __init__(self, where: Namespace, directory: Path, kubernetes: Path, etcd: Path) -> None:
        self._where = where
        self._directory = directory
        self._kubernetes = kubernetes
        self._etcd = etcd
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all four; return when the API server is ready."""
        self._directory.mkdir(exist_ok=True)
        make_credentials(self._directory)
        self._run(str(self._etcd), *self._etcd_flags())
        self._run(str(self._kubernetes / "kube-apiserver"), *self._api_flags())
        config = f"--kubeconfig={self._directory / 'admin.conf'}"
        common = (config, "--leader-elect=false", "--bind-address=127.0.0.1")
        key = self._directory / "api.key"
        root = f"--root-ca-file={self._directory / 'api.crt'}"
        manager = self._kubernetes / "kube-controller-manager"
        self._run(str(manager), *common, root, f"--service-account-private-key-file={key}")
        self._run(str(self._kubernetes / "kube-scheduler"), *common)
        wait_for("the API server", self._is_ready, seconds=_START_SECONDS, every=0.2)

    def kubectl(self, *arguments: str, data: object = None) -> str:
        """Run kubectl as the cluster's admin; return what it said.

        :raises AssertionError: it failed.
        """
        done = self._kubectl(*arguments, data=data)
        assert done.returncode == 0, f"kubectl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def apply(self, manifests: Sequence[object]) -> None:
        """Have the cluster run these."""
        everything = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "--filename=-", data=everything)

    def log(self) -> str:
        """Return the end of what each has logged, for people."""
        logs = sorted(self._directory.glob("*.log"))
        return "\n".join(f"{one.name}:\n{one.read_text(errors='replace')[-3000:]}" for one in logs)

    def stop(self) -> None:
        """End it in order, so that its data can be copied."""
        for process in reversed(self._running):
            process.terminate()
        for process in reversed(self._running):
            self._end(process)
        self._running = []

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
        self._running = []

    @staticmethod
    def _end(process: "subprocess.Popen[bytes]") -> None:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _is_ready(self) -> bool:
        dead = [one.args for one in self._running if one.poll() is not None]
        assert not dead, f"{dead}\n{self.log()}"
        return self._kubectl("get", "--raw=/readyz").returncode == 0

    def _kubectl(self, *arguments: str, data: object = None) -> "subprocess.CompletedProcess[str]":
        config = f"--kubeconfig={self._directory / 'admin.conf'}"
        return subprocess.run(
            self._where.inside(str(self._kubernetes / "kubectl"), config, *arguments),
            input=None if data is None else json.dumps(data),
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
            env={"PATH": os.defpath, "HOME": str(self._directory)},
        )

    def _run(self, *command: str) -> None:
        name = Path(command[0]).name
        with (self._directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                # It goes when the test goes, even a killed one.
                self._where.inside("setpriv", "--pdeathsig=KILL", *command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # ^C is for the test, which then cleans up
                env={"PATH": os.defpath},
            )
        self._running.append(process)

    def _etcd_flags(self) -> list[str]:
        return [
            f"--data-dir={self._directory / 'etcd'}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--logger=zap",
        ]

    def _api_flags(self) -> list[str]:
        certificate, key = (self._directory / name for name in ("api.crt", "api.key"))
        return [
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={GATEWAY}",
            "--secure-port=6443",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--service-cluster-ip-range={SERVICES}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--token-auth-file={self._directory / 'tokens.csv'}",
            "--authorization-mode=AlwaysAllow",
            "--allow-privileged=true",
        ]


def make_credentials(directory: Path) -> None:
    """Make the cluster's one certificate and its one token, unless they are there."""
    key, certificate = directory / "api.key", directory / "api.crt"
    if not certificate.exists():
        names = f"IP:{GATEWAY},IP:{_FIRST_SERVICE},DNS:kubernetes.default.svc"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"),
                *("-subj", "/CN=kubernetes", "-addext", f"subjectAltName={names}"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        (directory / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        config = kubeconfig(certificate.read_text())
        (directory / "admin.conf").write_text(json.dumps(config))


def kubeconfig(certificate: str) -> dict[str, object]:
    """Return what a client of the API server needs, as kubectl and kubelet read it."""
    encoded = base64.b64encode(certificate.encode()).decode()
    cluster = {"server": SERVER, "certificate-authority-data": encoded}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "admin"}}],
        "current-context": "lab",
    }
