"""What kubelet is told about DNS: its flags, its files, and a node on which none runs."""

from pathlib import Path

import pytest

from dnsguard.formats import kubelet as core
from dnsguard.formats.kubelet import BY_DEFAULT, DEFAULT, Flags, Kubelet, Setting, merge
from dnsguard.host.kubelet import read_kubelet

POD_FILE = "/var/lib/dnsguard/resolv.conf"
RESOLVED = "/run/systemd/resolve/resolv.conf"
CONFIG = "etc/kubernetes/kubelet-config.yaml"
KUBEADM_CONFIG = "var/lib/kubelet/config.yaml"
KUBESPRAY = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failSwapOn: True
containerRuntimeEndpoint : unix:///var/run/containerd/containerd.sock
clusterDomain: cluster.local
clusterDNS:
- 169.254.25.10
kubeReserved:
  cpu: "100m"
resolvConf: "{}"
featureGates:
  RotateKubeletServerCertificate: true
"""
KUBESPRAY_UNIT = """\
[Service]
EnvironmentFile=-/etc/kubernetes/kubelet.env
ExecStart=/usr/local/bin/kubelet \\
\t\t$KUBE_LOG_LEVEL \\
\t\t$KUBELET_ARGS
"""
KUBESPRAY_ENV = """\
KUBE_LOG_LEVEL="--v=2"
KUBELET_ARGS="--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \\
--config={} \\
--kubeconfig=/etc/kubernetes/kubelet.conf \\
 "
"""
KUBEADM_DROP_IN = """\
# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
# EnvironmentFile=-/etc/nothing
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
"""


class Node:
    """Files below a root of their own, and what is seen there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("etc/resolv.conf", "nameserver 10.0.0.2\n")

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def kubeadm(self) -> None:
        """Write what the package and ``kubeadm join`` leave behind."""
        self.write(
            "usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet"
        )
        directory = "usr/lib/systemd/system/kubelet.service.d"
        self.write(f"{directory}/10-kubeadm.conf", KUBEADM_DROP_IN)
        self.write("var/lib/kubelet/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--v=2"\n')

    def look(self) -> Kubelet:
        found = read_kubelet(self.root)
        assert found is not None
        return found

    def read(self) -> str:
        return self.look().pods_file


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
