"""What kubelet is told about DNS by flags: in units, on command lines, before it runs."""

from pathlib import Path

import pytest

from dnsguard.formats import kubelet as core
from dnsguard.formats.kubelet import BY_DEFAULT, DEFAULT, Flags, Setting, merge
from unit.kubelet_node import (
    CONFIG,
    KUBEADM_CONFIG,
    KUBESPRAY,
    KUBESPRAY_ENV,
    KUBESPRAY_UNIT,
    POD_FILE,
    RESOLVED,
    Node,
)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node without a kubelet."""
    return Node(tmp_path)


class TestBeforeItRuns:
    """What a kubelet will be told, found in units and environment files."""

    def test_kubesprays_unit(self, node: Node) -> None:
        """The unit names an environment file, which names the configuration."""
        node.write("etc/systemd/system/kubelet.service", KUBESPRAY_UNIT)
        node.write("etc/kubernetes/kubelet.env", KUBESPRAY_ENV.format("/opt/kubelet.yaml"))
        node.write(CONFIG, "resolvConf: /etc/old\n")
        node.write("opt/kubelet.yaml", KUBESPRAY.format(POD_FILE))
        assert node.read() == POD_FILE

    def test_kubeadm_with_systemd_resolved(self, node: Node) -> None:
        """Kubeadm's flag beats the configuration, and the operator's beats kubeadm's."""
        node.kubeadm()
        node.write(KUBEADM_CONFIG, KUBESPRAY.format(DEFAULT))
        args = f'KUBELET_KUBEADM_ARGS="--v=2 --resolv-conf={RESOLVED}"\n'
        node.write("var/lib/kubelet/kubeadm-flags.env", args)
        assert node.look().resolv_conf == Setting(
            value=RESOLVED, where="/var/lib/kubelet/kubeadm-flags.env", name="--resolv-conf"
        )
        node.write("etc/default/kubelet", f"KUBELET_EXTRA_ARGS=--resolv-conf={POD_FILE}\n")
        assert node.read() == POD_FILE

    def test_a_unit_without_a_configuration(self, node: Node) -> None:
        """Installed and never joined: its default it is, should it start."""
        node.kubeadm()
        assert node.look().resolv_conf == Setting(value=DEFAULT)
        assert node.look().resolv_conf.origin == BY_DEFAULT

    def test_a_drop_in_masks_its_namesake(self, node: Node) -> None:
        """/etc before /usr/lib (systemd.unit(5)); other names add up in their order."""
        node.kubeadm()
        own = "etc/systemd/system/kubelet.service.d"
        node.write(f"{own}/10-kubeadm.conf", f"Environment=A=--resolv-conf={POD_FILE}\n")
        assert node.read() == POD_FILE
        node.write(f"{own}/20-more.conf", "Environment='B=--resolv-conf /etc/more'\n")
        assert node.read() == "/etc/more"

    def test_a_masked_drop_in_says_nothing(self, node: Node) -> None:
        """A link to /dev/null in /etc takes the one of the package out."""
        node.kubeadm()
        node.write(CONFIG, f"resolvConf: {POD_FILE}\n")
        own = node.write("etc/systemd/system/kubelet.service.d/10-kubeadm.conf", "")
        own.unlink()
        own.symlink_to("/dev/null")
        assert node.read() == POD_FILE
        assert node.look().troubles == ()

    def test_an_unreadable_environment_file_may_say_anything(self, node: Node) -> None:
        """It may hold the flag that counts."""
        node.kubeadm()
        node.write(KUBEADM_CONFIG, KUBESPRAY.format(POD_FILE))
        (node.root / "etc/default/kubelet").mkdir(parents=True)
        assert node.read() == DEFAULT
        assert node.look().resolv_conf.origin == "/etc/default/kubelet: can't be read"


class TestFlags:
    """As pflag takes them."""

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("--resolv-conf=/a", "/a"),
            ("--resolv-conf /a", "/a"),
            ("--resolv_conf=/a", "/a"),
            ("--resolv-conf=/a --resolv-conf=/b", "/b"),
            ("--resolv-conf=", ""),
            ("--resolv-conf", ""),
            ("--v=2 -- --resolv-conf=/a", None),
            ("-resolv-conf=/a", None),
            ("--resolv-config=/a", None),
            ("--no-resolv-conf=/a", None),
            ("resolv-conf=/a", None),
        ],
    )
    def test_a_command_line(self, line: str, expected: str | None) -> None:
        """Equals sign or the next word, underscores are dashes, the last one wins."""
        flag = Flags.of(core.read_flags(line.split(" "), "here")).resolv_conf
        assert (flag and flag.value) == expected

    def test_cluster_dns_is_a_list(self) -> None:
        """Comma separated and repeated, and instead of the file's."""
        words = [
            "--cluster-dns=10.0.0.1,10.0.0.2",
            "--cluster-dns",
            "10.0.0.3",
            "--cluster-domain=x",
        ]
        flags = Flags.of(core.read_flags(words, "here"))
        found = merge(flags, [("/c", {"clusterDNS": ["10.9.9.9"], "clusterDomain": "y"})])
        assert [one.value for one in found.cluster_dns] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        assert found.cluster_domain == Setting(value="x", where="here", name="--cluster-domain")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("A=--resolv-conf=/a", "/a"),
            ('A="--v=2 --resolv-conf=/a --x=y"', "/a"),
            ("A='--resolv-conf=\"/a\"'", "/a"),
            ("ExecStart=/usr/bin/kubelet \\\n  --resolv-conf \\\n /a \\\n --v=2", "/a"),
            ("--resolv-conf=/a\\\n--v=2", "/a"),
            ("# A=--resolv-conf=/a", None),
            ("  ; A=--resolv-conf=/a", None),
            ("A=--resolv-conf=", ""),
            ("A=--my--resolv-conf=/a", None),
        ],
    )
    def test_in_a_unit_or_an_environment_file(self, text: str, expected: str | None) -> None:
        """Quoted or not, over several lines or not, and not in a comment."""
        flag = Flags.of(core.find_flags_in(text, "/f")).resolv_conf
        assert (flag and flag.value) == expected

    def test_an_empty_flag_is_no_default(self) -> None:
        """It keeps the node's file from pods; only in a file it may mean the default."""
        flags = Flags.of(core.read_flags(["--resolv-conf="], "here"))
        assert merge(flags, [("/c", {"resolvConf": DEFAULT})]).resolv_conf.value == ""
