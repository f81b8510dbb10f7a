"""What kubelet is told about DNS: its files, its drop-ins, and the file for pods."""

from pathlib import Path

import pytest

from dnsguard.formats.kubelet import DEFAULT, Kubelet, Setting
from dnsguard.host.kubelet import read_kubelet
from unit.kubelet_node import CONFIG, KUBEADM_CONFIG, KUBESPRAY, POD_FILE, RESOLVED, Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node without a kubelet."""
    return Node(tmp_path)


class TestConfiguration:
    """One file and nothing else, as Kubespray writes it."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (KUBESPRAY.format(POD_FILE), POD_FILE),
            (KUBESPRAY.format(DEFAULT), DEFAULT),
            (f"resolvConf: {POD_FILE}", POD_FILE),
            (f"resolvConf: '{POD_FILE}'  # kept by dnsguard\r\n", POD_FILE),
            (f'{{"kind": "KubeletConfiguration",\n\t"resolvConf": "{POD_FILE}"}}', POD_FILE),
            (f'"resolvConf" : {POD_FILE}\n', POD_FILE),
            (f"---\nresolvConf: {POD_FILE}\n---\nresolvConf: /etc/other\n", POD_FILE),
            ("resolvConf: ''\n", DEFAULT),
            ("resolvConf:\n", DEFAULT),
            ("resolvConf: null\n", DEFAULT),
            (f"resolvConf: [{POD_FILE}]\n", DEFAULT),
            ("kind: KubeletConfiguration\n", DEFAULT),
            (f"# resolvConf: {POD_FILE}\n", DEFAULT),
            (f"other:\n  resolvConf: {POD_FILE}\n", DEFAULT),
            (f"resolvConfig: {POD_FILE}\n", DEFAULT),
            ('resolvConf: "/etc/\\0"\n', DEFAULT),
            (f"- resolvConf: {POD_FILE}\n- {{\n", DEFAULT),
            ("", DEFAULT),
            ("\x00\x01", DEFAULT),
            (f"resolvConf: {POD_FILE}\n" + "# a comment\n" * 10_000, DEFAULT),
        ],
    )
    def test_what_it_says(self, node: Node, text: str, expected: str) -> None:
        """A top-level key of YAML or JSON; without one, or too long, it is the default."""
        node.write(CONFIG, text)
        assert node.read() == expected

    def test_no_kubelet(self, node: Node) -> None:
        """No configuration, no kubelet, no pods that could inherit anything."""
        assert read_kubelet(node.root) is None

    def test_what_cannot_be_read_is_the_dangerous_case(self, node: Node) -> None:
        """A kubelet is there, and nobody knows what it hands out."""
        (node.root / CONFIG).mkdir(parents=True)
        assert node.read() == DEFAULT
        assert node.look().troubles == (f"/{CONFIG}: can't be read",)

    def test_a_comment_in_another_encoding_hides_nothing(self, node: Node) -> None:
        """Latin-1 in a comment is no reason to believe there is no kubelet."""
        node.write(CONFIG, b"# caf\xe9\nresolvConf: /etc/resolv.conf\n")
        assert node.read() == DEFAULT

    @pytest.mark.parametrize(
        "name",
        ["/etc/resolv.conf", "/etc//resolv.conf", "/etc/./resolv.conf", "/run/../etc/resolv.conf"],
    )
    def test_every_spelling_is_the_same_file(self, node: Node, name: str) -> None:
        """Kubelet opens a file, not a string."""
        node.write(CONFIG, f"resolvConf: {name}\n")
        assert node.read() == DEFAULT

    def test_the_file_behind_the_link_is_the_same_file(self, node: Node) -> None:
        """/etc/resolv.conf leads to what kubelet reads: the guard writes that file, too."""
        (node.root / "run").mkdir()
        resolv_conf = node.root / "etc/resolv.conf"
        resolv_conf.rename(node.root / "run/resolv.conf")
        resolv_conf.symlink_to("../run/resolv.conf")
        node.write(CONFIG, "resolvConf: /run/resolv.conf\n")
        assert node.read() == DEFAULT

    def test_a_link_to_the_file_is_the_same_file(self, node: Node) -> None:
        """And so it is the other way round."""
        (node.root / "etc/pods.conf").symlink_to("resolv.conf")
        node.write(CONFIG, "resolvConf: /etc/pods.conf\n")
        assert node.read() == DEFAULT

    def test_kubesprays_place_comes_before_kubeadms(self, node: Node) -> None:
        """Where no flag names one of them."""
        node.write(CONFIG, f"resolvConf: {POD_FILE}\n")
        node.write(KUBEADM_CONFIG, "resolvConf: /etc/other\n")
        assert node.read() == POD_FILE

    def test_the_cluster_as_kubespray_says_it(self, node: Node) -> None:
        """Addresses and domain, each with the place it was found at."""
        node.write(CONFIG, KUBESPRAY.format(DEFAULT))
        seen = node.look()
        assert [str(one) for one in seen.nameservers] == ["169.254.25.10"]
        assert seen.cluster_dns[0].origin == f"/{CONFIG}: clusterDNS"
        assert seen.cluster_domain is not None
        assert seen.cluster_domain.value == "cluster.local"
        assert seen.resolv_conf.origin == f"/{CONFIG}: resolvConf"
        assert (seen.pid, seen.used, seen.is_stale) == (None, None, False)

    def test_what_is_no_address_is_left_out(self, node: Node) -> None:
        """Nobody dies of it."""
        node.write(CONFIG, "clusterDNS: [10.96.0.10, dns.example, '', fd00::a, {a: b}]\n")
        assert [str(one) for one in node.look().nameservers] == ["10.96.0.10", "fd00::a"]


