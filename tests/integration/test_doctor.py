"""``dnsguard doctor`` before real CoreDNS processes, each with a resolv.conf of its own.

NodeLocalDNS is played by CoreDNS under the name node-cache: node-cache is CoreDNS, and its
Corefile is what matters. No ``loop`` plugin here, which would end what is to be looked at.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from lab import gobin, needs
from lab.nameserver import nameserver
from lab.netns import Namespace, cable, namespace
from lab.wait import readable, until

from dnsguard import doctor
from dnsguard.host import pods, wire
from dnsguard.paths import Paths

pytestmark = pytest.mark.integration

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
    except gobin.MissingError as error:
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

    def start(self, name: str, conf: str, *servers: str, pod: str | None = None) -> int:
        """Start a server in its mount namespace, as the container runtime does; return its pid."""
        self._count += 1
        program = self.root / "bin" / name
        if not program.exists():
            program.symlink_to(self._program)
        files = self.root / f"{self._count}"
        files.mkdir()
        (files / "Corefile").write_text(conf)
        (files / "resolv.conf").write_text("".join(f"nameserver {one}\n" for one in servers))
        script = 'mount --bind "$1/resolv.conf" /etc/resolv.conf && exec "$2" -conf "$1/Corefile"'
        command = ["unshare", "-m", "sh", "-c", script, "sh", str(files), str(program)]
        with (self.node if name == "node-cache" else self.pod).inside():
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=files
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        real = Path(f"/proc/{process.pid}")
        until(lambda: (real / "comm").read_text().strip() == name, within=20)
        until(lambda: any(port == 53 for _, port in pods.listens(real)), within=20)
        self._enter(real, pod)
        return process.pid

    def _enter(self, real: Path, pod: str | None) -> None:
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
            (self.root / f"var/log/pods/kube-system_{pod}_{uid}").mkdir()

    def doctor(
        self,
        capsys: pytest.CaptureFixture[str],
        *,
        trace: str | None = None,
        as_json: bool = False,
    ) -> tuple[int, str]:
        """Run the command on the node; return its exit status and what it prints."""
        with self.node.inside():
            status = doctor.run(Paths(self.root), as_json=as_json, trace=trace)
        return status, capsys.readouterr().out


@contextmanager
def _world(root: Path) -> Iterator[Lab]:
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


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with _world(tmp_path) as made:
        yield made


def test_the_loop_is_drawn(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Through both servers, with the pod to delete, and kubelet's file first."""
    (lab.root / "etc/resolv.conf").write_text(f"nameserver {NODELOCAL}\n")
    cache = lab.start("node-cache", NODE_CACHE, CLUSTER, pod="nodelocaldns-xyz")
    coredns = lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-abc")
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    path = (
        f"pod coredns-abc -> /etc/resolv.conf -> {NODELOCAL} (node-cache, pid {cache})"
        f" -> /etc/resolv.conf -> {CLUSTER} -> back"
    )
    assert path in told
    assert f"{NODELOCAL} (node-cache, pid {cache}) -> {CLUSTER} -> back" in told
    adopt, delete = (
        told.index(one)
        for one in ("kubelet adopt", "kubectl -n kube-system delete pod coredns-abc")
    )
    assert adopt < delete
    status, told = lab.doctor(capsys, as_json=True)
    data = json.loads(told)
    outside = next(loop for loop in data["loops"] if "." in loop["zones"])
    assert outside == {"path": path, "zones": ["."], "certain": True}
    assert [one["pid"] for one in data["servers"]] == [coredns, cache]
    assert data["kubelet"]["poison"] == [NODELOCAL]


