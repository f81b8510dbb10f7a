"""A kubelet that runs, and ``dnsguard kubelet`` and its ``adopt`` on a node's files."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import wait

from dnsguard import adoption, config
from dnsguard import kubelet as command
from dnsguard.core.kubelet import DEFAULT, RESTART, Kubelet
from dnsguard.core.pods import REMEDY
from dnsguard.core.report import report
from dnsguard.cycle import Cycle
from dnsguard.errors import DnsguardError, UsageError
from dnsguard.host import processes
from dnsguard.host.kubelet import Lookout, look
from dnsguard.kubelet import POD_FILE
from dnsguard.paths import Paths

pytestmark = pytest.mark.integration

CONFIG = "etc/kubernetes/kubelet-config.yaml"
FLAGS = "var/lib/kubelet/kubeadm-flags.env"
KUBESPRAY = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDomain: cluster.local   # ours
clusterDNS:
- 169.254.25.10
resolvConf: "/etc/resolv.conf"
featureGates:
  GracefulNodeShutdown: true
"""

Start = Callable[..., int]


class Node:
    """A node's files below a root, and of all processes the ones that are put there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = Paths(root)
        (root / "proc").mkdir()
        self.write("etc/resolv.conf", "nameserver 169.254.25.10\n")
        self.write("var/lib/dnsguard/resolv.conf", "nameserver 10.0.0.2\n")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def look(self) -> Kubelet:
        found = look(self.root)
        assert found is not None
        return found

    def adopt(self, *, dry_run: bool = False, undo: bool = False) -> None:
        done = adoption.adopt(self.paths, is_dry_run=dry_run, is_undo=undo, is_restart=False)
        assert done == 0

    def backups(self) -> list[Path]:
        return sorted(self.root.rglob("*.dnsguard-*~"))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node as Kubespray leaves it."""
    node = Node(tmp_path)
    node.write(CONFIG, KUBESPRAY)
    return node


@pytest.fixture
def start(node: Node) -> Iterator[Start]:
    """Return a way to have a kubelet run on the node, by its own name and with flags."""
    started: list[subprocess.Popen[bytes]] = []

    def start_it(
        *flags: str,
        user: int | None = None,
        unit: bool = False,
        program: str = "/usr/local/bin/kubelet",
    ) -> int:
        process = subprocess.Popen(
            [program, "-c", "read x", "sh", *flags],
            executable="/bin/sh",
            stdin=subprocess.PIPE,
            user=user,
        )
        started.append(process)
        # Its arguments come a moment after execve(2) has closed the parent's pipe.
        wait.until(lambda: processes.process(Path("/proc"), process.pid) is not None)
        (node.root / f"proc/{process.pid}").symlink_to(f"/proc/{process.pid}")
        if unit:
            group = "sys/fs/cgroup/system.slice/kubelet.service/cgroup.procs"
            node.write(group, f"{process.pid}\n")
        return process.pid

    yield start_it
    for process in started:
        process.kill()
        process.communicate()


def _change_later(path: Path, text: str) -> None:
    """Write a file as if after everything that has been started so far."""
    path.write_text(text)
    later = time.time() + 5
    os.utime(path, (later, later))


