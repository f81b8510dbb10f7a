"""``dnsguard kubelet adopt`` on a node's files, and back."""

import json
import os
from pathlib import Path

import pytest

from dnsguard.commands import adopt as adoption
from dnsguard.commands.kubelet import POD_FILE
from dnsguard.errors import DnsguardError, UsageError
from dnsguard.formats.kubelet import DEFAULT
from dnsguard.host import resolvfile
from integration.kubelet.node import CONFIG, FLAGS, KUBESPRAY, Node, Start

pytestmark = pytest.mark.integration


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
        before = resolvfile.identity_at(node.root / CONFIG)
        capsys.readouterr()
        node.adopt()
        assert resolvfile.identity_at(node.root / CONFIG) == before
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