class TestDropIns:
    """The directory of --config-dir."""

    @pytest.fixture
    def node(self, tmp_path: Path) -> Node:
        """Return a node with a configuration and a directory beside it."""
        node = Node(tmp_path)
        args = "KUBELET_EXTRA_ARGS=--config-dir=/etc/kubelet.d\n"
        node.write("etc/default/kubelet", args)
        node.write(CONFIG, KUBESPRAY.format("/etc/main"))
        return node

    def test_they_beat_the_file_and_each_other(self, node: Node) -> None:
        """In lexical order, those in directories below included."""
        node.write("etc/kubelet.d/20-b.conf", f"resolvConf: {POD_FILE}\nclusterDNS: [10.96.0.10]\n")
        node.write("etc/kubelet.d/10-a.conf", "resolvConf: /etc/a\n")
        node.write("etc/kubelet.d/15/z.conf", "resolvConf: /etc/z\n")
        node.write("etc/kubelet.d/30-c.yaml", "resolvConf: /etc/c\n")
        node.write("etc/kubelet.d/30-c.conf.dnsguard-1~", "resolvConf: /etc/c\n")
        seen = node.look()
        assert seen.resolv_conf.origin == "/etc/kubelet.d/20-b.conf: resolvConf"
        assert seen.pods_file == POD_FILE
        assert [str(one) for one in seen.nameservers] == ["10.96.0.10"]

    def test_one_that_says_nothing_else_changes_nothing_else(self, node: Node) -> None:
        """A merge, not a replacement; null takes a key away."""
        node.write("etc/kubelet.d/10-a.conf", "maxPods: 110\n")
        assert node.read() == "/etc/main"
        node.write("etc/kubelet.d/20-b.conf", "resolvConf: null\n")
        assert node.read() == DEFAULT

    def test_one_that_cannot_be_read_may_say_anything(self, node: Node) -> None:
        """The dangerous case again, until a later one settles it."""
        node.write("etc/kubelet.d/10-a.conf", "{")
        assert node.read() == DEFAULT
        node.write("etc/kubelet.d/20-b.conf", f"resolvConf: {POD_FILE}\n")
        assert node.read() == POD_FILE

    def test_more_of_them_than_are_read(self, node: Node) -> None:
        """What is in the rest, nobody knows."""
        for number in range(70):
            node.write(f"etc/kubelet.d/{number}.conf", f"resolvConf: {POD_FILE}\n")
        assert node.read() == DEFAULT


class TestPodsFile:
    """The file to reckon with."""

    @pytest.mark.parametrize(
        ("used", "configured", "expected", "is_stale"),
        [
            (POD_FILE, POD_FILE, POD_FILE, False),
            (DEFAULT, DEFAULT, DEFAULT, False),
            (DEFAULT, POD_FILE, DEFAULT, True),  # adopted, not restarted
            (POD_FILE, DEFAULT, DEFAULT, True),  # the next restart hands it out
            (None, POD_FILE, DEFAULT, True),
            (RESOLVED, POD_FILE, RESOLVED, True),
        ],
    )
    def test_it_is_the_default_if_it_may_be(
        self, used: str | None, configured: str, expected: str, *, is_stale: bool
    ) -> None:
        """What runs and what is configured both have to be another file."""
        seen = Kubelet(
            used=None if used is None else Setting(value=used),
            resolv_conf=Setting(value=configured),
            pid=812,
        )
        assert (seen.pods_file, seen.is_stale) == (expected, is_stale)
        assert seen.needs_restart is (is_stale and configured == POD_FILE)