class TestRunning:
    """A kubelet's process tells which file it reads, and what it was started with."""

    def test_its_flag_counts(self, node: Node, start: Start) -> None:
        """It beats the file, and is known however old the process is."""
        pid = start(f"--config=/{CONFIG}", f"--resolv-conf={POD_FILE}")
        _change_later(node.root / CONFIG, KUBESPRAY)
        seen = node.look()
        assert (seen.pid, seen.pods_file, seen.is_stale) == (pid, POD_FILE, False)
        assert seen.resolv_conf.origin == f"kubelet's command line (pid {pid}): --resolv-conf"

    def test_its_file_counts(self, node: Node, start: Start) -> None:
        """The one of --config, and no usual place."""
        node.write("opt/kubelet.yaml", f"resolvConf: {POD_FILE}\nclusterDNS: [10.96.0.10]\n")
        start("--config", "/opt/kubelet.yaml")
        seen = node.look()
        assert (seen.pods_file, seen.is_stale) == (POD_FILE, False)
        assert [str(one) for one in seen.nameservers] == ["10.96.0.10"]

    def test_without_a_file_it_is_the_default(self, node: Node, start: Start) -> None:
        """A file in a usual place is not read unless it is named."""
        node.write(CONFIG, f"resolvConf: {POD_FILE}\n")
        start("--v=2")
        assert node.look().pods_file == DEFAULT

    def test_a_file_changed_since_its_start(self, node: Node, start: Start) -> None:
        """Nobody knows what it has read, so it may be the dangerous file."""
        start(f"--config=/{CONFIG}")
        _change_later(node.root / CONFIG, KUBESPRAY.replace(DEFAULT, POD_FILE))
        seen = node.look()
        assert (seen.used, seen.is_stale, seen.pods_file) == (None, True, DEFAULT)
        assert seen.resolv_conf.value == POD_FILE

    def test_who_has_looked_before_knows(self, node: Node, start: Start) -> None:
        """What it read at its start is remembered for as long as it runs."""
        path = node.write(CONFIG, KUBESPRAY.replace(DEFAULT, "/etc/pods.conf"))
        lookout = Lookout(node.root)
        start(f"--config=/{CONFIG}")
        lookout.search()
        assert lookout.look() == node.look()
        _change_later(path, KUBESPRAY.replace(DEFAULT, POD_FILE))
        seen = lookout.look()
        assert seen is not None
        assert seen.used is not None
        assert (seen.used.value, seen.is_stale, seen.pods_file) == (
            "/etc/pods.conf",
            True,
            "/etc/pods.conf",
        )
        _change_later(path, KUBESPRAY)  # the next restart would hand out the node's
        seen = lookout.look()
        assert seen is not None
        assert seen.pods_file == DEFAULT

    def test_it_stops_and_starts(self, node: Node, start: Start) -> None:
        """Systemd's processes are seen at the next look, without a search through all."""
        lookout = Lookout(node.root)
        seen = lookout.look()
        assert seen is not None
        assert seen.pid is None
        first = start(f"--config=/{CONFIG}", unit=True)
        second = start(f"--config=/{CONFIG}", f"--resolv-conf={POD_FILE}")
        seen = lookout.look()
        assert seen is not None
        assert (seen.pid, seen.pods_file) == (first, DEFAULT)
        os.kill(first, 9)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        seen = lookout.look()
        assert seen is not None
        assert seen.pid is None
        lookout.search()  # due at once
        seen = lookout.look()
        assert seen is not None
        assert (seen.pid, seen.pods_file) == (second, POD_FILE)

    def test_who_is_not_root_is_no_kubelet(self, node: Node, start: Start) -> None:
        """Anybody may start a process of that name, and nobody is to be believed for it."""
        start(f"--resolv-conf={POD_FILE}", user=65534)
        seen = node.look()
        assert (seen.pid, seen.pods_file) == (None, DEFAULT)

    def test_a_unit_changed_since_its_start(self, node: Node, start: Start) -> None:
        """It runs with the flags of before, and is configured to those of now."""
        path = node.write(FLAGS, f'KUBELET_KUBEADM_ARGS="--config=/{CONFIG}"\n')
        start(f"--config=/{CONFIG}")
        assert not node.look().is_stale
        _change_later(path, f'KUBELET_KUBEADM_ARGS="--resolv-conf={POD_FILE}"\n')
        seen = node.look()
        assert seen.used is not None
        assert (seen.used.value, seen.resolv_conf.value) == (DEFAULT, POD_FILE)
        assert (seen.is_stale, seen.pods_file) == (True, DEFAULT)

    def test_the_daemon_says_that_a_restart_is_missing(self, node: Node, start: Start) -> None:
        """Adopted, but not restarted: nothing else is to be done."""
        (node.root / "etc/resolv.conf").write_text("nameserver 10.0.0.2\n")
        start(f"--config=/{CONFIG}")
        cycle = Cycle(node.paths, config.defaults().policy, lambda _: None)
        cycle.search(1.0)
        cycle.bind(frozenset())
        for configured, remedy in ((DEFAULT, REMEDY), (POD_FILE, RESTART)):
            _change_later(node.root / CONFIG, KUBESPRAY.replace(DEFAULT, configured))
            cycle.refresh()
            cycle.look()
            assert cycle.plan is not None
            assert cycle.seen is not None
            told = report(cycle.memory, cycle.observe(), cycle.plan, cycle.policy, trouble=())
            assert f"remedy: {remedy}" in str(told["next"])

    def test_a_look_is_cheap(self, node: Node, start: Start) -> None:
        """The daemon takes one with every answer; nothing is parsed that has not changed."""
        start(f"--config=/{CONFIG}")
        lookout = Lookout(node.root)
        lookout.search()
        took = []
        for _ in range(200):
            before = time.perf_counter()
            lookout.look()
            took.append(time.perf_counter() - before)
        median = sorted(took)[100]
        print(f"a look: {median * 1e6:.0f} us")
        assert median < 0.005


