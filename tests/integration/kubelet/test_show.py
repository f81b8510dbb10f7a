"""``dnsguard kubelet`` on a node's files."""

import argparse
import json
from pathlib import Path

import pytest

from dnsguard.commands import kubelet as command
from dnsguard.commands.kubelet import POD_FILE
from dnsguard.formats.kubelet import DEFAULT
from integration.kubelet.node import CONFIG, KUBESPRAY, Node, Start, change_later

pytestmark = pytest.mark.integration


class TestShow:
    """``dnsguard kubelet``."""

    def test_pods_could_loop(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """They get the node's file: where that is set, and what to do."""
        assert command.run(argparse.Namespace(root=node.paths.root, json=False)) == 2
        text = capsys.readouterr().out
        assert f"configured      /etc/resolv.conf  (/{CONFIG}: resolvConf)" in text
        assert "Pods get 169.254.25.10 as their upstream" in text
        assert "Remedy: dnsguard kubelet adopt" in text

    def test_pods_get_ours(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """As data: nothing left to be done."""
        node.write(CONFIG, KUBESPRAY.replace(DEFAULT, POD_FILE))
        assert command.run(argparse.Namespace(root=node.paths.root, json=True)) == 0
        data = json.loads(capsys.readouterr().out)
        assert data["pods_file"] == POD_FILE
        assert data["nameservers"] == ["10.0.0.2"]
        assert not data["can_loop"]
        assert data["kubelet"]["cluster_domain"]["value"] == "cluster.local"

    def test_another_file_may_loop_as_well(self, node: Node) -> None:
        """A cluster address is no upstream, whatever the file's name."""
        node.write(CONFIG, KUBESPRAY.replace(DEFAULT, "/etc/pods.conf"))
        node.write("etc/pods.conf", "nameserver 10.0.0.2\nnameserver 169.254.25.10\n")
        assert command.run(argparse.Namespace(root=node.paths.root, json=False)) == 2

    def test_no_file_at_all(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """Kubelet writes 127.0.0.1 then, where CoreDNS finds itself."""
        node.write("etc/default/kubelet", "A=--resolv-conf=\n")
        assert command.run(argparse.Namespace(root=node.paths.root, json=False)) == 2
        assert "Pods get 127.0.0.1 as their upstream" in capsys.readouterr().out

    def test_it_is_to_be_restarted(
        self, node: Node, start: Start, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Configured and running are told apart."""
        start(f"--config=/{CONFIG}")
        change_later(node.root / CONFIG, KUBESPRAY.replace(DEFAULT, POD_FILE))
        assert command.run(argparse.Namespace(root=node.paths.root, json=False)) == 2
        text = capsys.readouterr().out
        assert "systemctl restart kubelet" in text
        assert "adopt" not in text

    def test_bytes_that_are_no_text(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        """A flag may hold any; nothing is there, so that names nobody."""
        (node.root / "etc/default").mkdir()
        (node.root / "etc/default/kubelet").write_bytes(b"A=--resolv-conf=/\xff\n")
        assert command.run(argparse.Namespace(root=node.paths.root, json=False)) == command.LOOPING
        assert "\\xff, which names nobody" in capsys.readouterr().out

    def test_no_kubelet(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing to say, and nothing wrong."""
        assert command.run(argparse.Namespace(root=tmp_path, json=False)) == 0
        assert capsys.readouterr().out == "No kubelet on this node.\n"