def test_a_clean_node_is_clean(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """And the ways are drawn that questions go."""
    lab.start("node-cache", NODE_CACHE, UPSTREAM, pod="nodelocaldns-xyz")
    lab.start("coredns", COREDNS, UPSTREAM, pod="coredns-abc")
    status, told = lab.doctor(capsys, trace=".")
    assert status == 0, told
    assert "Clean: 2 DNS servers looked at, no loop." in told
    assert f"  pod coredns-abc -> /etc/resolv.conf -> {UPSTREAM}\n" in told
    assert "seen 1 times in" in told
    status, told = lab.doctor(capsys, trace="cluster.local", as_json=True)
    assert (status, json.loads(told)["trace"]["seen"]) == (0, 2)


@pytest.mark.parametrize("is_tcp", [False, True])
def test_the_loop_is_proven_on_the_wire_and_ended(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    is_tcp: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """One question goes round in both network namespaces; when the command ends, so has it.

    By itself it would go on for ever: there is no ``max_concurrent`` here. Over TCP it goes
    where one server is told ``force_tcp``: the next ones ask as they were asked.
    """
    file = "/etc/resolv.conf"
    conf = NODE_CACHE.replace(file, file + " {\n force_tcp\n }") if is_tcp else NODE_CACHE
    cache = lab.start("node-cache", conf, CLUSTER, pod="nodelocaldns-xyz")
    coredns = lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-abc")
    status, told = lab.doctor(capsys, trace=".", as_json=True)
    traced = json.loads(told)["trace"]
    assert status == doctor.FOUND
    assert traced["is_loop"]
    assert traced["seen"] > wire.ENOUGH
    assert traced["outside"] == 0
    print(f"seen {traced['seen']} times, recognised after {traced['seconds']} s")
    # 2 s after a question without an answer it is asked again, and health checks begin.
    with lab.node.inside(), wire._wire([53]) as quiet:
        assert not readable(quiet, within=3.0), quiet.recv(500)
    # And the same once more: nothing is broken by it.
    assert lab.doctor(capsys, trace=".")[0] == doctor.FOUND
    assert all(Path(f"/proc/{pid}/fd").exists() for pid in (cache, coredns))


def test_a_dead_upstream_is_no_loop_on_the_wire(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """CoreDNS asks it again and again; what counts is what its own servers are asked."""
    lab.node.bridge("dead", "192.0.2.99/32")
    lab.start("node-cache", NODE_CACHE, "192.0.2.99", pod="nodelocaldns-xyz")
    status, told = lab.doctor(capsys, trace=".", as_json=True)
    traced = json.loads(told)["trace"]
    print(traced)
    assert status == 0
    assert traced["seen"] == 1
    assert traced["outside"] > 1


def test_a_choice_may_loop(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """A real server beside the node-local address doesn't make a pod's file good."""
    lab.start("node-cache", NODE_CACHE, UPSTREAM, NODELOCAL)
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    assert "MAY LOOP" in told
    assert f"{NODELOCAL} (one of 2) -> back" in told
    assert "restart node-cache (pid" in told


def test_what_changed_after_the_start_is_told(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """CoreDNS has read the file once; a clean one now proves little."""
    lab.start("coredns", COREDNS, UPSTREAM, pod="coredns-abc")
    later = time.time() + 60
    os.utime(lab.root / "1/resolv.conf", (later, later))
    status, told = lab.doctor(capsys)
    assert (status, "changed after it started" in told) == (0, True)


def test_a_pod_that_points_at_nobody_is_poisoned(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """NodeLocalDNS is down at this moment: the loop is there as soon as it is up."""
    lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-abc")
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    assert f"pod coredns-abc -> /etc/resolv.conf -> {NODELOCAL}\n" in told
    assert "delete pod coredns-abc" in told


def test_a_pod_that_its_loop_plugin_ended_is_found(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """In CrashLoopBackOff there is hardly ever a process to look at, but there are last words."""
    status, told = lab.doctor(capsys)
    assert (status, told.splitlines()) == (
        0,
        [
            f"kubelet gives new pods /etc/resolv.conf ({UPSTREAM}): fine",
            "No CoreDNS and no node-cache runs here.",
        ],
    )
    logs = lab.root / f"var/log/pods/kube-system_coredns-abc_{UID.format(7)}/coredns"
    logs.mkdir(parents=True)
    (logs / "3.log").write_text(
        '2026-01-01T00:00:00Z stdout F [FATAL] plugin/loop: Loop (127.0.0.1:4 -> :53) detected for zone "."\n'
    )
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    assert "kubectl -n kube-system delete pod coredns-abc" in told


def test_what_cannot_be_read_is_named(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is called clean that wasn't looked at."""
    pid = lab.start("coredns", COREDNS, UPSTREAM)
    (lab.root / "1/Corefile").unlink()
    status, told = lab.doctor(capsys)
    assert status == doctor.CANT_TELL
    assert f"NOT LOOKED AT: pid {pid}: " in told


def test_a_link_in_a_container_ends_in_the_container(tmp_path: Path) -> None:
    """A process's files are opened as it would open them."""
    root = tmp_path / "container"
    (root / "etc").mkdir(parents=True)
    (root / "etc/resolv.conf").symlink_to("/run/inside")
    (root / "run").mkdir()
    (root / "run/inside").write_text("inside")
    (tmp_path / "root").symlink_to(root)
    (tmp_path / "cwd").symlink_to("/etc")
    assert pods.read(tmp_path, "/etc/resolv.conf")[0] == b"inside"
    assert pods.read(tmp_path, "../../../run/inside")[0] == b"inside"
    (root / "etc/passwd").symlink_to("/etc/resolv.conf")
    (root / "run/inside").unlink()
    with pytest.raises(FileNotFoundError):
        pods.read(tmp_path, "/etc/passwd")


@pytest.mark.parametrize(
    ("group", "uid"),
    [
        ("0::/kubepods.slice/kubepods-podUID_.slice/cri-1.scope", UID.format(1)),
        ("12:cpu:/kubepods/burstable/podUID/0123\n0::/x", UID.format(1)),
        ("0::/kubepods/pod" + "0f" * 16 + "/1", "0f" * 16),
        ("0::/system.slice/coredns.service", None),
    ],
)
def test_a_pod_is_known_by_its_cgroup(tmp_path: Path, group: str, uid: str | None) -> None:
    """With either of kubelet's cgroup drivers, and as a static pod."""
    logs = tmp_path / "logs"
    (logs / f"kube-system_coredns-abc_{uid or 'x'}").mkdir(parents=True)
    text = group.replace("UID_", UID.format(1).replace("-", "_")).replace("UID", UID.format(1))
    (tmp_path / "cgroup").write_text(text)
    found = pods.pod_of(tmp_path, logs)
    assert (found.uid if found else None) == uid


def test_a_question_is_seen_over_ipv6_too(node: Namespace) -> None:
    """Once, though ``lo`` shows it twice."""
    with nameserver(node, "::1") as server:
        here = ip_address("::1")
        scope = wire.Scope(proc=Path("/proc"), pids=(), doors=frozenset({(here, 53), (here, 5353)}))
        traced = wire.trace(wire.one_time_name("x.example"), here, scope=scope, most=1)
        assert (traced.inside, traced.outside, len(server.asked())) == (1, 0, 1)