K3S = "etc/rancher/k3s/config.yaml"
MICROK8S, K0S = "var/snap/microk8s/current/args/kubelet", "var/lib/k0s/kubelet-config.yaml"


class TestEmbedded:
    """A kubelet inside another program, and one that another program has started."""

    @pytest.fixture
    def node(self, tmp_path: Path) -> Node:
        """Return a node without files of kubelet's own."""
        return Node(tmp_path)

    @pytest.mark.parametrize("program", ["/usr/local/bin/k3s", "k3s server", "k3s-agent"])
    def test_k3s(self, node: Node, start: Start, program: str) -> None:
        """As it starts, and by the titles that it gives itself; its files tell what pods get."""
        node.write(K3S, f"resolv-conf: {POD_FILE}\n")
        pid = start("server", program=program)
        seen = node.look()
        assert (seen.pid, seen.pods_file, seen.is_stale) == (pid, POD_FILE, False)
        (node.root / K3S).write_text("node-name: a\n")
        assert node.look().pods_file == DEFAULT

    def test_k3s_reads_its_files_at_its_start(self, node: Node, start: Start) -> None:
        """One that was configured after it counts as unread, until it is started anew."""
        node.write(K3S, "node-name: a\n")
        start("server", program="k3s")
        _change_later(node.root / K3S, f"resolv-conf: {POD_FILE}\n")
        seen = node.look()
        assert (seen.is_stale, seen.pods_file) == (True, DEFAULT)

    def test_a_command_of_k3s_is_no_kubelet(self, node: Node, start: Start) -> None:
        """``k3s kubectl`` runs on machines without pods, too."""
        start("kubectl", "get", "pods", program="k3s")
        assert look(node.root) is None

    def test_microk8s(self, node: Node, start: Start) -> None:
        """Its kubelet's flags are in a file."""
        args = "var/snap/microk8s/current/args/kubelet"
        node.write(args, f"--resolv-conf={POD_FILE}\n")
        pid = start("--kubelet-args-file=x", program="/snap/microk8s/1/kubelite")
        assert (node.look().pid, node.look().pods_file) == (pid, POD_FILE)
        node.write(args, "--cluster-dns=10.152.183.10\n")
        assert node.look().pods_file == DEFAULT

    def test_rke2_starts_a_kubelet_with_flags(self, node: Node, start: Start) -> None:
        """It has no unit and no file in a usual place, and is understood by its process."""
        node.write("etc/rancher/rke2/config.yaml", "node-name: a\n")
        assert look(node.root) is None
        program = "/var/lib/rancher/rke2/data/v1.28.5-rke2r1/bin/kubelet"
        pid = start("--cluster-dns=10.43.0.10", f"--resolv-conf={POD_FILE}", program=program)
        seen = node.look()
        assert (seen.pid, seen.pods_file) == (pid, POD_FILE)
        assert [str(one) for one in seen.nameservers] == ["10.43.0.10"]

    def test_k0s_starts_a_kubelet_with_a_file(
        self, node: Node, start: Start, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Which k0s writes anew at each start: it is read, and not adopted."""
        node.write("var/lib/k0s/kubelet-config.yaml", "resolvConf: /etc/resolv.conf\n")
        start("--config=/var/lib/k0s/kubelet-config.yaml", program="/var/lib/k0s/bin/kubelet")
        assert node.look().pods_file == DEFAULT
        assert command.run(node.paths, as_json=False) == 2
        assert "--kubelet-extra-args=--resolv-conf=" in capsys.readouterr().out
        with pytest.raises(DnsguardError, match="kubelet-extra-args"):
            node.adopt()

    def test_k3s_is_not_adopted_but_explained(
        self, node: Node, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Its file has other keys than kubelet's, and a write would break it."""
        node.write(K3S, "node-name: a\n")
        assert command.run(node.paths, as_json=False) == 2
        remedy = f"set resolv-conf to {POD_FILE} in /{K3S}"
        assert f"Remedy: {remedy}" in capsys.readouterr().out
        with pytest.raises(DnsguardError, match=remedy):
            node.adopt()
        assert node.read(K3S) == "node-name: a\n"

    @pytest.mark.parametrize(
        ("program", "config", "unit"),
        [
            ("/usr/local/bin/k3s", K3S, "k3s"),
            ("/usr/local/bin/k3s", K3S, "k3s-agent"),
            ("/snap/microk8s/1/kubelite", MICROK8S, "snap.microk8s.daemon-kubelite"),
            ("/var/lib/k0s/bin/kubelet", K0S, "k0sworker"),
            ("/var/lib/k0s/bin/kubelet", K0S, "k0scontroller"),
            ("/var/lib/rancher/rke2/bin/kubelet", CONFIG, "rke2-agent"),
            ("/usr/local/bin/kubelet", CONFIG, "kubelet"),
        ],
    )
    def test_the_unit_that_it_runs_in_is_the_one_to_restart(
        self, node: Node, start: Start, program: str, config: str, unit: str
    ) -> None:
        """Told by the process's cgroup, in status too; a leftover of another is not asked."""
        node.write("etc/systemd/system/kubelet.service", "[Service]\n")
        path = node.write(config, "resolvConf: /etc/resolv.conf\n")
        pid = start("server", f"--config=/{config}", program=program)
        link = node.root / f"proc/{pid}"
        link.unlink()
        link.mkdir()
        for one in ("stat", "status", "cmdline", "comm"):
            (link / one).symlink_to(f"/proc/{pid}/{one}")
        (link / "cgroup").write_text(
            f"3:cpu:/\n1:name=systemd:/system.slice/{unit}.service\n0::/\n"
        )
        assert node.look().restart == f"systemctl restart {unit}"
        ours = f"--resolv-conf={POD_FILE}" if config == MICROK8S else f"resolvConf: {POD_FILE}"
        _change_later(path, f"resolv-conf: {POD_FILE}" if config == K3S else ours)
        assert node.look().step == f"{RESTART}: systemctl restart {unit}"

    @pytest.mark.parametrize("program", ["k3s-server", "kubelite", "kubelet"])
    def test_anybodys_process_of_that_name(self, node: Node, start: Start, program: str) -> None:
        """It is neither a kubelet nor a sign of one; root's is."""
        start("server", f"--resolv-conf={POD_FILE}", program=program, user=65534)
        assert look(node.root) is None
        start("server", program=program)
        assert node.look().pods_file == DEFAULT

    def test_a_kubelet_in_a_tenants_pod(self, node: Node, start: Start) -> None:
        """Root's and in the node's PID namespace (``hostPID``), its cgroup is a pod's."""
        pid = start(f"--resolv-conf={POD_FILE}")
        assert node.look().pods_file == POD_FILE
        entry = node.root / f"proc/{pid}"
        entry.unlink()
        entry.mkdir()
        for name in ("stat", "status", "comm", "cmdline"):
            (entry / name).symlink_to(f"/proc/{pid}/{name}")
        uid = "0f6c6d0a-3f6e-4a5b-9c1e-2b7f8f0d4c11"
        (entry / "cgroup").write_text(f"0::/kubepods/burstable/pod{uid}/0123\n")
        assert look(node.root) is None
        (entry / "cgroup").write_text("0::/system.slice/kubelet.service\n")
        assert node.look().pods_file == POD_FILE

    def test_nobody_can_tell(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """A runtime, and no kubelet that is understood: said, and not called clean."""
        assert command.run(node.paths, as_json=False) == 0
        assert capsys.readouterr().out == "No kubelet on this node.\n"
        node.write("run/containerd/containerd.sock", "")
        assert command.run(node.paths, as_json=False) == 1
        told = capsys.readouterr().out
        assert told.startswith("Nobody can tell which resolv.conf pods get: no kubelet is under")
        assert "/run/containerd/containerd.sock" in told


class TestShow:
    """``dnsguard kubelet``."""

    def test_pods_could_loop(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """They get the node's file: where that is set, and what to do."""
        assert command.run(node.paths, as_json=False) == 2
        text = capsys.readouterr().out
        assert f"configured      /etc/resolv.conf  (/{CONFIG}: resolvConf)" in text
        assert "Pods get 169.254.25.10 as their upstream" in text
        assert "Remedy: dnsguard kubelet adopt" in text

    def test_pods_get_ours(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """As data: nothing left to be done."""
        node.write(CONFIG, KUBESPRAY.replace(DEFAULT, POD_FILE))
        assert command.run(node.paths, as_json=True) == 0
        data = json.loads(capsys.readouterr().out)
        assert data["pods_file"] == POD_FILE
        assert data["nameservers"] == ["10.0.0.2"]
        assert not data["can_loop"]
        assert data["kubelet"]["cluster_domain"]["value"] == "cluster.local"

    def test_another_file_may_loop_as_well(self, node: Node) -> None:
        """A cluster address is no upstream, whatever the file's name."""
        node.write(CONFIG, KUBESPRAY.replace(DEFAULT, "/etc/pods.conf"))
        node.write("etc/pods.conf", "nameserver 10.0.0.2\nnameserver 169.254.25.10\n")
        assert command.run(node.paths, as_json=False) == 2

    def test_no_file_at_all(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """Kubelet writes 127.0.0.1 then, where CoreDNS finds itself."""
        node.write("etc/default/kubelet", "A=--resolv-conf=\n")
        assert command.run(node.paths, as_json=False) == 2
        assert "Pods get 127.0.0.1 as their upstream" in capsys.readouterr().out

    def test_it_is_to_be_restarted(
        self, node: Node, start: Start, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Configured and running are told apart."""
        start(f"--config=/{CONFIG}")
        _change_later(node.root / CONFIG, KUBESPRAY.replace(DEFAULT, POD_FILE))
        assert command.run(node.paths, as_json=False) == 2
        text = capsys.readouterr().out
        assert "systemctl restart kubelet" in text
        assert "adopt" not in text

    def test_bytes_that_are_no_text(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """A flag may hold any."""
        (node.root / "etc/default").mkdir()
        (node.root / "etc/default/kubelet").write_bytes(b"A=--resolv-conf=/\xff\n")
        assert command.run(node.paths, as_json=False) == 0
        assert "\\xff" in capsys.readouterr().out

    def test_no_kubelet(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing to say, and nothing wrong."""
        assert command.run(Paths(tmp_path), as_json=False) == 0
        assert capsys.readouterr().out == "No kubelet on this node.\n"


class TestAdopt:
    """``dnsguard kubelet adopt``."""

    def test_one_line_is_changed(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """Comments, order, quotes, mode and owner stay; what makes it last is told."""
        path = node.root / CONFIG
        path.chmod(0o640)
        os.chown(path, 1234, 4321)
        node.adopt()
        assert node.read(CONFIG) == KUBESPRAY.replace(DEFAULT, POD_FILE)
        assert node.look().pods_file == POD_FILE
        (backup,) = node.backups()
        assert backup.parent == path.parent
        assert backup.read_text() == KUBESPRAY
        for one in (path, backup):
            status = one.stat()
            assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o640, 1234, 4321)
        text = capsys.readouterr().out
        assert f'+resolvConf: "{POD_FILE}"' in text
        assert f"kube_resolv_conf: {POD_FILE}" in text
        assert "kubelet-config" in text
        assert "delete pod" in text

    def test_twice_is_once(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """The second time there is nothing to do."""
        node.adopt()
        before = (node.root / CONFIG).stat()
        capsys.readouterr()
        node.adopt()
        assert (node.root / CONFIG).stat() == before
        assert len(node.backups()) == 1
        assert capsys.readouterr().out.startswith("Nothing to do")

    def test_a_dry_run_changes_nothing(
        self, node: Node, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It prints the difference."""
        node.adopt(dry_run=True)
        assert node.read(CONFIG) == KUBESPRAY
        assert node.backups() == []
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == [f"--- /{CONFIG}", f"+++ /{CONFIG}"]
        assert '-resolvConf: "/etc/resolv.conf"' in lines

    def test_undone_it_is_as_before(self, node: Node) -> None:
        """Byte for byte, and without a trace."""
        node.adopt()
        node.adopt(undo=True)
        assert node.read(CONFIG) == KUBESPRAY
        assert node.backups() == []
        node.adopt(undo=True)  # nothing to do
        assert node.read(CONFIG) == KUBESPRAY

    def test_undoing_keeps_what_others_changed(self, node: Node) -> None:
        """Only our line goes back."""
        node.adopt()
        node.write(CONFIG, "maxPods: 50\n" + node.read(CONFIG))
        node.adopt(undo=True)
        assert node.read(CONFIG) == "maxPods: 50\n" + KUBESPRAY

    def test_what_was_not_adopted_is_not_undone(self, node: Node) -> None:
        """Kubespray has set it: nobody knows what was before."""
        node.write(CONFIG, KUBESPRAY.replace(DEFAULT, POD_FILE))
        with pytest.raises(DnsguardError, match="no backup"):
            node.adopt(undo=True)

    def test_kubeadms_flag(self, node: Node) -> None:
        """A flag beats the file, so it is the flag that is changed."""
        before = 'KUBELET_KUBEADM_ARGS="--v=2 --resolv-conf=/run/systemd/resolve/resolv.conf"\n'
        node.write(FLAGS, before)
        node.adopt()
        assert node.read(FLAGS) == before.replace("/run/systemd/resolve/resolv.conf", POD_FILE)
        assert node.read(CONFIG) == KUBESPRAY
        assert node.look().pods_file == POD_FILE
        node.adopt(undo=True)
        assert node.read(FLAGS) == before

    def test_a_drop_in_of_the_unit(self, node: Node) -> None:
        """The backup's name is none that systemd reads."""
        name = "etc/systemd/system/kubelet.service.d/20-dns.conf"
        node.write(name, '[Service]\nEnvironment="KUBELET_EXTRA_ARGS=--resolv-conf=/etc/x"\n')
        node.adopt()
        assert node.look().pods_file == POD_FILE
        assert node.look().resolv_conf.path == f"/{name}"
        assert [one.suffix.endswith("~") for one in node.backups()] == [True]

    def test_a_drop_in_of_kubelets(self, node: Node) -> None:
        """The last that says it is the one that counts."""
        node.write("etc/default/kubelet", "A=--config-dir=/etc/kubelet.d\n")
        node.write("etc/kubelet.d/10.conf", "resolvConf: /etc/a\n")
        node.write("etc/kubelet.d/20.conf", "resolvConf: /etc/b")
        node.adopt()
        assert node.read("etc/kubelet.d/20.conf") == f"resolvConf: {POD_FILE}"
        assert node.look().pods_file == POD_FILE

    def test_set_nowhere(self, node: Node) -> None:
        """A line is added to the configuration file, and goes again."""
        text = KUBESPRAY.replace('resolvConf: "/etc/resolv.conf"\n', "")
        node.write(CONFIG, text)
        node.adopt()
        assert node.read(CONFIG) == f"{text}resolvConf: {POD_FILE}\n"
        assert node.look().pods_file == POD_FILE
        node.write(CONFIG, node.read(CONFIG) + "maxPods: 50\n")
        node.adopt(undo=True)
        assert node.read(CONFIG) == text + "maxPods: 50\n"

    def test_json(self, node: Node) -> None:
        """Kubelet reads it, and so it is edited."""
        node.write(CONFIG, '{\n  "kind": "KubeletConfiguration"\n}\n')
        node.adopt()
        data = json.loads(node.read(CONFIG))
        assert data == {"kind": "KubeletConfiguration", "resolvConf": POD_FILE}

    def test_a_link_stays_a_link(self, node: Node) -> None:
        """What it leads to is changed."""
        path = node.root / CONFIG
        path.rename(path.with_name("real.yaml"))
        path.symlink_to("real.yaml")
        node.adopt()
        assert path.is_symlink()
        assert POD_FILE in path.with_name("real.yaml").read_text()

    @pytest.mark.parametrize("text", [None, "", "# nobody\n", "nameserver 169.254.25.10\n"])
    def test_a_file_that_names_no_upstream_is_not_for_pods(
        self, node: Node, text: str | None
    ) -> None:
        """It would break every pod that is created from then on."""
        (node.root / "var/lib/dnsguard/resolv.conf").unlink()
        if text is not None:
            node.write("var/lib/dnsguard/resolv.conf", text)
        with pytest.raises(DnsguardError, match="names no upstream"):
            node.adopt()
        assert node.read(CONFIG) == KUBESPRAY

    @pytest.mark.parametrize("text", ["resolvConf: >-\n  /etc/resolv.conf\n", "{", "a: 1\n...\n"])
    def test_what_cannot_be_edited_is_refused(self, node: Node, text: str) -> None:
        """Rather than guessed at."""
        node.write(CONFIG, text)
        with pytest.raises(DnsguardError, match=r"by hand|can't be read"):
            node.adopt()
        assert node.read(CONFIG) == text
        assert node.backups() == []

    def test_a_flag_that_no_file_holds(self, node: Node, start: Start) -> None:
        """Nobody can tell who starts kubelet so."""
        start(f"--config=/{CONFIG}", "--resolv-conf=/etc/x")
        with pytest.raises(DnsguardError, match="no file to change"):
            node.adopt()

    def test_a_flag_that_a_file_holds(self, node: Node, start: Start) -> None:
        """The running kubelet's, and the file it came from; it acts at the next start."""
        node.write(FLAGS, f'A="--config=/{CONFIG} --resolv-conf=/etc/x"\n')
        start(f"--config=/{CONFIG}", "--resolv-conf=/etc/x")
        node.adopt()
        assert f"--resolv-conf={POD_FILE}" in node.read(FLAGS)

    def test_a_unit_that_cannot_be_read(self, node: Node) -> None:
        """It may hold the flag that counts, so nothing else is changed in its stead."""
        (node.root / "etc/default/kubelet").mkdir(parents=True)
        with pytest.raises(DnsguardError, match="/etc/default/kubelet: can't be read"):
            node.adopt()

    def test_no_configuration_file(self, node: Node) -> None:
        """Flags alone: the remedy is a flag."""
        (node.root / CONFIG).unlink()
        node.write("etc/systemd/system/kubelet.service", "ExecStart=/usr/bin/kubelet --v=2\n")
        with pytest.raises(DnsguardError, match=f"started with --resolv-conf={POD_FILE}"):
            node.adopt()

    def test_no_kubelet(self, tmp_path: Path) -> None:
        """There is nothing to be changed."""
        with pytest.raises(DnsguardError, match="no kubelet"):
            Node(tmp_path).adopt()

    def test_restarting_is_for_this_machine(self, node: Node) -> None:
        """Another root's kubelet is not systemd's here."""
        with pytest.raises(UsageError, match="--root"):
            adoption.adopt(node.paths, is_dry_run=False, is_undo=False, is_restart=True)


class TestRestart:
    """Only when told to; what comes of it is told."""

    @pytest.fixture
    def systemctl(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return a systemctl on the PATH that writes down what it is told."""
        program = tmp_path / "bin/systemctl"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/told\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")
        return program

    def test_it_is_done(self, systemctl: Path, tmp_path: Path) -> None:
        """With the units read again before."""
        assert systemctl.exists()
        adoption.restart("k3s")
        assert (tmp_path / "told").read_text() == "daemon-reload\nrestart k3s\n"

    def test_it_fails(self, systemctl: Path) -> None:
        """In systemctl's words, and where to look."""
        systemctl.write_text("#!/bin/sh\necho Unit not found >&2\nexit 5\n")
        with pytest.raises(DnsguardError, match=r"Unit not found; see journalctl"):
            adoption.restart("kubelet")
