"""A kubelet inside another program, or started by one."""

import argparse
from pathlib import Path

import pytest

from dnsguard.commands import kubelet as command
from dnsguard.commands.kubelet import POD_FILE
from dnsguard.errors import DnsguardError
from dnsguard.formats.kubelet import DEFAULT, RESTART
from dnsguard.host.kubelet import read_kubelet
from integration.kubelet.node import CONFIG, Node, Start, change_later

pytestmark = pytest.mark.integration


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
        change_later(node.root / K3S, f"resolv-conf: {POD_FILE}\n")
        seen = node.look()
        assert (seen.is_stale, seen.pods_file) == (True, DEFAULT)

    def test_a_command_of_k3s_is_no_kubelet(self, node: Node, start: Start) -> None:
        """``k3s kubectl`` runs on machines without pods, too."""
        start("kubectl", "get", "pods", program="k3s")
        assert read_kubelet(node.root) is None

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
        assert read_kubelet(node.root) is None
        program = "/var/lib/rancher/rke2/data/v1.28.5-rke2r1/bin/kubelet"
        pid = start("--cluster-dns=10.43.0.10", f"--resolv-conf={POD_FILE}", program=program)
        seen = node.look()
        assert (seen.pid, seen.pods_file) == (pid, POD_FILE)
        assert [str(one) for one in seen.nameservers] == ["10.43.0.10"]

    @pytest.mark.parametrize("unit", ["rke2-server", "rke2-agent"])
    def test_rke2_is_not_adopted_but_explained(self, node: Node, start: Start, unit: str) -> None:
        """It writes kubelet's drop-in anew at each start: a line changed there would be lost."""
        node.write(f"etc/systemd/system/{unit}.service", "[Service]\n")
        drop_ins = "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d"
        node.write(f"{drop_ins}/00-rke2-defaults.conf", "resolvConf: /etc/resolv.conf\n")
        start(f"--config-dir={drop_ins}")
        remedy = f"set resolv-conf to {POD_FILE} in /etc/rancher/rke2/config.yaml, then systemctl"
        assert node.look().step == f"{remedy} restart {unit}"
        with pytest.raises(DnsguardError, match=remedy):
            node.adopt()

    def test_k0s_starts_a_kubelet_with_a_file(
        self, node: Node, start: Start, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Which k0s writes anew at each start: it is read, and not adopted."""
        node.write("var/lib/k0s/kubelet-config.yaml", "resolvConf: /etc/resolv.conf\n")
        start("--config=/var/lib/k0s/kubelet-config.yaml", program="/var/lib/k0s/bin/kubelet")
        assert node.look().pods_file == DEFAULT
        assert command.run(argparse.Namespace(root=node.paths.root, json=False)) == 2
        assert "--kubelet-extra-args=--resolv-conf=" in capsys.readouterr().out
        with pytest.raises(DnsguardError, match="kubelet-extra-args"):
            node.adopt()

    def test_k3s_is_not_adopted_but_explained(
        self, node: Node, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Its file has other keys than kubelet's, and a write would break it."""
        node.write(K3S, "node-name: a\n")
        assert command.run(argparse.Namespace(root=node.paths.root, json=False)) == 2
        remedy = f"set resolv-conf to {POD_FILE} in /{K3S}"
        assert f"Remedy: {remedy}" in capsys.readouterr().out
        with pytest.raises(DnsguardError, match=remedy):
            node.adopt()
        assert node.read(K3S) == "node-name: a\n"

    def test_what_was_set_by_hand_is_undone_by_hand(self, node: Node) -> None:
        """And the way there is the opposite one."""
        path = node.write(K3S, "node-name: a\n")
        with pytest.raises(DnsguardError, match="nothing is to be undone"):
            node.adopt(undo=True)
        path.write_text(f"resolv-conf: {POD_FILE}\n")
        with pytest.raises(DnsguardError, match=f"take {POD_FILE} out of /{K3S}, then"):
            node.adopt(undo=True)

    @pytest.mark.parametrize(
        ("program", "config", "unit"),
        [
            ("/usr/local/bin/k3s", K3S, "k3s"),
            ("/usr/local/bin/k3s", K3S, "k3s-agent"),
            ("/usr/local/bin/k3s", K3S, "k3s-edge"),
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
        change_later(path, f"resolv-conf: {POD_FILE}" if config == K3S else ours)
        assert node.look().step == f"{RESTART}: systemctl restart {unit}"

    @pytest.mark.parametrize("program", ["k3s-server", "kubelite", "kubelet"])
    def test_anybodys_process_of_that_name(self, node: Node, start: Start, program: str) -> None:
        """It is neither a kubelet nor a sign of one; root's is."""
        start("server", f"--resolv-conf={POD_FILE}", program=program, user=65534)
        assert read_kubelet(node.root) is None
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
        assert read_kubelet(node.root) is None
        (entry / "cgroup").write_text("0::/system.slice/kubelet.service\n")
        assert node.look().pods_file == POD_FILE

    def test_nobody_can_tell(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """A runtime, and no kubelet that is understood: said, and not called clean."""
        assert command.run(argparse.Namespace(root=node.paths.root, json=False)) == 0
        assert capsys.readouterr().out == "No kubelet on this node.\n"
        node.write("run/containerd/containerd.sock", "")
        assert command.run(argparse.Namespace(root=node.paths.root, json=False)) == 1
        told = capsys.readouterr().out
        assert told.startswith("Nobody can tell which resolv.conf pods get: no kubelet is under")
        assert "/run/containerd/containerd.sock" in told
