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
from dnsguard.host import pods, trust, wire
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
        until(lambda: any(port == 53 for _, port in pods.listens(real)), within=20)
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


@pytest.mark.parametrize(("script", "is_inside"), [("cluster", True), ("everything", False)])
def test_whom_nobody_knows_is_asked(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    script: str,
    is_inside: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """Cluster DNS at an address that nobody told of; who answers any name alike is none."""
    lab.node.bridge("svc0", "10.44.0.10/32")
    with nameserver(lab.node, "10.44.0.10", script=script, says="10.44.0.1"):
        lab.start("coredns", COREDNS, "10.44.0.10", pod="coredns-abc")
        status, told = lab.doctor(capsys)
    assert (status == doctor.FOUND) is is_inside
    assert ("CLUSTER DNS: 10.44.0.10" in told) is is_inside
    assert ("delete pod coredns-abc" in told) is is_inside
    assert ("Clean" in told) is not is_inside


CLUSTER_FIRST = (
    "search {}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {}\noptions ndots:5\n"
)


@pytest.mark.parametrize(
    ("namespace", "content", "wrong"),
    [
        ("kube-system", f"nameserver {NODELOCAL}\n", f"can ask only {NODELOCAL} (cluster DNS)"),
        ("kube-system", "nameserver 192.0.2.99\n", "can ask only 192.0.2.99 (no answer)"),
        ("kube-system", f"nameserver {UPSTREAM}\n", None),
        ("kube-system", CLUSTER_FIRST.format("kube-system", CLUSTER), None),
        (
            "kube-system",
            f"nameserver {NODELOCAL}\nnameserver {UPSTREAM}\n",
            f"its resolv.conf names {NODELOCAL} (cluster DNS)",
        ),
        # A tenant may have written it himself.
        ("shop", f"nameserver {NODELOCAL}\n", f"its resolv.conf names {NODELOCAL} (cluster DNS)"),
        ("shop", CLUSTER_FIRST.format("shop", CLUSTER), None),
    ],
)
def test_pods_of_every_kind_are_looked_at(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    namespace: str,
    content: str,
    wrong: str | None,
) -> None:
    """Those that have the node's file: with nobody left to ask, a pod of the cluster's own is to go."""
    lab.node.bridge("dead", "192.0.2.99/32")
    lab.start_pod("proxy-x", namespace, content)
    status, told = lab.doctor(capsys)
    is_lost = wrong is not None and "only" in wrong
    assert status == (doctor.FOUND if is_lost else 0)
    assert ("delete pod proxy-x" in told) is is_lost
    if wrong is None:
        assert "proxy-x" not in told
    else:
        assert f"pod {namespace}/proxy-x" in told
        assert wrong in told


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ((), ["on a control plane (kubectl has no credentials here):", "  kubectl"]),
        (("usr/bin/crictl",), ["crictl", "or on a control plane", "  kubectl"]),
        (("etc/kubernetes/admin.conf", "usr/bin/crictl"), ["kubectl"]),
    ],
)
def test_what_is_to_be_done_can_be_done_here(
    lab: Lab, capsys: pytest.CaptureFixture[str], files: tuple[str, ...], expected: list[str]
) -> None:
    """A worker has no credentials; images wait for kubelet's back-off until it is restarted."""
    for name in files:
        (lab.root / name).parent.mkdir(parents=True, exist_ok=True)
        (lab.root / name).touch()
    lab.start_pod("proxy-x", "kube-system", f"nameserver {NODELOCAL}\n")
    _, told = lab.doctor(capsys)
    steps = [line[2:] for line in told.partition("To do:\n")[2].splitlines()]
    assert len(steps) == len(expected) + 1
    assert all(one.startswith(begin) for one, begin in zip(steps, expected, strict=False))
    assert steps[-1].startswith("systemctl restart kubelet ")
    assert "back-off" in steps[-1]


def test_what_kubelet_is_inside_is_what_is_restarted(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is set by hand there; ``adopt`` has no line of kubelet's own to change."""
    (lab.root / "etc/kubernetes/kubelet-config.yaml").unlink()
    for name in ("etc/systemd/system/k3s-agent.service", "etc/rancher/k3s/config.yaml"):
        (lab.root / name).parent.mkdir(parents=True, exist_ok=True)
        (lab.root / name).write_text("")
    (lab.root / "etc/resolv.conf").write_text(f"nameserver {NODELOCAL}\n")
    lab.start_pod("proxy-x", "kube-system", f"nameserver {NODELOCAL}\n")
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    steps = [line[2:] for line in told.partition("To do:\n")[2].splitlines()]
    assert steps[0].startswith("set resolv-conf to /var/lib/dnsguard/resolv.conf in /etc/rancher")
    assert "then systemctl restart k3s-agent " in steps[0]
    assert steps[-1].startswith("systemctl restart k3s-agent ")
    assert "adopt" not in told


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


def test_a_tenants_coredns_convicts_nobody(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """It is root's and called ``coredns``, in a pod of that name, and points at a dead end."""
    pid = lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-abc", namespace="tenant")
    status, told = lab.doctor(capsys)
    assert status == 0
    assert (
        f"note: pid {pid}: a process of pod tenant/coredns-abc that calls itself coredns"
        ": not looked at" in told
    )
    assert "To do" not in told


def test_a_pod_of_kube_system_need_not_be_roots(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control: CoreDNS's own image runs as a user, and the pod's cgroup tells."""
    lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-abc", user=65534)
    status, told = lab.doctor(capsys, as_json=True)
    data = json.loads(told)
    assert status == doctor.FOUND
    assert data["delete"] == ["kubectl -n kube-system delete pod coredns-abc"]
    assert data["strangers"] == []


def test_a_users_coredns_convicts_nobody(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Anybody may call a process so; a hundred of them fill no screen."""
    (lab.root / "etc/passwd").write_text("nobody:x:65534:65534::/:/bin/false\n")
    with ExitStack() as stack:
        for number in range(20):
            mine = stack.enter_context(_sleeper(f"{('', '/x/')[number % 2]}coredns", user=65534))
            lab.enter(Path(f"/proc/{mine}"), None)
        status, told = lab.doctor(capsys)
        assert status == 0
        assert told.count("a process of user nobody that calls itself coredns: not looked at") == 8
        assert "and 12 more like these" in told
        mine = stack.enter_context(_sleeper("coredns"))
        lab.enter(Path(f"/proc/{mine}"), None)
        status, told = lab.doctor(capsys)
        # The control: root's own is looked at, and that it has no Corefile is told.
        assert (status, f"NOT LOOKED AT: pid {mine}: " in told) == (doctor.CANT_TELL, True)


@contextmanager
def _sleeper(name: str, user: int | None = None) -> Iterator[int]:
    process = subprocess.Popen(
        [name, "-c", "read x"], executable="/bin/sh", stdin=subprocess.PIPE, user=user
    )
    until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(name.encode()))
    yield process.pid
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("namespace", "log", "is_found"),
    [
        ("kube-system", "2026-01-01T00:00:00Z stdout F [FATAL] plugin/loop: Loop (127.0.0.1:4 ", True),
        ("kube-system", '{"log":"[FATAL] plugin/loop: Loop (127.0.0.1:4 -> :53) ', True),
        ("tenant", "2026-01-01T00:00:00Z stdout F [FATAL] plugin/loop: Loop (127.0.0.1:4 ", False),
        # A name that somebody asked for, as CoreDNS's log plugin writes it.
        ("kube-system", '2026-01-01T00:00:00Z stdout F [INFO] 10.0.0.9:1 - 2 "A IN [FATAL] plugin/loop: Loop (x', False),
    ],
)  # fmt: skip
def test_last_words_are_kube_systems(
    tmp_path: Path, namespace: str, log: str, *, is_found: bool
) -> None:
    """A tenant's container may be called ``coredns`` and say what it likes."""
    logs = tmp_path / f"var/log/pods/{namespace}_coredns-abc_{UID.format(1)}/coredns"
    logs.mkdir(parents=True)
    (logs / "0.log").write_text(f"...\n{log}\n")
    assert [pod.name for pod in pods.looped(tmp_path, ["coredns"], [])] == [
        "coredns-abc"
    ] * is_found


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
        (
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUID_.slice/x",
            UID.format(1),
        ),
        ("0::/system.slice/coredns.service", None),
        # What a user's own systemd, a service and a container may be given to make groups in.
        ("0::/user.slice/user-1000.slice/user@1000.service/kubepods/podUID/x", None),
        ("0::/system.slice/x.service/kubepods.slice/kubepods-podUID_.slice/x", None),
        ("0::/kubepods/burstable/pod" + "0f" * 16 + "/0123/kubepods/podUID/x", "0f" * 16),
    ],
)
def test_a_pod_is_known_by_its_cgroup(tmp_path: Path, group: str, uid: str | None) -> None:
    """With either of kubelet's cgroup drivers, and as a static pod; not by a group in a group."""
    text = group.replace("UID_", UID.format(1).replace("-", "_")).replace("UID", UID.format(1))
    (tmp_path / "cgroup").write_text(text)
    assert trust.pod_of(tmp_path) == uid


def test_a_question_is_seen_over_ipv6_too(node: Namespace) -> None:
    """Once, though ``lo`` shows it twice."""
    with nameserver(node, "::1") as server:
        here = ip_address("::1")
        scope = wire.Scope(proc=Path("/proc"), pids=(), doors=frozenset({(here, 53), (here, 5353)}))
        traced = wire.trace(wire.one_time_name("x.example"), here, scope=scope, most=1)
        assert (traced.inside, traced.outside, len(server.asked())) == (1, 0, 1)
